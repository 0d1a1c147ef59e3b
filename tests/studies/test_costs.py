"""What runs cost: measured, added up over attempts, and in tables beside quality; costs change no result."""

import json

import pytest
import torch
import yaml

from stages.core.costs import Cost
from stages.core.errors import UserError
from stages.core.files import read_json, write_json, write_jsonl
from stages.methods import config_from
from stages.studies import costs, report
from stages.studies import run as stage
from stages.studies import run_batch as batch
from stages.studies.check import settings_of
from stages.studies.cost_table import cost_rows, costs_csv, costs_of
from stages.studies.costs import DECODE, TRAIN, CostedCheckpoint, Part, keep_stored, measured, rows_of
from stages.studies.grid import cells_of
from stages.studies.plan import METRICS, SETTINGS
from stages.studies.results import scores_of
from stages.studies.run_batch import run_batch
from stages.studies.summary import numbers

SMALL = {
    "lowdata": {"sizes": [2], "subsets": 1, "seeds": [101, 102], "test": "full"},
    "variants": {
        "prefix": {"run": {"method": "prefix"}, "steps": [2]},
        "in_context": {"run": {"method": "in_context"}},
    },
}


@pytest.fixture
def raw(project):
    return yaml.safe_load((project / "params.yaml").read_text())


@pytest.fixture
def cells(raw):
    """A cell of two runs that train, and one of two runs that store examples."""
    raw["studies"] = {"lowdata": raw["studies"]["lowdata"] | SMALL["lowdata"] | {"variants": SMALL["variants"]}}
    raw["studies"]["lowdata"]["run"] |= {"precision": "fp32", "methods": {"in_context": {"examples": 1}}}
    raw["decode"] |= {"beam": 2, "max_new_tokens": 4}
    return cells_of(raw, "lowdata")


@pytest.fixture
def data(cells):
    for split in ("train", "dev", "test"):
        write_jsonl(cells[0].plan.linearized / f"{split}.jsonl", (
            {"id": f"{i}", "source": f"name : {i}", "targets": [f"It is {i}."], "group": None, "name": None} for i in range(4)
        ))  # fmt: skip


class FakeMeter:
    """Says what a test wants to have been measured."""

    costs = ()

    def __init__(self, gpu=None):
        self.gpu, self.left = gpu, iter(self.costs)

    def cost(self):
        return next(self.left)


@pytest.fixture
def meter(monkeypatch):
    """Sets what meters say from now on, one cost for each time that they are asked."""
    monkeypatch.setattr(costs, "Meter", FakeMeter)
    monkeypatch.setattr(costs, "processor", lambda: "EPYC")
    return lambda *given: monkeypatch.setattr(FakeMeter, "costs", given)


def cost(core_seconds, peak_mb, own=True):
    return Cost(seconds=1000.0, core_seconds=core_seconds, peak_mb=peak_mb, peak_is_own=own, gpu_peak_mb=None)


def test_runs_of_a_batch_share_the_seconds_and_not_the_memory(meter, tmp_path):
    runs = [tmp_path / name for name in ("0-1", "0-2")]
    meter(cost(5.0, 300.0))
    with measured(TRAIN, runs):
        pass
    kept = {"seconds": 2.5, "runs": 2, "peak_mb": 300.0, "peak_is_own": True}
    assert [read_json(run / "costs.json") for run in runs] == [{"processor": "EPYC", "gpu": None, "train": kept}] * 2


def test_attempts_are_added_also_after_an_error(meter, tmp_path):
    meter(cost(5.0, 300.0))
    with pytest.raises(KeyboardInterrupt), measured(DECODE, [tmp_path]):
        raise KeyboardInterrupt
    meter(cost(2.0, 200.0, own=False))
    with measured(DECODE, [tmp_path]):
        pass
    assert read_json(tmp_path / "costs.json")["decode"] == {
        "seconds": 7.0, "runs": 1, "peak_mb": 300.0, "peak_is_own": False,
    }  # fmt: skip


def test_a_killed_training_counts_up_to_its_last_checkpoint(meter, tmp_path):
    """The second attempt adds to what the last checkpoint of the first kept; a checkpoint counts nothing twice."""
    module, file = torch.nn.Linear(1, 1), tmp_path / "training/checkpoint.safetensors"
    meter(cost(1.0, 10.0), cost(4.0, 20.0), cost(6.0, 20.0))
    killed = CostedCheckpoint(file, Part(TRAIN, [tmp_path]))
    for step in (10, 20):
        killed.save(module, [], step)
    assert killed.restore(module, []) == 20
    assert read_json(tmp_path / "costs.json")["train"]["seconds"] == 4.0
    meter(cost(3.0, 15.0), cost(5.0, 15.0))
    with measured(TRAIN, [tmp_path]) as part:
        CostedCheckpoint(file, part).save(module, [], step=30)
        assert read_json(tmp_path / "costs.json")["train"]["seconds"] == 7.0
    kept = {"seconds": 9.0, "runs": 1, "peak_mb": 20.0, "peak_is_own": True}
    assert read_json(tmp_path / "costs.json")["train"] == kept


def test_on_a_gpu_the_clock_and_its_own_memory_count(meter, monkeypatch, tmp_path):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "H200")
    meter(Cost(seconds=8.0, core_seconds=1.0, peak_mb=5000.0, peak_is_own=True, gpu_peak_mb=70.0))
    part = Part(TRAIN, [tmp_path / name for name in ("0-1", "0-2")])
    assert part._meter.gpu is torch.cuda
    part.keep()
    kept = {"seconds": 4.0, "runs": 2, "peak_mb": 70.0, "peak_is_own": False}
    assert read_json(tmp_path / "0-2/costs.json") == {"processor": "EPYC", "gpu": "H200", "train": kept}


def kept(run, scratch, train=None, peak=100.0):
    """What a run of a cell has kept of two parts; `train` None: the first is lost."""
    parts = {DECODE: {"seconds": 2.006, "runs": 2, "peak_mb": 90.04, "peak_is_own": True}}
    if train is not None:
        parts[TRAIN] = {"seconds": train, "runs": 1, "peak_mb": peak, "peak_is_own": True}
    machine = {"processor": "EPYC", "gpu": None}
    stored = {"stored_parameters": 480, "stored_bytes": 2048 + run.seed}
    write_json(scratch / run.name / "costs.json", machine | stored | parts)


def test_a_cell_s_rows(cells, project):
    plan = cells[0].plan
    kept(plan.runs[0], project, train=10.123)
    kept(plan.runs[1], project)
    same = {"processor": "EPYC", "gpu": None, "runs_per_batch": 2, "decode_seconds": 2.01, "peak_is_own": True}
    same["stored_parameters"] = 480
    assert rows_of(plan, project) == [
        {"subset": 0, "seed": 101, "train_seconds": 10.12, "peak_mb": 100.0, "stored_bytes": 2149} | same,
        {"subset": 0, "seed": 102, "train_seconds": None, "peak_mb": 90.0, "stored_bytes": 2150} | same,
    ]


@pytest.fixture
def scored(cells):
    """The scores of both cells: 0.5 and 0.7 BLEU."""
    for cell in cells:
        write_jsonl(cell.plan.scores / "runs.jsonl", (
            {"subset": 0, "seed": run.seed, "BLEU": score, "reasons": {}}
            for run, score in zip(cell.plan.runs, (0.5, 0.7), strict=True)
        ))  # fmt: skip
    return [(cell.plan, scores_of(cell.plan)) for cell in cells]


HEAD = "variant,size,runs,processor,gpu,runs_per_batch,train_seconds,decode_seconds,peak_mb,stored_parameters,stored_bytes,BLEU"


def test_the_file_of_a_study_has_costs_beside_quality(scored, project):
    """A cell of older code has none, and a number that one run lacks is not known of its cell."""
    plan = scored[0][0]
    for run, train, peak in zip(plan.runs, (10.0, 11.0), (100.0, 120.0), strict=True):
        kept(run, project, train, peak)
    write_json(plan.out / "costs.json", rows_of(plan, project))
    assert costs_csv(scored, ["BLEU"]).splitlines() == [
        HEAD,
        "prefix,2,2,EPYC,,2,10.50,2.01,120.0,480,2150,0.6000",
        "in_context,2,2,,,,,,,,,0.6000",
    ]
    kept(plan.runs[0], project)
    write_json(plan.out / "costs.json", rows_of(plan, project))
    assert costs_csv(scored, ["BLEU"]).splitlines()[1] == "prefix,2,2,EPYC,,2,,2.01,120.0,480,2150,0.6000"


def test_costs_of_other_runs_are_refused(cells, project):
    plan = cells[0].plan
    write_json(plan.out / "costs.json", [{"subset": 0, "seed": 101}])
    with pytest.raises(UserError) as error:
        costs_of(plan)
    file = "studies/data/runs/lowdata/prefix-2/costs.json"
    assert str(error.value) == f"{file} is of other runs than params.yaml: dvc --cd studies repro lowdata"


def test_the_report_has_quality_beside_cost(cells, scored, project):
    file = project / METRICS / "lowdata.json"
    write_json(file, numbers(scored, {cell.name: settings_of(cell).digest for cell in cells}))
    without = report.section("lowdata", cells, file)
    assert not any("costs" in line for line in without), "a study of older code"
    csv = file.with_suffix(".costs.csv")
    csv.write_text(f"{HEAD}\nprefix,2,2,EPYC,,2,10.50,2.01,1220.6,48000,2150,0.6\nin_context,2,2,,,,,,,,,0.6\n")
    text = report.section("lowdata", cells, file)
    start = text.index("What a run costs, on EPYC (seconds of a core, the process's memory):")
    assert text[start + 1 : start + 7] == [
        "",
        "| variant | examples | BLEU | train s | decode s | peak MB | stored parameters | stored KB |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
        "| prefix | 2 | 60.00 ± 14.14 | 10.5 | 2.0 | 1,221 | 48,000 | 2.1 |",
        "| in_context | 2 | 60.00 ± 14.14 | - | - | - | - | - |",
        "",
    ]
    assert text[:start] + text[start + 7 :] == without


def test_machines_are_named_each_with_what_is_measured(tmp_path):
    file = tmp_path / "costs.csv"
    file.write_text(
        f"{HEAD}\na,2,2,EPYC,H200,2,1,1,1,1,1,0.6\nb,2,2,EPYC,,2,1,1,1,1,1,0.6\nc,2,2,EPYC,,2,1,1,1,1,1,0.6\n"
    )
    said = "What a run costs, on H200 (seconds by the clock, the GPU's memory), EPYC (seconds of a core, the process's memory):"
    assert cost_rows(file, "BLEU", {(name, "2"): "60" for name in "abc"})[0] == said
    assert cost_rows(file, "BLEU", {}) == [] == cost_rows(tmp_path / "none", "BLEU", {("a", "2"): "60"})


def configured(cell):
    return config_from(settings_of(cell).candidates[0][1])


@pytest.mark.parametrize("index", [0, 1], ids=["prefix", "in_context"])
def test_a_real_run_keeps_both_parts_and_the_size_of_its_file(cells, data, project, index):
    """It is interrupted between training and decoding: the second attempt adds to the first."""
    cell, config = cells[index], configured(cells[index])
    [run, _], scratch = cell.plan.runs, project / "scratch"
    batch.train(cell.plan, config, [run], scratch)
    first = read_json(scratch / run.name / "costs.json")
    file = scratch / run.name / "model" / f"{cell.variant}.safetensors"
    size, tensors = file.stat().st_size, read_json(file.with_name("config.json"))["tensors"].values()
    run_batch(cell.plan, config, [run], scratch)
    found = read_json(scratch / run.name / "costs.json")
    assert not file.exists() and found["train"] == first["train"]
    assert all(found[part]["seconds"] > 0 and found[part]["peak_mb"] > 100 for part in (TRAIN, DECODE))
    assert found["stored_bytes"] == size > 4 * found["stored_parameters"] > 0
    assert found["stored_parameters"] == sum(torch.Size(one["shape"]).numel() for one in tensors)
    assert found["processor"] == costs.processor() and found["gpu"] is None


def test_stored_parameters_are_those_of_the_file(tmp_path):
    sizes = {name: {"dtype": "float32", "shape": shape} for name, shape in (("a", [1, 2, 3]), ("b", [1]), ("c", []))}
    write_json(tmp_path / "model/config.json", {"method": "prefix", "tensors": sizes})
    (tmp_path / "model/prefix.safetensors").write_bytes(b"x" * 70)
    keep_stored(tmp_path, tmp_path / "model")
    assert read_json(tmp_path / "costs.json") == {"stored_parameters": 8, "stored_bytes": 70}


def test_costs_change_no_result(cells, data, project, monkeypatch):
    """Hypotheses and digest are the same whatever is measured."""
    cell = cells[1]
    settings = settings_of(cell)
    write_json(project / SETTINGS / "runs/lowdata/in_context-2.json", settings.as_json())
    monkeypatch.setattr("sys.argv", ["run", "lowdata", "in_context", "2"])
    monkeypatch.setattr(stage, "processes_of", lambda: 1)  # other processes would have their own meters
    stage.main()
    said, measured_once = ((cell.plan.out / name).read_bytes() for name in ("hypotheses.jsonl", "costs.json"))
    assert len(said.splitlines()) == 8
    monkeypatch.setattr(costs, "Meter", FakeMeter)
    monkeypatch.setattr(FakeMeter, "costs", (cost(1234.5, 6.7),) * 9)
    stage.main()
    assert (cell.plan.out / "hypotheses.jsonl").read_bytes() == said
    again = (cell.plan.out / "costs.json").read_bytes()
    assert again != measured_once and json.loads(again)[0]["train_seconds"] == 1234.5
    assert settings_of(cell).digest == settings.digest
