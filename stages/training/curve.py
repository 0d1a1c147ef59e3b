"""The training curve as a table for `dvc plots` and as a picture."""

from pathlib import Path

from stages.core.files import replacing, write_text
from stages.training.loop import Point


def write_curve(table: Path, picture: Path, points: list[Point], title: str) -> None:
    """Write the curve as CSV (`step,loss,lr`; loss in nats per target token) to `table` and as PNG to `picture`.

    Raises UserError if a file cannot be written.
    """
    rows = [f"{p.step},{p.loss:.4f},{p.lr:.6g}" for p in points]
    write_text(table, "\n".join(["step,loss,lr", *rows]) + "\n")
    from matplotlib.figure import Figure  # imported late: it takes half a second; not pyplot, which needs a screen

    figure = Figure(figsize=(6, 3.2), layout="constrained")
    axes = figure.add_subplot(title=title, xlabel="training step", ylabel="loss per target token (nats)")
    axes.plot([p.step for p in points], [p.loss for p in points], marker=".")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    with replacing(picture) as temporary:
        # Without matplotlib's version in the metadata, so that the same curve gives the same bytes.
        figure.savefig(temporary, format="png", dpi=120, metadata={"Software": None})
