"""BLEURT by a tiny random BERT with one output, against the model called on one pair at a time."""

import json
import string

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModel, BertConfig, BertForSequenceClassification, BertModel, BertTokenizer

from stages.scoring.neural.bleurt import bleurt, cut
from stages.scoring.scores import Unavailable

WORDS = "the old mill is a cheap pub in centre near crane river".split()
PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *string.punctuation, *WORDS, "##s"]
HYPOTHESES = ["The Old Mills is a cheap pub.", "pub", "near the crane", ""]
REFERENCES = [["A cheap pub is the Old Mill.", "x"], ["the pub!"], ["in the centre"], ["a mill, near a pub"]]
AWKWARD = ["pub", "the ||| mill", "🙂", "old\nmill", "\ud83d", "\x00", "", "pub river " * 5_000]


def save(directory, kind=BertForSequenceClassification, **config):
    BertTokenizer({piece: id for id, piece in enumerate(PIECES)}).save_pretrained(directory)
    torch.manual_seed(0)
    tiny = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    kind(BertConfig(vocab_size=len(PIECES), initializer_range=0.3, **tiny, **config)).save_pretrained(directory)
    return directory


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return save(tmp_path_factory.mktemp("bleurt"), num_labels=1)


def values(metric):
    return metric.segments[:, 0]


@torch.inference_mode()
def logit(model, reference, hypothesis):
    """Of pieces without [CLS] and [SEP]."""
    ids = [["[CLS]", *reference, "[SEP]"], [*hypothesis, "[SEP]"]]
    kinds = [0] * len(ids[0]) + [1] * len(ids[1])
    inputs = [[PIECES.index(piece) for piece in ids[0] + ids[1]]]
    return model(input_ids=torch.tensor(inputs), token_type_ids=torch.tensor([kinds])).logits.item()


def test_one_pair_at_a_time(checkpoint):
    model = BertForSequenceClassification.from_pretrained(checkpoint)
    pairs = [
        ("a cheap pub is the old mill .", "the old mill ##s is a cheap pub ."),
        ("the pub !", "pub"),
        ("in the centre", "near the crane"),
        ("a mill , near a pub", ""),
    ]
    expected = [logit(model, reference.split(), hypothesis.split()) for reference, hypothesis in pairs]
    metric = bleurt(HYPOTHESES, REFERENCES, checkpoint)
    assert values(metric) == pytest.approx(expected, abs=1e-5)
    assert metric.score() == pytest.approx(np.mean(expected), abs=1e-5)
    assert np.std(expected) > 0.01, "a model that finds all pairs alike tests nothing"


@pytest.mark.parametrize(("named", "room"), [(None, 125), (60, 57), (9999, 509)])
def test_long_pairs_are_cut(checkpoint, tmp_path, named, room):
    for file in checkpoint.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    if named:
        (tmp_path / "bleurt_config.json").write_text(json.dumps({"max_seq_length": named}))
    model = BertForSequenceClassification.from_pretrained(checkpoint)
    expected = logit(model, ["mill"] * (room - room // 2), ["pub"] * (room // 2))
    found = values(bleurt(["pub " * 600, "pub"], [["mill " * 600], ["mill " * 600]], tmp_path))
    assert found == pytest.approx([expected, logit(model, ["mill"] * (room - 1), ["pub"])], abs=1e-5)


@given(st.integers(0, 30), st.integers(0, 30), st.integers(1, 30))
def test_cut(reference, hypothesis, room):
    """Piece by piece, as BLEURT does it."""
    first, second = list(range(reference)), list(range(hypothesis))
    found = cut(first, second, room)
    while len(first) + len(second) > room:
        (first if len(first) > len(second) else second).pop()
    assert found == (first, second)


def test_batches_and_order_do_not_matter(checkpoint):
    hypotheses, references = HYPOTHESES * 20, REFERENCES * 20
    order = np.random.default_rng(0).permutation(len(hypotheses))
    together = values(bleurt(hypotheses, references, checkpoint))
    shuffled = bleurt([hypotheses[i] for i in order], [references[i] for i in order], checkpoint)
    assert values(shuffled) == pytest.approx(together[order], abs=1e-5)


def test_awkward_texts(checkpoint, capfd):
    capfd.readouterr()
    scores = values(bleurt(AWKWARD, [["a pub"]] * len(AWKWARD), checkpoint))
    assert np.isfinite(scores).all()
    assert capfd.readouterr() == ("", "")


def test_other_models_are_refused(checkpoint, tmp_path):
    with pytest.raises(Unavailable, match=r"does not hold BLEURT.*\['BertModel'\], 2 labels"):
        bleurt(["a"], [["a"]], save(tmp_path / "encoder", BertModel))
    with pytest.raises(Unavailable, match=r"does not hold BLEURT.*3 labels"):
        bleurt(["a"], [["a"]], save(tmp_path / "classifier", num_labels=3))
    with pytest.raises(Unavailable, match=r"config\.json cannot be read"):
        bleurt(["a"], [["a"]], tmp_path)


def test_missing_output(checkpoint, tmp_path):
    for file in checkpoint.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    config = (tmp_path / "config.json").read_text()
    AutoModel.from_pretrained(checkpoint).save_pretrained(tmp_path)  # the classifier without its last matrix
    (tmp_path / "config.json").write_text(config)
    with pytest.raises(Unavailable, match=r"it lacks classifier\.bias"):
        bleurt(["a"], [["a"]], tmp_path)


@pytest.mark.parametrize("length", [3, "128", None])
def test_nonsense_length(checkpoint, tmp_path, length):
    for file in checkpoint.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "bleurt_config.json").write_text(json.dumps({"max_seq_length": length}))
    with pytest.raises(Unavailable, match="max_seq_length"):
        bleurt(["a"], [["a"]], tmp_path)
