"""NIST as mteval-v13a's Perl prints it (Doddington 2002).

The Python copy of mteval in the E2E script and nltk's corpus_nist define the length penalty or the
information weights otherwise and print other numbers.
"""

import math
from collections import Counter

import numpy as np

from stages.scoring.mteval import tokenize
from stages.scoring.scores import Metric

DECIMALS = 4
ORDER = 5
_PENALTY = math.log(0.5) / math.log(1.5) ** 2  # a hypothesis of two thirds of the length scores half

Ngram = tuple[str, ...]


def ngrams(words: list[str]) -> list[Ngram]:
    """All n-grams of 1..ORDER words."""
    return [ngram for n in range(1, ORDER + 1) for ngram in zip(*(words[i:] for i in range(n)), strict=False)]


def information(counts: Counter[Ngram], words: int) -> dict[Ngram, float]:
    """Bits that an n-gram's last word adds to the words before it; `words` is the length of the corpus."""

    def before(ngram: Ngram) -> int:
        # "0" is false in Perl: mteval takes a lone "0" before the last word for no word at all.
        return counts[ngram[:-1]] if ngram[:-1] not in ((), ("0",)) else words

    return {ngram: math.log2(before(ngram) / count) for ngram, count in counts.items()}


def length_penalty(ratio: float) -> float:
    """In [0, 1], from hypothesis length / mean reference length."""
    if ratio <= 0:
        return 0.0
    return math.exp(_PENALTY * math.log(min(ratio, 1.0)) ** 2)


def nist(hypotheses: list[str], references: list[list[str]]) -> Metric:
    """Corpus NIST-5, at least 0, no upper bound. `references[i]` are those of `hypotheses[i]`, at least one.

        NIST = penalty(H / L) * sum_{n=1..5} gain_n / max(1, hypothesis n-grams)

    gain_n sums min(count, most in one reference) * information over the n-grams of every hypothesis,
    information(w1..wn) = log2(count(w1..wn-1) / count(w1..wn)) in all references of the corpus together.
    H is the number of hypothesis words, L that of reference words over the mean number of references.
    """
    hypothesis_words = tokenize(hypotheses)
    reference_words = [tokenize(segment) for segment in references]
    reference_ngrams = [[ngrams(words) for words in segment] for segment in reference_words]

    corpus: Counter[Ngram] = Counter()
    for segment in reference_ngrams:
        for found in segment:
            corpus.update(found)
    bits = information(corpus, sum(len(words) for segment in reference_words for words in segment))

    # [segments, 4 + 2 * ORDER]: 1, hypothesis words, reference words, references; gain and n-grams by order
    statistics = np.zeros((len(hypotheses), 4 + 2 * ORDER))
    for row, words, segment in zip(statistics, hypothesis_words, reference_ngrams, strict=True):
        row[3] = len(segment)
        in_references = [Counter(found) for found in segment]
        for ngram, count in Counter(ngrams(words)).items():
            most_in_one = max(counts.get(ngram, 0) for counts in in_references)
            row[3 + len(ngram)] += min(count, most_in_one) * bits.get(ngram, 0.0)
            row[3 + ORDER + len(ngram)] += count
    statistics[:, 0] = 1
    statistics[:, 1] = [len(words) for words in hypothesis_words]
    statistics[:, 2] = [sum(map(len, segment)) for segment in reference_words]
    return Metric(statistics, nist_of, DECIMALS, whole_set_only=True)


def nist_of(sums: np.ndarray) -> float:
    """NIST of the summed statistics of `nist`."""
    segments, words, reference_words, references = sums[:4]
    if not words or not reference_words:
        return 0.0
    gain, possible = sums[4 : 4 + ORDER], sums[4 + ORDER :]
    precision = float((gain / np.maximum(possible, 1)).sum())
    return precision * length_penalty(words / (reference_words / (references / segments)))
