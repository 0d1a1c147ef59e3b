"""A metric of a run on its dev records, by which `tune` can choose."""

from dataclasses import replace
from pathlib import Path

from stages.core.errors import UserError
from stages.core.record import Record
from stages.core.run_config import RunConfig
from stages.run import load_run, open_model, predict
from stages.studies.run_batch import MODEL
from stages.tasks import task_of
from stages.tasks.common.scores import scores_of


def measure(task: str, metric: str, config: RunConfig, directory: Path, records: list[Record]) -> float:
    """Decode the run in `directory` on `records` and return the metric of its hypotheses.

    Records of one source are merged into one with all targets. Raises UserError for a metric that the task does not
    have, or that cannot be computed.
    """
    merged: dict[str, Record] = {}
    for record in records:
        merged.setdefault(record.id, replace(record, targets=[])).targets.extend(record.targets)
    lm, distinct = open_model(config), list(merged.values())
    adaptation = load_run(directory / MODEL, lm, config)
    [texts] = predict(lm, [adaptation], distinct, config, [directory / "dev.jsonl"])
    with task_of(task).metrics.scorer() as scorer:
        scores = scores_of(task_of(task), scorer, texts, distinct)
    if scores.metrics.get(metric) is None:
        known = ", ".join(name for name, value in scores.metrics.items() if value is not None)
        reason = scores.reasons.get(metric, f"{task} has {known}")
        raise UserError(f"tune.by is {metric}: {reason}")
    return scores.metrics[metric]
