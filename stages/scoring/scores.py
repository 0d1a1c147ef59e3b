"""What a metric set returns: numbers, and a reason wherever there is none."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field


class Unavailable(Exception):
    """A metric cannot be computed here; the message says why, and what to install, in one line."""


@dataclass(frozen=True)
class Scores:
    """Metrics by name. One that could not be computed is None and has its reason under the same name."""

    metrics: dict[str, float | None]
    reasons: dict[str, str] = field(default_factory=dict)

    @classmethod
    def unavailable(cls, names: Iterable[str], reason: str) -> "Scores":
        names = tuple(names)
        return cls(dict.fromkeys(names), dict.fromkeys(names, reason))

    def __or__(self, other: "Scores") -> "Scores":
        return Scores(self.metrics | other.metrics, self.reasons | other.reasons)

    def rounded(self, decimals: int) -> "Scores":
        return Scores(
            {name: None if value is None else round(float(value), decimals) for name, value in self.metrics.items()},
            self.reasons,
        )


def attempt(name: str, compute: Callable[[], float]) -> Scores:
    """Compute one metric; one that is Unavailable becomes None with its reason."""
    try:
        return Scores({name: compute()})
    except Unavailable as error:
        return Scores.unavailable([name], str(error))
