"""The readers: anything that is written in a form comes back from it."""

import csv
import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.errors import UserError
from stages.scoring.formats import read_hypotheses, read_references

# Anything but a line break; a CR before the LF would be part of it.
line = st.text(st.characters(codec="utf-8", exclude_characters="\n"), max_size=20).filter(
    lambda text: not text.endswith("\r")
)
reference = line.filter(str.strip)
newline = st.sampled_from(["\n", "\r\n"])
bom = st.sampled_from([b"", b"\xef\xbb\xbf"])


@pytest.fixture(scope="module")
def write(tmp_path_factory):
    directory = tmp_path_factory.mktemp("formats")

    def write(name, content):
        path = directory / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@settings(deadline=None)
@given(st.lists(line), newline, bom)
def test_hypotheses_as_text(write, hypotheses, newline, bom):
    text = "".join(hypothesis + newline for hypothesis in hypotheses)
    if not bom:
        hypotheses = [text.removeprefix("\ufeff") for text in hypotheses[:1]] + hypotheses[1:]
    assert read_hypotheses(write("hyp.txt", bom + text.encode())) == hypotheses


@settings(deadline=None)
@given(st.lists(st.text(max_size=20)), newline, bom, st.booleans())
def test_hypotheses_as_json_lines(write, hypotheses, newline, bom, ascii_only):
    records = [{"id": "x", "hypothesis": hypothesis} for hypothesis in hypotheses]
    text = newline.join(json.dumps(record, ensure_ascii=ascii_only) for record in records)
    assert read_hypotheses(write("hyp.jsonl", bom + text.encode())) == hypotheses


@settings(deadline=None)
@given(st.lists(st.lists(reference, min_size=1, max_size=3), min_size=2), newline, st.integers(1, 3))
def test_references_as_text(write, segments, newline, blank_lines):
    separator = newline * (1 + blank_lines)
    text = separator.join(newline.join(segment) for segment in segments) + newline
    # The mark protects a first reference that begins with the same character.
    assert read_references(write("refs.txt", b"\xef\xbb\xbf" + text.encode())) == segments


@settings(deadline=None)
@given(st.dictionaries(st.text(max_size=5), st.lists(st.text(), min_size=1, max_size=3)), newline, bom)
def test_references_as_csv(write, segments, newline, bom):
    content = io.StringIO(newline="")
    rows = csv.writer(content, lineterminator=newline, quoting=csv.QUOTE_ALL)
    rows.writerow(["mr", "ref"])
    rows.writerows([mr, text] for mr, texts in segments.items() for text in texts)
    assert read_references(write("refs.csv", bom + content.getvalue().encode())) == list(segments.values())


@pytest.mark.parametrize(
    ("text", "hypotheses"),
    [
        ("", []),
        ("\n", [""]),
        ("k", ["k"]),
        ("k\n", ["k"]),
        ("k\n\n", ["k", ""]),
        ("k\r\n\r\nl", ["k", "", "l"]),
        ("k\u0085l\u2028m\x0bn\x0co\x1cp\rq", ["k\u0085l\u2028m\x0bn\x0co\x1cp\rq"]),
    ],
)
def test_where_lines_end(write, text, hypotheses):
    assert read_hypotheses(write("hyp.txt", text)) == hypotheses


@pytest.mark.parametrize(
    ("text", "segments"),
    [
        ("", []),
        ("\n\nk\n \t\n\nl\nm\n\n", [["k"], ["l", "m"]]),
        ("k\nl\n", [["k"], ["l"]]),  # no blank line: the official script's single-reference form
    ],
)
def test_blank_lines(write, text, segments):
    assert read_references(write("refs.txt", text)) == segments


def test_csv_groups_by_meaning_in_order_of_first_appearance(write):
    path = write("refs.CSV", '"MR","ref"\nb,one\na,"two, ""2"""\n\nb,"three\nlines"\n')
    assert read_references(path) == [["one", "three\nlines"], ['two, "2"']]


@pytest.mark.parametrize(
    ("read", "name", "content", "message"),
    [
        (read_hypotheses, "a.txt", b"k\n\xff\n", "a.txt, line 2: byte 0xff is not UTF-8"),
        (read_hypotheses, "a.jsonl", '{"hypothesis": "k"}\n\n{"hypothesis"', "a.jsonl, line 3: not JSON"),
        (read_hypotheses, "a.jsonl", '{"text": "k"}', 'a.jsonl, line 1: no text under the key "hypothesis"'),
        (read_hypotheses, "a.jsonl", '{"hypothesis": 1}', 'a.jsonl, line 1: no text under the key "hypothesis"'),
        (read_hypotheses, "a.jsonl", '["hypothesis"]', 'a.jsonl, line 1: no text under the key "hypothesis"'),
        (read_hypotheses, "a.csv", "mr,ref\n", "a.csv: hypotheses are text"),
        (read_references, "a.jsonl", "{}", "a.jsonl: references are text"),
        (read_references, "a.csv", "", "a.csv, line 1: the header must be mr,ref"),
        (read_references, "a.csv", "MR\nk\n", "a.csv, line 1: the header must be mr,ref"),
        (read_references, "a.csv", "mr,ref\nk,l\nk,l,m\n", "a.csv, line 3: 3 columns, not the 2 of mr,ref"),
        (read_references, "a.csv", "mr,ref\nk,l\rm,n\n", "a.csv, line 2: not CSV"),
        (read_references, "a.csv", 'mr,ref\nk,l\nm,"n\n', "a.csv, line 3: not CSV"),
    ],
)
def test_errors_name_file_and_line(write, read, name, content, message):
    with pytest.raises(UserError) as error:
        read(write(name, content))
    assert message in str(error.value) and "\n" not in str(error.value)


def test_no_such_file(tmp_path):
    with pytest.raises(UserError, match=r"cannot read .*none\.txt: No such file"):
        read_hypotheses(tmp_path / "none.txt")
