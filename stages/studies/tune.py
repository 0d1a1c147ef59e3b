"""Grid search for a cell: the first runs are trained with each candidate, and dev examples select the best."""

import importlib
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from stages.core.files import read_json, write_json
from stages.core.record import Record, with_source_prefix
from stages.core.run_config import RunConfig
from stages.core.sampling import draw, records_of, sample
from stages.methods import config_from
from stages.models.encode import encode
from stages.run import load_run, open_model
from stages.studies.plan import CellSettings, Plan, Run
from stages.studies.run_batch import MODEL, named, train
from stages.studies.selection import training_groups
from stages.training.loop import dev_loss

BY_LOSS = "loss"
_BATCH = 16  # dev examples at a time; padding changes no loss beyond rounding


def choose(settings: CellSettings, directory: Path) -> dict[str, Any]:
    """Train and compare all candidates. The result is the content of `tuned.json`.

    `chosen` is the number of the best candidate; `candidates` has the values of each, and its mean loss (nats per
    target token) or metric. Trained runs stay in `directory/<candidate>/<run>/model`, where `train` finds them again.
    Raises UserError that names study, cell and run.
    """
    plan, tune = settings.plan, settings.tune
    results = []
    for number, (changes, config) in enumerate(settings.candidates):
        values = []
        for run in plan.runs[: tune["runs"]]:
            with named(plan, [run]):
                values.append(_value(plan, tune, config_from(config), run, directory / str(number)))
        results.append({"values": dict(changes), tune["by"]: round(fmean(values), 4)})
    best = {"lowest": min, "highest": max}[tune["best"]]
    chosen = best(range(len(results)), key=lambda number: results[number][tune["by"]])
    return {"chosen": chosen, "candidates": results}


def _value(plan: Plan, tune: dict[str, Any], config: RunConfig, run: Run, directory: Path) -> float:
    """The loss or metric of one run on its dev examples, trained first if it is not yet."""
    kept = directory / run.name / "tuned.json"
    if not kept.exists():
        train(plan, config, [run], directory)
        records = dev_records(plan, run, tune["examples"])
        if tune["by"] == BY_LOSS:
            value = _loss(config, directory / run.name / MODEL, records)
        else:  # by a computed name: so a cell that chooses by loss does not depend on the scoring code
            measure = importlib.import_module("stages.studies.dev_metric").measure
            value = measure(plan.task, tune["by"], config, directory / run.name, records)
        write_json(kept, value)
    return read_json(kept)


def dev_records(plan: Plan, run: Run, most: int) -> list[Record]:
    """At most `most` dev examples of a run, each a record with one target; with size `full`, drawn at random."""
    groups = training_groups(plan)
    if plan.size != "full":
        return list(sample(plan.linearized, "dev", plan.size, run.subset, plan.dev_share, groups))[:most]
    total = sum(len(record.targets) for record in records_of(plan.linearized, "dev", groups))
    return draw(records_of(plan.linearized, "dev", groups), total, min(most, total), run.subset)


def _loss(config: RunConfig, model: Path, records: list[Record]) -> float:
    """The dev loss of a saved run, in nats per target token."""
    lm = open_model(config)
    adaptation = load_run(model, lm, config)
    cut = config.decoding.source_tokens, config.decoding.target_tokens
    examples = encode(lm, with_source_prefix(records, config.source_words), *cut)
    with torch.no_grad():
        return dev_loss(lm, adaptation, [examples], _BATCH).item()
