"""Votes of several runs (Lester et al. 2021, section 6)."""

from collections import Counter
from collections.abc import Sequence


def vote(answers: Sequence[Sequence[str]]) -> list[str]:
    """The answer that most runs give, of `answers[run][source]`; of several such, that of the first run that gives one."""
    return [Counter(given).most_common(1)[0][0] for given in zip(*answers, strict=True)]
