"""What BLEU adds up over segments: words and n-gram matches, counted by sacrebleu."""

import numpy as np
from sacrebleu.metrics import BLEU
from sacrebleu.metrics.bleu import MAX_NGRAM_ORDER


def ngram_matches(hypotheses: list[str], references: list[list[str]], tokenizer: str) -> np.ndarray:
    """[segments, 10]: words, words of the closest reference, then matches and n-grams of orders 1 to 4.

    Case counts. `tokenizer` is a name of sacrebleu's. An empty reference is one of length 0.
    """
    # effective_order changes the score of a segment, which is not used, and saves a warning for each.
    bleu = BLEU(tokenize=tokenizer, force=True, effective_order=True)
    counts = np.empty((len(hypotheses), 2 + 2 * MAX_NGRAM_ORDER))
    for row, hypothesis, segment in zip(counts, hypotheses, references, strict=True):
        found = bleu.sentence_score(hypothesis, segment)
        row[:] = [found.sys_len, found.ref_len, *found.counts, *found.totals]
    return counts


def matches_and_totals(sums: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of a sum of rows of `ngram_matches`: matches and n-grams by order."""
    return sums[2 : 2 + MAX_NGRAM_ORDER], sums[2 + MAX_NGRAM_ORDER :]
