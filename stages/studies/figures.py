"""Pictures of a study in the layout of the paper's figures. Drawing needs no screen."""

from collections.abc import Callable, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stages.core.files import replacing
from stages.studies.plan import Plan
from stages.studies.results import Scores, Spread

Results = list[tuple[Plan, Scores]]
Plot = Callable[[Axes, Results, str], None]


def by_size(axes: Axes, results: Results, metric: str) -> None:
    """Figure 3: a line for each variant over the number of examples, with a band of one standard deviation.

    The size `full` is drawn at the right end, at twice the largest other size.
    """
    sizes = sorted({cell.size for cell, _ in results if cell.size != "full"})
    places = {size: float(size) for size in sizes} | {"full": 2.0 * sizes[-1] if sizes else 1.0}
    for variant in _variants(results):
        own = [(places[cell.size], scores[metric]) for cell, scores in results if cell.variant == variant]
        _line(axes, own, variant)
    shown = list(dict.fromkeys(cell.size for cell, _ in results))
    _ticks(axes, [places[size] for size in shown], [_named(size) for size in shown], "training examples")
    axes.legend()


def by_length(axes: Axes, results: Results, metric: str) -> None:
    """Figure 4: a line for each size over the prefix length. A variant without a prefix is a horizontal line."""
    sizes = list(dict.fromkeys(cell.size for cell, _ in results))
    lengths = sorted({length for cell, _ in results if (length := cell.prefix_len) is not None})
    for size in sizes:
        own = [(cell.prefix_len, scores[metric]) for cell, scores in results if cell.size == size]
        name = f"{_named(size)} examples" if len(sizes) > 1 else None
        _line(axes, [(length, spread) for length, spread in own if length is not None], name)
    for cell, scores in results:
        if cell.prefix_len is None:
            name = f"{cell.variant}, {_named(cell.size)}" if len(sizes) > 1 else cell.variant
            axes.axhline(scores[metric].mean, linestyle="--", color="gray", label=name)
    if axes.get_legend_handles_labels()[0]:
        axes.legend()
    _ticks(axes, lengths, [str(length) for length in lengths], "prefix length")


def bars(axes: Axes, results: Results, metric: str) -> None:
    """Figure 5: for each variant a bar for each size, with error bars of one standard deviation.

    As in the paper, the y-axis does not begin at 0: otherwise the differences would not be visible.
    """
    variants, sizes = _variants(results), list(dict.fromkeys(cell.size for cell, _ in results))
    width = 0.8 / len(sizes)
    for number, size in enumerate(sizes):
        own = {cell.variant: scores[metric] for cell, scores in results if cell.size == size}
        places = [variants.index(name) + (number - (len(sizes) - 1) / 2) * width for name in own]
        deviations = [spread.deviation or 0.0 for spread in own.values()]
        means = [spread.mean for spread in own.values()]
        axes.bar(places, means, width, yerr=deviations, capsize=2, label=f"{_named(size)} examples")
    axes.set_xticks(range(len(variants)), variants, rotation=40, ha="right", rotation_mode="anchor")
    spreads = [scores[metric] for _, scores in results]
    low = min(spread.mean - (spread.deviation or 0.0) for spread in spreads)
    high = max(spread.mean + (spread.deviation or 0.0) for spread in spreads)
    if high > low:
        room = 1 / 4 if len(sizes) == 1 else 3 / 4  # for the legend
        axes.set_ylim(max(0.0, low - (high - low) / 2), high + (high - low) * room)
    if len(sizes) > 1:
        axes.legend(fontsize="small", ncols=2, loc="upper center")


def _variants(results: Results) -> list[str]:
    return list(dict.fromkeys(cell.variant for cell, _ in results))


def _named(size: int | str) -> str:
    return size if isinstance(size, str) else f"{size:,}"


def _ticks(axes: Axes, places: Sequence[float], names: Sequence[str], label: str) -> None:
    axes.set_xscale("log")
    axes.set_xticks(places, names)
    axes.minorticks_off()
    axes.set_xlabel(label)


def _line(axes: Axes, points: Sequence[tuple[float, Spread]], label: str | None) -> None:
    points = sorted(points, key=lambda point: point[0])
    places, means = [place for place, _ in points], [spread.mean for _, spread in points]
    band = [spread.deviation or 0.0 for _, spread in points]
    axes.plot(places, means, marker="o", label=label)
    low, high = ([mean + sign * one for mean, one in zip(means, band, strict=True)] for sign in (-1, 1))
    axes.fill_between(places, low, high, alpha=0.2)


# The plots, by what is on the x-axis (`figure.x` of a study).
PLOTS: dict[str, Plot] = {"size": by_size, "prefix_len": by_length, "variant": bars}


def draw(picture: Path, plot: Plot, results: Results, metrics: Sequence[str], title: str) -> None:
    """Write a PNG with one panel for each metric, drawn by `plot`. Raises UserError if it cannot be written."""
    figure = Figure(figsize=(4.6 * len(metrics), 3.6), layout="constrained")
    figure.suptitle(title)
    for axes, metric in zip(figure.subplots(1, len(metrics), squeeze=False)[0], metrics, strict=True):
        plot(axes, results, metric)
        axes.set_ylabel(metric)
        axes.grid(alpha=0.3)
        axes.set_axisbelow(True)
    with replacing(picture) as temporary:
        # Without matplotlib's version in the metadata, so that the same numbers give the same bytes.
        figure.savefig(temporary, format="png", dpi=120, metadata={"Software": None})
