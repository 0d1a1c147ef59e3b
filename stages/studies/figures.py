"""Pictures of a study in the paper's layout, drawn without a screen and without the internet."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stages.files import replacing
from stages.studies.grid import Cell
from stages.studies.results import Scores, Spread

Results = list[tuple[Cell, Scores]]


def by_size(axes: Axes, results: Results, metric: str) -> None:
    """Figure 3: a line for each variant over the number of examples, in a band of one standard deviation."""
    for variant in _variants(results):
        _line(axes, [(cell.size, scores[metric]) for cell, scores in results if cell.variant == variant], variant)
    axes.set_xscale("log")
    sizes = sorted({cell.size for cell, _ in results})
    axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
    axes.minorticks_off()
    axes.set_xlabel("training examples")
    axes.legend()


def by_length(axes: Axes, results: Results, metric: str) -> None:
    """Figure 4: over the length of the prefix."""
    _line(axes, [(cell.first.training.prefix_len, scores[metric]) for cell, scores in results], None)
    lengths = [cell.first.training.prefix_len for cell, _ in results]
    axes.set_xscale("log")
    axes.set_xticks(lengths, [str(length) for length in lengths])
    axes.minorticks_off()
    axes.set_xlabel("prefix length")


def bars(axes: Axes, results: Results, metric: str) -> None:
    """Figure 5: a bar for each variant, a group of them for each size, with one standard deviation."""
    variants, sizes = _variants(results), list(dict.fromkeys(cell.size for cell, _ in results))
    width = 0.8 / len(variants)
    for number, variant in enumerate(variants):
        own = [scores[metric] for cell, scores in results if cell.variant == variant]
        places = [place + (number - (len(variants) - 1) / 2) * width for place in range(len(sizes))]
        deviations = [spread.deviation or 0.0 for spread in own]
        axes.bar(places, [spread.mean for spread in own], width, yerr=deviations, capsize=2, label=variant)
    axes.set_xticks(range(len(sizes)), [str(size) for size in sizes])
    axes.set_xlabel("training examples")
    axes.set_ylim(bottom=0)
    axes.legend(fontsize="small", ncols=2)


def _variants(results: Results) -> list[str]:
    return list(dict.fromkeys(cell.variant for cell, _ in results))


def _line(axes: Axes, points: Sequence[tuple[int, Spread]], label: str | None) -> None:
    points = sorted(points, key=lambda point: point[0])
    places, means = [place for place, _ in points], [spread.mean for _, spread in points]
    band = [spread.deviation or 0.0 for _, spread in points]
    axes.plot(places, means, marker="o", label=label)
    low, high = ([mean + sign * one for mean, one in zip(means, band, strict=True)] for sign in (-1, 1))
    axes.fill_between(places, low, high, alpha=0.2)


def draw(picture: Path, how, results: Results, metrics: Sequence[str], title: str) -> None:
    """Write a PNG with one panel for each metric, drawn by `how`."""
    figure = Figure(figsize=(4.6 * len(metrics), 3.4), layout="constrained")
    figure.suptitle(title)
    for axes, metric in zip(figure.subplots(1, len(metrics), squeeze=False)[0], metrics, strict=True):
        how(axes, results, metric)
        axes.set_ylabel(metric)
        axes.grid(alpha=0.3)
    with replacing(picture) as temporary:
        # Without a version in it, so that the same numbers are the same file.
        figure.savefig(temporary, format="png", dpi=120, metadata={"Software": None})
