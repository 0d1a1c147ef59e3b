"""The readers: anything that is written in a form comes back from it."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.core.errors import UserError
from stages.core.files import TextFile
from stages.scoring.formats import read_columns, read_groups, read_hypotheses, read_references, read_subsets

# Anything but a line break; a CR before the LF would be part of it.
line = st.text(st.characters(codec="utf-8", exclude_characters="\n"), max_size=20).filter(
    lambda text: not text.endswith("\r")
)
reference = line.filter(str.strip)
newline = st.sampled_from(["\n", "\r\n"])
bom = st.sampled_from([b"", b"\xef\xbb\xbf"])


def references_of(file):
    return read_references([file])


@settings(deadline=None)
@given(st.lists(line), newline, bom)
def test_hypotheses_as_text(write, hypotheses, newline, bom):
    text = "".join(hypothesis + newline for hypothesis in hypotheses)
    if not bom:
        hypotheses = [text.removeprefix("\ufeff") for text in hypotheses[:1]] + hypotheses[1:]
    assert read_hypotheses(write("hyp.txt", bom + text.encode())).values == hypotheses


@settings(deadline=None)
@given(st.lists(st.text(max_size=20)), newline, bom, st.booleans())
def test_hypotheses_as_json_lines(write, hypotheses, newline, bom, ascii_only):
    records = [{"id": "x", "hypothesis": hypothesis} for hypothesis in hypotheses]
    text = newline.join(json.dumps(record, ensure_ascii=ascii_only) for record in records)
    assert read_hypotheses(write("hyp.jsonl", bom + text.encode())).values == hypotheses


@settings(deadline=None)
@given(st.lists(st.lists(reference, min_size=1, max_size=3), min_size=2), newline, st.integers(0, 3))
def test_references_as_groups(write, segments, newline, blank_lines):
    text = (2 * newline).join(newline.join(segment) for segment in segments) + newline * (1 + blank_lines)
    # The mark protects a first reference that begins with the same character.
    path = write("refs.txt", b"\xef\xbb\xbf" + text.encode())
    assert read_groups(path).values == [[text.strip() for text in segment] for segment in segments]


@settings(deadline=None)
@given(st.lists(st.lists(line, min_size=3, max_size=3), min_size=1), newline)
def test_references_as_columns(write, segments, newline):
    paths = [
        write(f"refs.{number}.txt", b"\xef\xbb\xbf" + "".join(text + newline for text in column).encode())
        for number, column in enumerate(zip(*segments, strict=True))
    ]
    assert read_references(paths).values == [[text.strip() for text in segment] for segment in segments]


@settings(deadline=None)
@given(st.lists(st.tuples(st.text(max_size=9), st.lists(st.text(max_size=9), max_size=3)), min_size=1))
def test_this_projects_own_predictions(write, segments):
    records = [{"hypothesis": text, "references": references} for text, references in segments]
    path = write("predictions.jsonl", "\n".join(map(json.dumps, records)))
    assert read_columns(path, [path]) == ([text for text, _ in segments], [refs for _, refs in segments])


@pytest.mark.parametrize(
    ("text", "hypotheses"),
    [
        ("", []),
        ("\n", [""]),
        ("k", ["k"]),
        ("k\n", ["k"]),
        ("k\n\n", ["k", ""]),
        ("k\r\n\r\nl", ["k", "", "l"]),
        ("k\rl\r", ["k", "l"]),  # as the old Mac ended them
        ("k\r\rl", ["k", "", "l"]),
        ("k\u0085l\u2028m\x0bn\x0co\x1cp\rq\n", ["k\u0085l\u2028m\x0bn\x0co\x1cp\rq"]),
    ],
)
def test_where_lines_end(write, text, hypotheses):
    assert read_hypotheses(write("hyp.txt", text)).values == hypotheses


@pytest.mark.parametrize(
    ("text", "segments"),
    [
        ("", []),
        ("k\n \t\nl\nm\n\n\n", [["k"], ["l", "m"]]),
        ("k\nl\n", [["k"], ["l"]]),  # no blank line: the official script's single-reference form
        ("k\nl\n\n", [["k"], ["l"]]),
    ],
)
def test_blank_lines(write, text, segments):
    assert read_groups(write("refs.txt", text)).values == segments


def test_subsets(write):
    assert read_subsets(write("a.txt", "seen\r\nunseen \n")) == ["seen", "unseen"]


@pytest.mark.parametrize(
    ("read", "name", "content", "message"),
    [
        (read_hypotheses, "a.txt", b"k\n\xff\n", "a.txt, line 2: byte 0xff is not UTF-8"),
        (read_hypotheses, "a.jsonl", '{"hypothesis": "k"}\n\n{"hypothesis"', "a.jsonl, line 3: not JSON"),
        (read_hypotheses, "a.jsonl", '{"text": "k"}', 'a.jsonl, line 1: no text under the key "hypothesis"'),
        (read_hypotheses, "a.jsonl", '{"hypothesis": 1}', 'a.jsonl, line 1: no text under the key "hypothesis"'),
        (read_hypotheses, "a.jsonl", '["hypothesis"]', 'a.jsonl, line 1: no text under the key "hypothesis"'),
        (references_of, "a.jsonl", "{}", 'a.jsonl, line 1: no list of texts under the key "references"'),
        (
            references_of,
            "a.jsonl",
            '{"references": [1]}',
            'a.jsonl, line 1: no list of texts under the key "references"',
        ),
        (read_groups, "a.txt", "k\n\n\nl\n", "a.txt, line 3: a group without references"),
        (read_groups, "a.txt", "\nk\n", "a.txt, line 1: a group without references"),
        (read_subsets, "a.txt", "k\n\n", "a.txt, line 2: no subset"),
        (read_subsets, "a.txt", "all\n", "a.txt, line 1: `all` is the name of the whole"),
    ],
)
def test_errors_name_file_and_line(write, read, name, content, message):
    with pytest.raises(UserError) as error:
        read(write(name, content))
    assert message in str(error.value) and "\n" not in str(error.value)


def test_columns_of_different_length(write):
    with pytest.raises(UserError, match=r"b\.txt has 1 segments, but .*a\.txt has 2$"):
        read_references([write("a.txt", "k\nl\n"), write("b.txt", "m\n")])


def test_no_such_file(tmp_path):
    with pytest.raises(UserError, match=r"cannot read .*none\.txt: No such file"):
        read_hypotheses(TextFile(tmp_path / "none.txt"))
