"""The paper's findings, F1 to F8: its numbers, those of the generated world and those of a real language model.

python -m stages.studies.findings

Writes the tables into docs/results.md, from the metrics files of the studies.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from stages.core.errors import UserError, entry_point
from stages.core.files import read_json, read_text, write_text
from stages.studies.plan import METRICS
from stages.tasks import task_of

OUT = Path("docs/results.md")
BEGIN, END = "<!-- findings: python -m stages.studies.findings -->", "<!-- end of findings -->"


@dataclass(frozen=True)
class Measured:
    """A number of a study: a metric of a cell, `size` as in the metrics file (n00050, full)."""

    study: str
    variant: str
    size: str
    metric: str = "BLEU"


@dataclass(frozen=True)
class Behind(Measured):
    """By how much the study's first variant is above this cell, on the same subsets and seeds."""


@dataclass(frozen=True)
class Row:
    """A row of a table: what is measured, the paper's number as printed, and ours in both worlds."""

    name: str
    paper: str
    mini: Measured | None
    real: Measured | None


@dataclass(frozen=True)
class Finding:
    """What the paper finds, the numbers, and what ours say: one sentence."""

    title: str
    paper: str  # whose numbers the column `paper` has
    rows: tuple[Row, ...]
    says: str


def pairs(mini: str, real: str, names: dict[str, tuple[str, str, str, str]]) -> Iterator[Row]:
    """Rows of a cell each in the studies `mini` and `real`.

    `names`: the paper's number, the variant of both studies, and the size in each, by the name of the row. A variant or
    size that a study lacks is empty.
    """
    for name, (paper, variant, mini_size, real_size) in names.items():
        own = [
            Measured(study, variant, size) if size else None for study, size in ((mini, mini_size), (real, real_size))
        ]
        yield Row(name, paper, *own)


_SIZES = {"50": "n00050", "100": "n00100", "200": "n00200", "500": "n00500"}
_GPT2 = "GPT-2 medium on E2E, BLEU"

FINDINGS = (
    Finding(
        "F1. With all data a prefix is level with fine-tuning, or ahead",
        _GPT2,
        tuple(pairs("systems", "e2e_full", {
            "prefix": ("69.7", "prefix", "full", "full"),
            "finetune": ("68.2", "finetune", "full", "full"),
            "lora (Hu et al. 2021)": ("70.4", "lora", "", "full"),
        })),
        "",
    ),
    Finding(
        "F2. With 50 to 500 examples a prefix is ahead of fine-tuning, by the more the fewer there are",
        "GPT-2 medium on E2E, BLEU points, mean over the sizes, read off Figure 3",
        tuple(
            Row(f"prefix - {other}, {examples} examples", "+2.9" if other == "finetune" else "",
                Behind("lowdata", other, size) if other == "finetune" else None, Behind("e2e_lowdata", other, size))
            for other in ("finetune", "lora", "prefix_examples", "in_context") for examples, size in _SIZES.items()
        ),
        "",
    ),
    Finding(
        "F3. On categories that training lacks a prefix is ahead of fine-tuning",
        "GPT-2 medium on WebNLG, BLEU",
        tuple(
            Row(f"{variant}, {part}", paper, Measured("unseen", variant, "full", f"BLEU_{part}") if variant != "lora" else None,
                Measured("webnlg_unseen", variant, "n02000", f"BLEU_{part}"))
            for part, column in (("unseen", 0), ("seen", 1))
            for variant, numbers in {"prefix": ("45.6", "62.9"), "finetune": ("27.7", "64.2"), "ft_top2": ("18.9", "53.6"),
                                     "adapter": ("48.3", "60.4"), "lora": ("", "")}.items()
            for paper in (numbers[column],)
        ),
        "",
    ),
    Finding(
        "F4. There is a best length",
        "GPT-2 medium on DART is best at about 10, read off Figure 4",
        tuple(pairs("lengths", "e2e_lengths", {
            "1": ("", "len_001", "full", "n00500"),
            "2": ("", "len_002", "", "n00500"),
            "5": ("", "len_005", "full", "n00500"),
            "10": ("best", "len_010", "full", "n00500"),
            "20": ("", "len_020", "full", "n00500"),
            "40": ("", "len_040", "full", "n00500"),
            "80": ("", "len_080", "full", "n00500"),
            "160": ("", "len_160", "full", ""),
        })),
        "",
    ),
    Finding(
        "F5. Tuning the embeddings alone is far behind",
        _GPT2,
        tuple(pairs("placement", "e2e_placement", {
            "prefix": ("69.7", "prefix", "full", "n00500"),
            "embedding-only, 1": ("48.1", "embedding_only_01", "full", "n00500"),
            "embedding-only, 10": ("62.2", "embedding_only_10", "full", "n00500"),
            "embedding-only, 20": ("61.9", "embedding_only_20", "full", "n00500"),
        })),
        "",
    ),
    Finding(
        "F6. An infix is behind a prefix",
        _GPT2,
        tuple(pairs("placement", "e2e_placement", {
            "prefix": ("69.7", "prefix", "full", "n00500"),
            "infix, 1": ("67.9", "infix_01", "full", "n00500"),
            "infix, 10": ("67.2", "infix_10", "full", "n00500"),
            "infix, 20": ("66.7", "infix_20", "full", "n00500"),
        })),
        "",
    ),
    Finding(
        "F7. In low data a prefix that starts from real words is ahead of one that starts at random",
        "GPT-2 medium on 100 examples of E2E, BLEU, read off Figure 5",
        tuple(
            Row(f"{variant}, {examples} examples", paper, Measured("words", variant, _SIZES[examples]) if mini else None,
                Measured("e2e_starts", variant, _SIZES[examples]))
            for variant, paper, mini in (
                ("table_to_text", "55 to 60", True), ("summarize", "55 to 60", True), ("elephant", "55 to 60", True),
                ("random", "45", True), ("zero", "", False), ("examples", "", False),
            )
            for examples in ("50", "200")
        ),
        "",
    ),
    Finding(
        "F8. Training is steadier with the MLP",
        "no numbers: without the MLP it is unstable, and slightly lower",
        (
            Row("with the MLP", "", Measured("mlp", "mlp", "full"), Measured("e2e_placement", "prefix", "n00500")),
            Row("without", "", Measured("mlp", "no_mlp", "full"), Measured("e2e_placement", "no_mlp", "n00500")),
        ),
        "",
    ),
)  # fmt: skip


def text_of(measured: Measured | None) -> str:
    """The number, times 100 where the papers print it so, with its standard deviation; a difference with its standard
    error and p-value."""
    if measured is None:
        return ""
    file = METRICS / f"{measured.study}.json"
    found = read_json(file) if file.exists() else {}
    variant = found.get(measured.variant, {})
    own = variant.get(measured.size, {})
    difference = isinstance(measured, Behind)
    key = f"{measured.metric}_behind" if difference else measured.metric
    if own.get(key) is None:
        return "not run"
    spread = own.get(f"{key}_se" if difference else f"{key}_sd")
    factor = 100 if measured.metric in task_of(variant["task"]).shown.percent else 1
    text = f"{factor * own[key]:{'+' if difference else ''}.2f}" + (
        "" if spread is None else f" ± {factor * spread:.2f}"
    )
    p_value = own.get(f"{key}_p")
    return text if p_value is None else f"{text} (p {p_value:.4f})"


def lines() -> list[str]:
    """The Markdown lines of all findings."""
    found = []
    for finding in FINDINGS:
        found += [f"### {finding.title}", ""]
        found += [f"{finding.says}", ""] if finding.says else []
        found += [f"Paper: {finding.paper}.", "", "| | paper | mini world | real model |", "|---|---|---|---|"]
        for row in finding.rows:
            found.append(f"| {row.name} | {row.paper} | {text_of(row.mini)} | {text_of(row.real)} |")
        found.append("")
    return found


def replaced(text: str) -> str:
    """The text of docs/results.md with new tables between its two marks. Raises UserError if it lacks them."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise UserError(f"{OUT} lacks the line {END if begin else BEGIN}, where the tables go")
    return "\n".join([before + BEGIN, "", *lines(), END + after])


@entry_point
def main() -> None:
    write_text(OUT, replaced(read_text(OUT)))
    print(OUT)


if __name__ == "__main__":
    main()
