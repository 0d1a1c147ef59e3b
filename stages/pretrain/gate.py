"""What keeps a model from being released: measures of its probes and losses outside the bounds of params.yaml."""

from collections.abc import Mapping

from stages.pretrain.section import Bounds

Numbers = Mapping[str, Mapping[str, float | None]]  # by probe and measure; None: there was nothing to measure


def bound(bounds: Bounds, probe: str, measure: str) -> str:
    """As people write it: `at least 0.9`, `at most 0.1`, both with a comma, or nothing."""
    named = (("at least", bounds.least), ("at most", bounds.most))
    return ", ".join(f"{word} {part[probe][measure]:g}" for word, part in named if measure in part.get(probe, {}))


def misses(numbers: Numbers, bounds: Bounds) -> list[str]:
    """Each bound that is missed, as `probe.measure 0.61 (at least 0.9)`; a measure that nobody took misses its bound."""
    found = []
    for part, sign in ((bounds.least, 1), (bounds.most, -1)):
        for probe, measures in part.items():
            for measure, limit in measures.items():
                value = numbers.get(probe, {}).get(measure)
                if value is None or (value - limit) * sign < 0:
                    shown = "not measured" if value is None else f"{value:g}"
                    found.append(f"{probe}.{measure} {shown} ({'at least' if sign > 0 else 'at most'} {limit:g})")
    return found
