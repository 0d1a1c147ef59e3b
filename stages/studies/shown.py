"""How a study is shown: its title, its picture, and what the paper publishes of it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from stages.params import GROUPS
from stages.studies.figures import How

Numbers = Mapping[str, Mapping[str, str]]  # by variant and metric, as printed


@dataclass(frozen=True)
class Shown:
    title: str
    how: How
    model: str = ""  # whose numbers are published
    published: Numbers = field(default_factory=dict)
    said: str = ""  # Markdown: what is published without numbers that stand beside ours


def table(metrics: str, **variants: str) -> Numbers:
    """A published table: the names of its columns, and the numbers of each variant."""
    names = metrics.split()
    return {variant: dict(zip(names, numbers.split(), strict=True)) for variant, numbers in variants.items()}


# The sets of MRQA 2019 that are out of SQuAD's domain.
SHIFTED = ("TextbookQA", "BioASQ", "RACE", "RelationExtraction", "DuoRC.ParaphraseRC", "DROP")
# Of the official metrics of a task those that the paper's figures show; a mini task has its original's.
METRICS = {
    "e2e": ("BLEU", "ROUGE_L"),
    "webnlg": ("BLEU_seen", "BLEU_unseen", "BLEU"),
    "dart": ("BLEU", "METEOR"),
    "xsum": ("rouge1", "rouge2", "rougeL"),
    "superglue": ("accuracy", "F1", "F1a", "EM"),
    "ner": ("F1", "precision", "recall"),
    # Of all questions together there are F1 and EM too, but most of them are SQuAD's own.
    "qa": ("F1_SQuAD", *(f"F1_{name}" for name in SHIFTED)),
}
# Those of its tables, where they are more.
COLUMNS = {
    "e2e": ("BLEU", "NIST", "METEOR", "ROUGE_L", "CIDEr"),
    "webnlg": tuple(f"{metric}{part}" for metric in ("BLEU", "METEOR", "TER") for part in ("_seen", "_unseen", "")),
    "dart": ("BLEU", "METEOR", "TER", "MoverScore", "BERTScore", "BLEURT"),
    "qa": tuple(f"{metric}_{name}" for metric in ("F1", "EM") for name in ("SQuAD", *SHIFTED)),
}
# Metrics in [0, 1] that the papers print times 100.
PERCENT = {
    "e2e": ("BLEU", "METEOR", "ROUGE_L"),
    "xsum": METRICS["xsum"],
    "superglue": METRICS["superglue"],
    "ner": METRICS["ner"],
    "qa": COLUMNS["qa"],
}


def metrics_of(task: str, known: Collection[str]) -> list[str]:
    """Those of the task's figures that are known."""
    return [metric for metric in METRICS[GROUPS.get(task, task)] if metric in known]


def columns_of(task: str, known: Collection[str]) -> list[str]:
    """Those of the task's tables that are known."""
    kind = GROUPS.get(task, task)
    return [metric for metric in COLUMNS.get(kind, METRICS[kind]) if metric in known]


def percent_of(task: str) -> Collection[str]:
    return PERCENT.get(GROUPS.get(task, task), ())
