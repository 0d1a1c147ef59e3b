"""How a study is shown: its title, its picture, and what the paper publishes of it."""

from collections.abc import Callable
from dataclasses import dataclass

from matplotlib.axes import Axes

from stages.studies.figures import Results


@dataclass(frozen=True)
class Shown:
    title: str
    how: Callable[[Axes, Results, str], None]
    published: str  # Markdown, which names the model


# Of the official metrics of a task those that the paper's figures show; a mini task has its original's.
METRICS = {
    "e2e": ("BLEU", "ROUGE_L"),
    "webnlg": ("BLEU_seen", "BLEU_unseen", "BLEU"),
    "dart": ("BLEU", "METEOR"),
    "xsum": ("rouge1", "rouge2", "rougeL"),
}
