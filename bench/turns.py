"""What every part of the bench needs: runs in turns, and rows of the table."""

import sys
from dataclasses import dataclass
from pathlib import Path

from bench.fresh import fresh

KEPT = Path(".bench")  # what the bench writes


# By name: the function, and its arguments but `home`.
Calls = dict[str, tuple[str, dict]]


@dataclass(frozen=True)
class Bench:
    """Where the inputs are, on what it runs, and what that can do at most (`bench.limits.measured`)."""

    home: str
    gpu: bool
    limits: dict[str, float]
    chosen_steps: int | None = None

    def steps(self, on_cpu: int) -> int:
        """Training steps: those chosen, else 90 on a GPU (its steps are short), else `on_cpu`."""
        return self.chosen_steps or (90 if self.gpu else on_cpu)


@dataclass(frozen=True)
class Row:
    """`ratio` as `parts` says, or None; `ours`, `peer` and `limit`, the least that this machine could take, in `unit`."""

    name: str
    what: str
    ours: float
    peer: float | None
    unit: str
    ratio: float | None
    note: str
    limit: float | None = None


def in_turns(bench: Bench, rounds: int, calls: Calls) -> dict[str, dict]:
    """By name, the result of the fastest of so many runs of each; the peak of memory is the highest."""
    best: dict[str, dict] = {}
    for number in range(1, rounds + 1):
        for name, (function, arguments) in calls.items():
            found = fresh(function, home=bench.home, **arguments)
            print(f"  {name} {number}/{rounds}: {found['seconds']:.1f} s, {found['peak_mb']:.0f} MB", file=sys.stderr)
            peak = max(found["peak_mb"], best.get(name, found)["peak_mb"])
            best[name] = min(found, best.get(name, found), key=lambda one: one["seconds"]) | {"peak_mb": peak}
    return best


def timed(name: str, what: str, ours: dict, peer: dict, note: str) -> Row:
    """Seconds of both."""
    ratio = peer["seconds"] / ours["seconds"]
    return Row(name, what, ours["seconds"], peer["seconds"], "s", ratio, note, ours.get("limit"))


def memory(result: dict) -> float:
    return result["peak_mb"] - result["imports_mb"]
