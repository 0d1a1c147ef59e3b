"""How a study is shown: its title, its picture, and what the paper publishes of it."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from matplotlib.axes import Axes

from stages.params import GROUPS
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
    "superglue": ("accuracy", "F1", "F1a", "EM"),
    "ner": ("F1", "precision", "recall"),
    "qa": ("F1", "EM"),
}


def metrics_of(task: str, known: Collection[str]) -> list[str]:
    """Those of the task, or of the tasks that are like it, that are known."""
    return [metric for metric in METRICS[GROUPS.get(task, task)] if metric in known]
