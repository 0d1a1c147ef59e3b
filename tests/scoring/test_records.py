"""JSON records: known by what a file holds, paired by their ids, joined over several files of references."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.core.errors import UserError
from stages.scoring import e2e, xsum
from stages.scoring.formats import read_columns, read_hypotheses, read_references
from stages.scoring.records import holds_records
from stages.scoring.scores import Scores

LONG, DEEP = "7" * 5_000, "[" * 100_000
texts = st.lists(st.text(max_size=9), min_size=1, max_size=5)
names = st.sampled_from(["a.jsonl", "a.json", "a.ndjson", "a.txt", "a.JSON", "63", "a.csv"])


def hypotheses(said, ids=None):
    return [{"hypothesis": text} | ({"id": ids[i]} if ids else {}) for i, text in enumerate(said)]


def references(wanted, ids=None):
    return [{"references": segment} | ({"id": ids[i]} if ids else {}) for i, segment in enumerate(wanted)]


@settings(deadline=None)
@given(names, texts, st.sampled_from(["lines", "blank lines", "list", "indented list"]))
def test_the_content_decides(write, name, said, form):
    records = hypotheses(said)
    lines = [json.dumps(record, ensure_ascii=False) for record in records]
    content = {
        "lines": "\n".join(lines),
        "blank lines": "\ufeff\r\n" + "\r\n \r\n".join(lines) + "\r\n",
        "list": json.dumps(records),
        "indented list": json.dumps(records, indent=1),
    }[form]
    assert read_hypotheses(write(name, content)).values == said


@pytest.mark.parametrize(
    "lines",
    [
        ["{", "}"],
        ["{name} is a pub.", '{"hypothesis": '],
        ["{}", "A pub."],
        ['{"text": "k"}', "A pub."],  # an object, but no record of ours
        ["[sic]", "[1]"],
        ["[1, 2]"],
        ["[]"],
        ['"hypothesis"'],
        ['[{"hypothesis": "k"}, 1]'],
        ["", ""],
    ],
)
def test_text_that_looks_like_json_stays_text(write, lines):
    file = write("hyp.txt", "\n".join(lines) + "\n")
    assert read_hypotheses(file).values == lines


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", '{"hypothesis": "k"}\n\n{"hypothesis": "l"', "a.txt, line 3: not JSON ("),
        ("a.txt", 'A pub.\n{"hypothesis": "k"}\n', "a.txt, line 1: no JSON object, though other lines are"),
        ("a.txt", '{"hypothesis": "k"}\n["l"]\n', "a.txt, line 2: no JSON object, though other lines are"),
        ("a.txt", "{}\n", 'a.txt, line 1: no text under the key "hypothesis"'),
        ("a.json", '[{"hypothesis": "k"},\n{"hypothesis": "l"\n', "a.json, line 3: not JSON ("),
        ("a.json", '["k"]\n', 'a.json, line 1: no text under the key "hypothesis"'),
        ("a.json", '{\n"hypothesis": "k"\n}\n', "a.json, line 1: not JSON ("),
        ("a.json", "A pub.\n", "a.json, line 1: not JSON ("),
        ("a.txt", '[{"hypothesis": "k"}, {"text": "l"}]', 'a.txt, record 2: no text under the key "hypothesis"'),
        ("a.jsonl", f'{{"hypothesis": {DEEP}', "a.jsonl, line 1: JSON that is nested too deeply to be read"),
        ("a.jsonl", f'\n{{"id": {LONG}}}', "a.jsonl, line 2: a whole number of more than 4,300 digits"),
        ("a.txt", f'{{"hypothesis": "k"}}\n{{"id": {LONG}}}', "a.txt, line 2: a whole number of more than 4,300 digits"),
        ("a.json", DEEP, "a.json: JSON that is nested too deeply to be read"),
    ],
)  # fmt: skip
def test_a_broken_file_of_records_is_no_text(write, name, content, message):
    with pytest.raises(UserError) as error:
        read_hypotheses(write(name, content))
    assert message in str(error.value) and "\n" not in str(error.value)


def test_deep_text_is_text(write):
    assert not holds_records(write("a.txt", DEEP), "hypothesis")


@settings(deadline=None)
@given(st.data(), st.lists(st.one_of(st.integers(), st.text(max_size=5)), min_size=1, max_size=6, unique_by=str))
def test_records_are_paired_by_id(write, data, ids):
    said = data.draw(st.permutations(hypotheses([f"said of {i}" for i in ids], ids)))
    wanted = write("refs.json", references([[f"wanted of {i}"] for i in ids], [str(i) for i in ids]))
    pairs = [f"said of {i}" for i in ids], [[f"wanted of {i}"] for i in ids]
    assert read_columns(write("hyp.txt", said), [wanted]) == e2e.read(write("hyp.txt", said), [wanted]) == pairs


@pytest.mark.parametrize(
    ("hyp_ids", "ref_ids"), [(None, ["a", "b"]), (["b", "a"], None), ([None, None], ["a", "b"]), (["b", "b"], None)]
)
def test_without_ids_of_both_the_order_counts(write, hyp_ids, ref_ids):
    hyp, refs = write("hyp.jsonl", hypotheses("kl", hyp_ids)), write("refs.jsonl", references([["m"], ["n"]], ref_ids))
    assert read_columns(hyp, [refs]) == (["k", "l"], [["m"], ["n"]])


@pytest.mark.parametrize(
    ("hyp_ids", "ref_ids", "message"),
    [
        ("ba", "ac", r"hyp\.jsonl, line 1: id 'b', which .*refs\.jsonl does not have$"),
        ("a", "abc", r"hyp\.jsonl: no id 'b', which is in .*refs\.jsonl, line 2$"),
        ("aba", "ab", r"hyp\.jsonl, line 3: id 'a' again, after line 1$"),
        ("ab", "aba", r"refs\.jsonl, line 3: id 'a' again, after line 1$"),
        (["a", None], "ab", r"hyp\.jsonl, line 2: no id, though others have one$"),
        ("ab", [None, "a"], r"refs\.jsonl, line 1: no id, though others have one$"),
    ],
)
def test_ids_that_do_not_match(write, hyp_ids, ref_ids, message):
    hyp = write("hyp.jsonl", hypotheses("k" * len(hyp_ids), hyp_ids))
    refs = write("refs.jsonl", references([["k"]] * len(ref_ids), ref_ids))
    with pytest.raises(UserError, match=message):
        read_columns(hyp, [refs])


def test_the_order_of_hypotheses_with_ids_changes_no_score(write):
    said = ["the pub is cheap", "the inn is far away", "a fish"]
    wanted = references([["the pub is not cheap"], ["the inn is far"], ["a fish"]], "abc")
    found = [
        Scores.of(xsum.measure(*read_columns(write("hyp.jsonl", records), [write("refs.jsonl", wanted)]))).metrics
        for records in (hypotheses(said, "abc"), hypotheses(said, "abc")[::-1])
    ]
    assert found[0] == found[1] and found[0]["rouge1"] == round((8 / 9 + 8 / 9 + 1) / 3, 4)


@settings(deadline=None)
@given(st.data(), st.lists(st.tuples(texts, texts), min_size=1, max_size=4), st.booleans())
def test_references_of_several_files_are_joined(write, data, segments, with_ids):
    ids = [f"s{i}" for i in range(len(segments))] if with_ids else None
    second = references([more for _, more in segments], ids)
    if with_ids:
        second = data.draw(st.permutations(second))
    files = [write("a.jsonl", references([first for first, _ in segments], ids)), write("b.json", second)]
    joined = [first + more for first, more in segments]
    listing = read_references(files)
    assert listing.values == joined and listing.kind == (("id",) if with_ids else ())
    assert read_columns(write("hyp.jsonl", hypotheses(["k"] * len(joined), ids)), files)[1] == joined


def test_text_joins_records_without_ids(write):
    files = [write("a.jsonl", references([["k", "l"], []])), write("b.txt", "m\n\n")]
    assert read_references(files).values == [["k", "l", "m"], [""]]


ONE, TWO = [["k"]], [["k"], ["l"]]


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (references(TWO), references(ONE), r"b\.jsonl has 1 segments, but .*a\.jsonl has 2$"),
        (references(TWO, "xy"), references(TWO, "xz"), r"b\.jsonl, line 2: id 'z', which .*a\.jsonl does not have$"),
        (references(TWO, "xy"), references(ONE, "x"), r"b\.jsonl: no id 'y', which is in .*a\.jsonl, line 2$"),
        (
            references(TWO, "xy"),
            references(TWO),
            r"b\.jsonl has no id, but .*a\.jsonl has: references are joined by id",
        ),
        (
            references(TWO),
            references(TWO, "xy"),
            r"a\.jsonl has no id, but .*b\.jsonl has: references are joined by id",
        ),
        (references(TWO), "k\nl\n", r"b\.jsonl, line 1: not JSON"),
    ],
)
def test_references_that_do_not_join(write, first, second, message):
    with pytest.raises(UserError, match=message):
        read_references([write("a.jsonl", first), write("b.jsonl", second)])
