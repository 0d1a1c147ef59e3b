"""MoverScore (Zhao et al. 2019) as its moverscore_v2 computes it for DART."""

import string
from collections import Counter
from itertools import chain
from math import log
from pathlib import Path

import numpy as np
import torch
from pyemd import emd_with_flow

from stages.scoring.neural.bertscore import SEGMENTS, Encoder, Pieces, require
from stages.scoring.scores import Metric, mean

MODEL = "distilbert-base-uncased"
OFFICIAL = {"model_type": "distilbert", "n_layers": 6, "dim": 768, "n_heads": 12, "vocab_size": 30522}


def moverscore(hypotheses: list[str], references: list[list[str]], encoder: Path) -> Metric:
    """Mean MoverScore against the first references, by the distilbert-base-uncased in the directory `encoder`.

    `references[i]` are those of `hypotheses[i]`, at least one. At most 1. Raises Unavailable for another model.
    """
    require(MODEL, OFFICIAL, encoder)
    return unigram_mover(hypotheses, references, Encoder(encoder, OFFICIAL["n_layers"]))


def unigram_mover(hypotheses: list[str], references: list[list[str]], encoder: Encoder) -> Metric:
    """MoverScore by any encoder, which its name must tell.

    A segment scores 1 - the cost of moving the weight of its reference's pieces to its hypothesis' (earth mover's
    distance, n-grams of 1). Weights are idf, of references and of hypotheses apart; no stop words.
    """
    hyps = encoder.pieces(hypotheses)
    refs = encoder.pieces([segment[0] for segment in references])
    silent = _silent(encoder)
    hyp_weights, ref_weights = _idf(hyps, silent), _idf(refs, silent)
    pairs = list(zip(refs, hyps, strict=True))
    values = []
    for start in range(0, len(pairs), SEGMENTS):
        chunk = pairs[start : start + SEGMENTS]
        vectors = encoder.vectors(chain.from_iterable(chunk))
        values += [
            _score(*_bag(ref, ref_weights, vectors[ref]), *_bag(hyp, hyp_weights, vectors[hyp])) for ref, hyp in chunk
        ]
    return mean(values, whole_set_only=True)


def _silent(encoder: Encoder) -> set[int]:
    """Pieces without weight: those inside words, and punctuation marks."""
    marks = set(string.punctuation)
    return {id for piece, id in encoder.tokenizer.get_vocab().items() if "##" in piece or piece in marks}


def _idf(texts: list[Pieces], silent: set[int]) -> dict[int, float]:
    """Weight of every piece of the texts: ln((texts + 1) / (texts with it + 1)), 0 for the silent ones.

    [CLS] and [SEP], which all texts have, thus weigh nothing.
    """
    count = Counter(chain.from_iterable(map(set, texts)))
    return {piece: 0.0 if piece in silent else log((len(texts) + 1) / (n + 1)) for piece, n in count.items()}


def _bag(text: Pieces, idf: dict[int, float], vectors: torch.Tensor) -> tuple[np.ndarray, torch.Tensor]:
    """Weights that sum to 1 of the pieces that have any, [pieces], and their vectors, [pieces, width]."""
    weights = np.array([idf[piece] for piece in text])
    some = weights > 0
    return weights[some] / (weights.sum() or 1), vectors[torch.from_numpy(some).to(vectors.device)]


def _score(
    ref_weights: np.ndarray, ref_vectors: torch.Tensor, hyp_weights: np.ndarray, hyp_vectors: torch.Tensor
) -> float:
    """1 - the cost of the cheapest flow, whose distances are Euclidean."""
    # Without weight on one side nothing flows, and nothing is what it costs: the official script gives 1 to an
    # empty hypothesis. So it does to a set of one segment, where every idf is ln(2 / 2).
    if not len(ref_weights) or not len(hyp_weights):
        return 1.0
    points = torch.cat([ref_vectors, hyp_vectors])
    # Squares of differences, no matrix product: that would move equal points 0.0003 apart (as it does there).
    distances = torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist").cpu().numpy()
    supply, demand = np.zeros((2, len(points)))
    supply[: len(ref_weights)], demand[len(ref_weights) :] = ref_weights, hyp_weights
    _, flow = emd_with_flow(supply, demand, distances)
    return float(1 - (np.asarray(flow) * distances).sum())
