"""Records become examples as a stream: the same ids as text by text, the same order, and flat memory."""

import tracemalloc
from types import MethodType, SimpleNamespace

import pytest
import torch

from stages.core.errors import UserError
from stages.core.record import Record, read_records, write_records
from stages.core.scratch import SCRATCH
from stages.models import encode as engine
from stages.models.batches import Batch, Example
from stages.models.encode import Examples, Rows, check_length, encode
from stages.models.model import GenerativeLM
from stages.training.batches import BatchSampler

RECORDS = [Record(f"r{i}", f"name : Oak {i}", [f"Oak {i} is old. " * (k + 1) for k in range(i % 4)]) for i in range(9)]


def test_examples_are_those_of_each_text_alone(any_lm, project, monkeypatch):
    monkeypatch.setattr(engine, "AT_ONCE", 2)
    found = encode(any_lm, iter(RECORDS), 5, 7)
    expected = [
        Example(any_lm.source_ids([record.source], 5)[0], any_lm.target_ids([target], 7)[0])
        for record in RECORDS
        for target in record.targets
    ]
    assert len(found) == len(expected) == 12 and list(found) == expected
    assert (found[-1], found[4]) == (expected[-1], expected[4]) and type(found[0].source[0]) is int
    assert found.lengths.tolist() == [[len(example.source), len(example.target)] for example in expected]
    with pytest.raises(IndexError):
        found[12]
    assert list(SCRATCH.iterdir()) == [], "the file has no name"


def test_joint_of_source_and_target(lm):
    """` source<sep>target<end>` with no space before the target; the loss begins behind the separator."""
    [one, two] = encode(lm, [Record("r", "name : Oak", [" Oak is old. ", "Old Oak"])], None, None)
    ids = lm.tokenizer(" name : Oak", add_special_tokens=False)["input_ids"]
    assert one.source == two.source == ids
    assert one.target == [*lm.tokenizer("Oak is old.", add_special_tokens=False)["input_ids"], lm.end]
    batch = Batch.of([one, two], [0, 0], lm.device)
    assert batch.labels.tolist() == one.target + two.target
    assert batch.rows.tolist() == [0] * len(one.target) + [1] * len(two.target)


def test_an_encoder_decoder_reads_the_tokenizers_own_form(seq2seq):
    [one] = encode(seq2seq, [Record("r", " Oak is old ", ["Old Oak"])], None, None)
    assert one.source == seq2seq.tokenizer("Oak is old")["input_ids"] and one.target[-1] == seq2seq.end
    [cut] = encode(seq2seq, [Record("r", "Oak is old and so is Elm", ["Old Oak and Elm"])], 4, 3)
    assert (len(cut.source), len(cut.target), cut.target[-1]) == (4, 3, seq2seq.end)


def test_no_rows(project):
    assert list(Rows([])) == [] and list(Rows([[], [2**31 - 1]])) == [[], [2**31 - 1]]


def test_memory_does_not_grow_with_the_examples(project):
    def ids(texts, most):
        return [list(range(1000, 1100)) for _ in texts]

    lm = SimpleNamespace(source_ids=ids, target_ids=ids)
    lm.examples = MethodType(GenerativeLM.examples, lm)
    path = project / "records.jsonl"
    write_records(path, (Record(f"r{i}", "x" * 500, ["y" * 100]) for i in range(5000)))
    tracemalloc.start()
    found = encode(lm, read_records(path), None, None)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.lengths.sum() == 1_000_000 and peak < 2_000_000, f"{peak:,} bytes: lists of the ids have 8 million"


def test_no_place_for_the_ids_is_one_line(project):
    SCRATCH.write_text("in the way")
    with pytest.raises(UserError, match=r"^cannot write token ids into \.scratch: File exists$"):
        Rows([[1]])


def test_text_that_does_not_fit_behind_the_prefix(lm, project):
    check_length(lm, Examples([Example([1] * 50, [1] * 5)]), 201)
    message = "202 virtual tokens .*, a source of 50 and a target of 5 tokens exceed the 256 positions"
    with pytest.raises(UserError, match=message):
        check_length(lm, Examples([Example([1] * 3, [1]), Example([1] * 50, [1] * 5)]), 202)


def test_the_order_of_published_runs():
    """Of lengths with ties and a last batch that is not full, over two epochs; and of more than one pool."""
    order = BatchSampler(torch.tensor([i * i % 13 + 2 for i in range(14)]), 4, 101, 50)
    assert [order.at(step) for step in range(8)] == [
        [13, 0, 11, 2], [3, 7], [9, 6, 8, 5], [12, 1, 4, 10],
        [0, 1, 4, 3], [13, 9, 11, 5], [2, 8], [12, 10, 6, 7],
    ]  # fmt: skip
    order = BatchSampler(torch.tensor([i * i % 13 + 2 for i in range(205)]), 1, 101, 50)
    assert [order.at(step)[0] for step in range(30)] == [
        140, 133, 41, 146, 44, 4, 86, 84, 69, 121, 45, 167, 202, 116, 201, 83, 74, 164, 141, 30,
        180, 91, 155, 134, 37, 138, 127, 152, 42, 33,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"id": "a", \n', "line 3: not JSON (Expecting property name enclosed in double quotes)"),
        (b'{"id": "a\n', "line 3: not JSON (Unterminated string starting at)"),
        (b'{"id": "\xff"}\n', "line 3: byte 0xff is not UTF-8"),
        (b'{"id": "\xc3\n', "line 3: byte 0xc3 is not UTF-8"),
        (b'["a"]\n', "record 2: stages.core.record.Record() argument after ** must be a mapping, not list"),
        (b'{"id": "a"}', "record 2: Record.__init__() missing 2 required positional arguments: 'source' and 'targets'"),
    ],
)
def test_a_wrong_line_is_named_when_it_is_reached(tmp_path, content, message):
    path, good = tmp_path / "records.jsonl", Record("r", "é\u2028\x85", ["t"])
    write_records(path, [good])
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes() + b"\n" + content)
    records = read_records(path)
    assert next(records) == good
    with pytest.raises(UserError) as raised:
        next(records)
    assert str(raised.value) == f"{path}, {message}"


def test_no_file(tmp_path):
    with pytest.raises(UserError, match=r"^cannot read .*none: No such file or directory$"):
        next(read_records(tmp_path / "none"))
