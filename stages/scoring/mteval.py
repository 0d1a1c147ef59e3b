"""BLEU as mteval-v13a prints it, and the words that it counts (NIST counts the same ones)."""

import math
import string
from itertools import zip_longest

from sacrebleu.metrics import BLEU
from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

# mteval's Perl lowercases with tr/[A-Z]/[a-z]/: accented capitals keep their case, str.lower() would not do.
_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


def lowercase(text: str) -> str:
    return text.translate(_LOWER)


def tokenize(texts: list[str]) -> list[list[str]]:
    """The words of each text: ASCII letters lowercased, tokenized as mteval-v13a does."""
    tokenizer = Tokenizer13a()
    return [tokenizer(lowercase(text)).split() for text in texts]


def bleu(hypotheses: list[str], references: list[list[str]]) -> float:
    """Corpus BLEU-4 in [0, 1] of mteval-v13a: case-insensitive, closest reference length, smoothed.

    `references[i]` are those of `hypotheses[i]`, at least one. sacrebleu counts; the last step is mteval's
    own, for sacrebleu returns 0 where nothing matches or no hypothesis has four words, and mteval does not:

        BLEU = min(1, exp(1 - R/H)) * exp(sum_n ln(p_n) / 4),   n = 1..4

    H words in the hypotheses, R in the closest references; p_n = matches / n-grams, but 1 / (2^k * n-grams)
    for the k-th order without a match, and 1 for an order without n-grams.
    """
    # A missing reference is None: an empty text would count as a reference of length 0.
    columns = list(zip_longest(*([lowercase(text) for text in segment] for segment in references)))
    counted = BLEU(tokenize="13a", force=True).corpus_score([lowercase(text) for text in hypotheses], columns)
    if counted.sys_len == 0:
        return 0.0
    log_precision, smooth = 0.0, 1.0
    for matches, ngrams in zip(counted.counts, counted.totals, strict=True):
        if ngrams and not matches:
            smooth /= 2
        if ngrams:
            log_precision += math.log((matches or smooth) / ngrams)
    return math.exp(min(0.0, 1 - counted.ref_len / counted.sys_len) + log_precision / len(counted.totals))
