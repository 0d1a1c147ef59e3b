"""Stage: the official metrics of all runs of a study, into studies/data/scores/<study>/<variant>-<size>.

`runs.jsonl` has the scores of each run. `votes.json` has those of the runs' majority vote, if the task allows votes.
`tests.json` has the p-values of a paired test against the first variant's cell of the same size (`pooled.py`).
"""

import sys
from collections import defaultdict
from pathlib import Path

from tqdm import tqdm

from stages.core.errors import UserError, entry_point
from stages.core.files import read_jsonl, replacing, write_json, write_jsonl
from stages.core.record import Record
from stages.decoding.vote import vote
from stages.scoring.metric_set import Scorer
from stages.scoring.scores import Metrics
from stages.studies.plan import DATA, SETTINGS, TESTS, Plan, plans_in
from stages.studies.pooled import p_values, pooled
from stages.studies.selection import records_to_decode
from stages.tasks import Task, task_of
from stages.tasks.common.scores import metrics_of, numbers_of, scores_of

VOTES = "votes.json"


def hypotheses_of(plan: Plan, records: list[Record]) -> list[list[str]]:
    """The hypotheses of each run of the cell, in the order of `records`.

    Raises UserError if the file has other runs or records.
    """
    file = plan.out / "hypotheses.jsonl"
    found: dict[tuple[int, int], list[tuple[str, str]]] = defaultdict(list)
    for row in read_jsonl(file):
        found[row["subset"], row["seed"]].append((row["id"], row["hypothesis"]))
    texts = [found.get((run.subset, run.seed), []) for run in plan.runs]
    ids = [record.id for record in records]
    if len(found) != len(plan.runs) or any([name for name, _ in one] != ids for one in texts):
        raise UserError(f"{file} is of other runs than params.yaml: dvc --cd studies repro {plan.study}")
    return [[text for _, text in one] for one in texts]


def score_cell(plan: Plan, task: Task, scorer: Scorer, out: Path) -> list[Metrics]:
    """Write the scores of a cell's runs, and of their majority vote, to the directory `out`.

    Returns the metrics of each run.
    """
    records = records_to_decode(plan)
    answers, rows, found = hypotheses_of(plan, records), [], []
    for run, texts in zip(plan.runs, answers, strict=True):
        found.append(metrics_of(task, scorer, texts, records))
        scores = numbers_of(found[-1], texts, records)
        rows.append({"subset": run.subset, "seed": run.seed, **scores.metrics, "reasons": scores.reasons})
        for metric, reason in scores.reasons.items():
            print(f"{plan.name}, subset {run.subset} seed {run.seed}: {metric} is null: {reason}", file=sys.stderr)
    write_jsonl(out / "runs.jsonl", rows)
    if task.votes and len(answers) > 1:
        write_json(out / VOTES, scores_of(task, scorer, vote(answers), records).metrics)
    return found


@entry_point
def main() -> None:
    [study] = sys.argv[1:]
    plans = plans_in(SETTINGS / "scores" / f"{study}.json")
    task = task_of(plans[0].task)
    with replacing(DATA / "scores" / study) as out, task.metrics.scorer() as scorer:
        first = {}  # the pooled metrics of the first variant, by size
        for plan in tqdm(plans, desc=f"{study}: scores", unit="cell", disable=None):
            own = pooled(score_cell(plan, task, scorer, out / plan.name), task.shown.columns or task.shown.figures)
            if first.setdefault(plan.size, own) is not own:
                write_json(out / plan.name / TESTS, p_values(first[plan.size], own))


if __name__ == "__main__":
    main()
