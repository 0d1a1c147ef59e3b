"""Majority vote over several runs (Lester et al. 2021, section 6)."""

from collections import Counter
from collections.abc import Sequence


def vote(answers: Sequence[Sequence[str]]) -> list[str]:
    """The most frequent answer to each source; `answers` is indexed [run][source]. In a tie, the earliest run's
    answer wins."""
    return [Counter(given).most_common(1)[0][0] for given in zip(*answers, strict=True)]
