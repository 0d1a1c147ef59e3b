"""NIST as mteval-v13a's Perl prints it (Doddington 2002).

The Python copy of mteval in the E2E script and nltk's corpus_nist define the length penalty or the
information weights otherwise and print other numbers.
"""

import math
from collections import Counter
from functools import reduce
from operator import or_

from stages.scoring.mteval import tokenize

ORDER = 5
_PENALTY = math.log(0.5) / math.log(1.5) ** 2  # a hypothesis of two thirds of the length scores half

Ngram = tuple[str, ...]


def ngrams(words: list[str]) -> Counter[Ngram]:
    """Counts of all n-grams of 1..ORDER words."""
    return Counter(tuple(words[i : i + n]) for n in range(1, ORDER + 1) for i in range(len(words) - n + 1))


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


def nist(hypotheses: list[str], references: list[list[str]]) -> float:
    """Corpus NIST-5, at least 0, no upper bound. `references[i]` are those of `hypotheses[i]`.

        NIST = penalty(H / L) * sum_{n=1..5} gain_n / max(1, hypothesis n-grams)

    gain_n sums min(count, most in one reference) * information over the n-grams of every hypothesis,
    information(w1..wn) = log2(count(w1..wn-1) / count(w1..wn)) in all references of the corpus together.
    H is the number of hypothesis words, L that of reference words over the mean number of references.
    """
    hypothesis_words = tokenize(hypotheses)
    reference_words = [tokenize(segment) for segment in references]
    reference_ngrams = [[ngrams(words) for words in segment] for segment in reference_words]

    total = sum(len(words) for segment in reference_words for words in segment)
    length = sum(len(words) for words in hypothesis_words)
    if not total or not length:
        return 0.0
    corpus: Counter[Ngram] = Counter()
    for segment in reference_ngrams:
        for counts in segment:
            corpus.update(counts)
    bits = information(corpus, total)

    gain, possible = [0.0] * ORDER, [0] * ORDER
    for words, segment in zip(hypothesis_words, reference_ngrams, strict=True):
        most_in_one = reduce(or_, segment)  # the union of two Counters keeps the larger count
        for ngram, count in ngrams(words).items():
            possible[len(ngram) - 1] += count
            gain[len(ngram) - 1] += min(count, most_in_one[ngram]) * bits.get(ngram, 0.0)
    mean_references = sum(len(segment) for segment in references) / len(references)
    precision = sum(g / max(1, p) for g, p in zip(gain, possible, strict=True))
    return precision * length_penalty(length / (total / mean_references))
