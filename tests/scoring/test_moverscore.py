"""MoverScore by a tiny random DistilBERT, against idf and transport written out."""

import string
from math import log

import numpy as np
import pytest
import torch
from transformers import AutoModel, BertTokenizer, DistilBertConfig, DistilBertModel

from stages.scoring.neural.bertscore import Encoder
from stages.scoring.neural.moverscore import moverscore, unigram_mover
from stages.scoring.scores import Unavailable

WORDS = "the old mill is a cheap pub in centre near crane river café".split()
PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *string.punctuation, *WORDS, "##s", "##ing", "##side"]
LONGEST = 48
HYPOTHESES = ["The Old Mills is a cheap pub.", "pub", "Riversides, near the crane", "a pub, a mill; a pub"]
REFERENCES = [["A cheap pub is the Old Mill.", "x"], ["the pub!"], ["the riverside is near"], ["a mill, near a pub"]]
AWKWARD = ["pub", "the ||| mill", "🙂", "old\nmill", "\ud83d", "\x00", "...", "[SEP]", "", "pub river " * 5_000]


@pytest.fixture(scope="module")
def distilbert(tmp_path_factory):
    directory = tmp_path_factory.mktemp("distilbert")
    tokenizer = BertTokenizer({piece: id for id, piece in enumerate(PIECES)}, model_max_length=512)
    tokenizer.save_pretrained(directory)
    torch.manual_seed(0)
    config = DistilBertConfig(
        vocab_size=len(PIECES), dim=32, hidden_dim=48, n_layers=2, n_heads=4, max_position_embeddings=LONGEST,
        initializer_range=0.3,
    )  # fmt: skip
    DistilBertModel(config).save_pretrained(directory)
    return directory


@pytest.fixture(scope="module")
def encoder(distilbert):
    return Encoder(distilbert, 2)


def values(metric):
    return metric.segments[:, 0]


def split(text):
    """Word pieces of the words above, in lower case."""
    for mark in string.punctuation:
        text = text.replace(mark, f" {mark} ")
    pieces = []
    for word in text.lower().split():
        stem = next((word[:end] for end in range(len(word), 0, -1) if word[:end] in PIECES), "")
        ending = word[len(stem) :]
        ends = {"": [], "s": ["##s"], "side": ["##side"], "sides": ["##side", "##s"]}[ending]
        pieces += [stem, *ends]
    return ["[CLS]", *pieces, "[SEP]"]


def idf(texts):
    documents = [set(split(text)) for text in texts]
    return {
        piece: log((len(documents) + 1) / (sum(piece in document for document in documents) + 1)) for piece in PIECES
    }


@torch.inference_mode()
def by_hand(model, reference, hypothesis, reference_idf, hypothesis_idf):
    """1 - the optimum of the transport problem over all pieces but the silent ones."""
    optimize = pytest.importorskip("scipy.optimize")
    weights, points = [], []
    for text, table in ((reference, reference_idf), (hypothesis, hypothesis_idf)):
        pieces = split(text)
        states = model(torch.tensor([[PIECES.index(piece) for piece in pieces]])).last_hidden_state[0].double().numpy()
        loud = [not piece.startswith("##") and piece not in string.punctuation for piece in pieces]
        weight = np.array([table[piece] for piece in pieces])[loud]
        weights.append(weight / weight.sum())
        points.append((states / np.linalg.norm(states, axis=1, keepdims=True))[loud])
    distance = np.linalg.norm(points[0][:, None] - points[1][None], axis=-1)
    rows, columns = distance.shape
    supply = np.kron(np.eye(rows), np.ones(columns))
    demand = np.kron(np.ones(rows), np.eye(columns))
    solved = optimize.linprog(distance.ravel(), A_eq=np.vstack([supply, demand]), b_eq=np.concatenate(weights))
    return 1 - solved.fun


def test_formula(encoder, distilbert):
    model = AutoModel.from_pretrained(distilbert)
    metric = unigram_mover(HYPOTHESES, REFERENCES, encoder)
    first = [segment[0] for segment in REFERENCES]
    tables = idf(first), idf(HYPOTHESES)
    expected = [by_hand(model, *pair, *tables) for pair in zip(first, HYPOTHESES, strict=True)]
    assert values(metric) == pytest.approx(expected, abs=1e-6)
    assert metric.score() == pytest.approx(np.mean(expected), abs=1e-6)
    assert metric.whole_set_only
    assert max(expected) < 0.99, "texts that are all alike test nothing"


def test_identical_texts(encoder):
    assert unigram_mover(HYPOTHESES, [[text] for text in HYPOTHESES], encoder).score() == 1


def test_only_the_first_reference_counts(encoder):
    alone = unigram_mover(HYPOTHESES, [segment[:1] for segment in REFERENCES], encoder)
    pairs = zip(REFERENCES, HYPOTHESES, strict=True)
    more = unigram_mover(HYPOTHESES, [[*segment, hyp] for segment, hyp in pairs], encoder)
    assert values(alone).tolist() == values(more).tolist()


def test_without_weight_nothing_moves(encoder):
    """The official script's number of an empty hypothesis, of punctuation, and of a set of one segment is 1."""
    hypotheses = ["", "?!", "pub", "mill"]
    assert values(unigram_mover(hypotheses, REFERENCES, encoder))[:2].tolist() == [1, 1]
    assert unigram_mover(["pub"], [["a mill near the river"]], encoder).score() == 1


def test_batches_and_order_do_not_matter(encoder):
    hypotheses, references = HYPOTHESES * 20, REFERENCES * 20
    order = np.random.default_rng(0).permutation(len(hypotheses))
    together = values(unigram_mover(hypotheses, references, encoder))
    shuffled = unigram_mover([hypotheses[i] for i in order], [references[i] for i in order], encoder)
    assert values(shuffled) == pytest.approx(together[order], abs=1e-6)


def test_awkward_texts(encoder):
    same = unigram_mover(AWKWARD, [[text] for text in AWKWARD], encoder)
    assert values(same) == pytest.approx(np.ones(len(AWKWARD)))
    other = unigram_mover(AWKWARD, [["a cheap pub"]] * 5 + [["near the mill"]] * 5, encoder)
    assert np.isfinite(values(other)).all()
    assert max(map(len, encoder.pieces(AWKWARD))) == LONGEST


def test_another_model_is_refused(distilbert):
    with pytest.raises(Unavailable, match=r"does not hold distilbert-base-uncased, but .*n_layers 2, dim 32"):
        moverscore(["a"], [["a"]], distilbert)


def test_fewer_layers(distilbert):
    assert len(Encoder(distilbert, 1).model.transformer.layer) == 1
