"""BLEU as Moses' multi-bleu.perl prints it, for WebNLG and DART.

The script splits at ASCII white space and nothing else, and it reads a missing reference as an empty line,
hence as one of length 0: where a hypothesis has less than half the words of every reference, that one is
the closest and spares it most of the brevity penalty. mteval, of the E2E challenge, has no such references.
"""

from itertools import zip_longest

import numpy as np
from sacrebleu.metrics import BLEU

from stages.scoring.ngrams import matches_and_totals, ngram_matches
from stages.scoring.scores import Metric, Metrics, detail

DECIMALS = 2

# Perl reads bytes and knows no white space beyond ASCII; sacrebleu splits at these, too. Each becomes a letter.
_UNICODE_SPACES = "\x1c\x1d\x1e\x1f\x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
_UNICODE_SPACES += "\u2028\u2029\u202f\u205f\u3000"
_LETTERS = {ord(space): 0xF0000 + number for number, space in enumerate(_UNICODE_SPACES)}  # for private use


def bleu_of(sums: np.ndarray) -> float:
    """BLEU-4 in [0, 100] of summed `ngram_matches`, not smoothed: 0 where an order has no match."""
    matches, totals = matches_and_totals(sums)
    return BLEU.compute_bleu(matches.tolist(), totals.tolist(), int(sums[0]), int(sums[1]), "none").score


def multibleu(hypotheses: list[str], references: list[list[str]]) -> Metrics:
    """BLEU in [0, 100], and the words of the hypotheses and of the closest references.

    `references[i]` are those of `hypotheses[i]`; where one segment has more than another, the other's are
    filled up with empty ones.
    """
    columns = zip_longest(*references, fillvalue="")  # [most references, segments]
    padded = zip(*(map(_ascii_spaces, column) for column in columns), strict=True)
    counts = ngram_matches(list(map(_ascii_spaces, hypotheses)), list(map(list, padded)), "none")
    return {
        "BLEU": Metric(counts, bleu_of, DECIMALS),
        "hyp_len": detail(counts[:, 0]),
        "ref_len": detail(counts[:, 1]),
    }


def _ascii_spaces(text: str) -> str:
    return text.translate(_LETTERS)
