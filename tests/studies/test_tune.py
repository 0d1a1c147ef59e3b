"""The choice of settings on dev examples."""

from dataclasses import replace

import pytest
import yaml

from stages.core.errors import UserError
from stages.core.files import read_json, write_jsonl
from stages.studies import dev_metric
from stages.studies.check import settings_of
from stages.studies.grid import cells_of
from stages.studies.plan import linearized
from stages.studies.tune import choose, dev_records


@pytest.fixture
def tuned(project):
    """A cell of two candidates, of which one trains at a rate at which nothing is learnt."""
    raw = yaml.safe_load((project / "params.yaml").read_text())
    for split in ("train", "dev", "test"):
        write_jsonl(linearized("mini_e2e") / f"{split}.jsonl", (
            {"id": f"{i}", "source": f"name : A{i}", "targets": [f"It is A{i}.", f"A{i} it is."], "group": None, "name": f"A{i}"}
            for i in range(8)
        ))  # fmt: skip
    tune = {"values": {"train.lr": [1.0e-9, 0.002]}, "runs": 1, "examples": 3, "by": "loss", "best": "lowest"}
    raw["decode"] |= {"beam": 1, "max_new_tokens": 4}
    variants = {"prefix": {"run": {"method": "prefix", "train": {"eval_every": "none"}}, "steps": [4], "tune": tune}}
    raw["studies"]["lowdata"] |= {"sizes": [6], "subsets": 1, "seeds": [1, 2], "test": 2, "variants": variants}
    return cells_of(raw, "lowdata")[0]


@pytest.mark.slow
def test_the_dev_examples_choose(tuned, project):
    """By the lowest loss; what was trained for the choice is what the cell's first run is."""
    settings = settings_of(tuned)
    found = choose(settings, project / "scratch")
    losses = [one["loss"] for one in found["candidates"]]
    assert [one["values"] for one in found["candidates"]] == [{"train.lr": 1.0e-9}, {"train.lr": 0.002}]
    assert found["chosen"] == 1 and losses[1] < losses[0] - 0.1
    model = project / "scratch/1/0-1"
    assert (model / "model").is_dir() and read_json(model / "tuned.json") == pytest.approx(losses[1], abs=1e-4)
    assert choose(settings, project / "scratch") == found, "again, from what is kept"


@pytest.mark.slow
def test_a_metric_of_the_dev_records_chooses(tuned, project, monkeypatch):
    tune = tuned.tune.model_copy(update={"by": "name_exact", "best": "highest"})
    values = iter((0.25, 0.75))
    settings = settings_of(replace(tuned, tune=tune))
    measured = []
    real = dev_metric.measure
    monkeypatch.setattr(dev_metric, "measure", lambda *given: measured.append(real(*given)) or next(values))
    found = choose(settings, project / "scratch")
    assert [one["name_exact"] for one in found["candidates"]] == [0.25, 0.75] and found["chosen"] == 1
    assert len(measured) == 2 and all(0 <= value <= 1 for value in measured)
    with pytest.raises(UserError, match=r"subset 0 seed 1: tune.by is BLUE: mini_e2e has "):
        monkeypatch.setattr(dev_metric, "measure", real)
        choose(settings_of(replace(tuned, tune=tune.model_copy(update={"by": "BLUE"}))), project / "other")


def test_dev_records_of_all_data_are_drawn(tuned):
    plan = replace(tuned.plan, size="full")
    drawn = dev_records(plan, plan.runs[0], 5)
    assert len(drawn) == 5 and all(len(record.targets) == 1 for record in drawn)
    assert drawn == dev_records(plan, plan.runs[0], 5) and len(dev_records(plan, plan.runs[0], 99)) == 16


def test_dev_examples_are_a_share_of_the_size(tuned):
    shares = (tuned.plan.dev_share, 0.5, 1.0)
    plans = [replace(tuned.plan, dev_share=share) for share in shares]
    assert shares[0] == 0.3 and [len(dev_records(plan, plan.runs[0], 99)) for plan in plans] == [2, 3, 6]
