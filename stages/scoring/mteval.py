"""BLEU as mteval-v13a prints it, and the words that it counts (NIST counts the same ones)."""

import math
import string

import numpy as np
from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

from stages.scoring.ngrams import matches_and_totals, ngram_matches
from stages.scoring.scores import Metric

DECIMALS = 4

# mteval's Perl lowercases with tr/[A-Z]/[a-z]/: accented capitals keep their case, str.lower() would not do.
_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


def lowercase(text: str) -> str:
    return text.translate(_LOWER)


def tokenize(texts: list[str]) -> list[list[str]]:
    """The words of each text: ASCII letters lowercased, tokenized as mteval-v13a does."""
    tokenizer = Tokenizer13a()
    return [tokenizer(lowercase(text)).split() for text in texts]


def bleu(hypotheses: list[str], references: list[list[str]]) -> Metric:
    """Corpus BLEU-4 in [0, 1] of mteval-v13a: case-insensitive, closest reference length, smoothed.

    `references[i]` are those of `hypotheses[i]`, at least one.
    """
    # One that a segment lacks is left out: an empty text would count as a reference of length 0.
    lowercased = [[lowercase(text) for text in segment] for segment in references]
    counts = ngram_matches([lowercase(text) for text in hypotheses], lowercased, "13a")
    return Metric(counts, bleu_of, DECIMALS)


def bleu_of(sums: np.ndarray) -> float:
    """BLEU of summed `ngram_matches`, by mteval's own last step: sacrebleu's returns 0 where nothing matches
    or no hypothesis has four words, and mteval does not.

        BLEU = min(1, exp(1 - R/H)) * exp(sum_n ln(p_n) / 4),   n = 1..4

    H words in the hypotheses, R in the closest references; p_n = matches / n-grams, but 1 / (2^k * n-grams)
    for the k-th order without a match, and 1 for an order without n-grams.
    """
    words, closest = sums[:2]
    if not words:
        return 0.0
    log_precision, smooth = 0.0, 1.0
    matches, totals = matches_and_totals(sums)
    for matched, ngrams in zip(matches, totals, strict=True):
        if ngrams and not matched:
            smooth /= 2
        if ngrams:
            log_precision += math.log((matched or smooth) / ngrams)
    return math.exp(min(0.0, 1 - closest / words) + log_precision / len(totals))
