"""The studies as a user runs them: a grid of a minute, killed, changed, split over clones."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
import yaml

from stages import params
from stages.core.scratch import scratch
from stages.studies.check import settings_of
from stages.studies.grid import cells_of
from stages.studies.run import cache_key, files_of
from tests.pipeline.clone import call, cell_files, commit, copy, members, only_lowdata, restore, small_study, stages_run

pytestmark = [pytest.mark.pipeline, pytest.mark.slow]

CELLS = [f"lowdata@{variant}-{size}" for variant in ("prefix", "finetune") for size in (10, 20)]
SUMMARY, AFTER = "summary@lowdata", ["scores@lowdata", "summary@lowdata"]


def repro(clone, *targets, **options):
    """The stages of the studies that were run."""
    return stages_run(call(clone, "dvc", "--cd", "studies", "repro", *targets, **options))


def changed(clone):
    """The stages of the studies that would run, once `check` has."""
    call(clone, "dvc", "--cd", "studies", "repro", "check")
    found = json.loads(call(clone, "dvc", "--cd", "studies", "status", "--json"))
    return sorted(stage for stage in found if stage != "check")


@pytest.fixture(scope="module")
def clone(tmp_path_factory, request):
    directory = tmp_path_factory.mktemp("a clone") / "with studies"
    copy(request.config.rootpath, directory, small_study)
    only_lowdata(directory)
    assert repro(directory, SUMMARY) == ["check", "data@mini_xsum", *CELLS, *AFTER]
    commit(directory, "grid")
    return directory


def test_a_grid_is_summed_up(clone):
    found = json.loads((clone / "studies/metrics/lowdata.json").read_text())
    assert list(found) == ["prefix", "finetune"]
    assert all(list(own) == ["model", "task", "n00010", "n00020"] for own in found.values())
    rows = [
        json.loads(line)
        for line in (clone / "studies/data/scores/lowdata/prefix-10/runs.jsonl").read_text().splitlines()
    ]
    assert [(row["subset"], row["seed"]) for row in rows] == [(0, 101), (0, 102)]
    cell, values = found["prefix"]["n00010"], [row["rougeL"] for row in rows]
    assert cell["runs"] == 2 and cell["rougeL"] == pytest.approx(sum(values) / 2, abs=1e-4)
    assert cell["rougeL_sd"] == pytest.approx(abs(values[0] - values[1]) / 2**0.5, abs=1e-4)
    hypotheses = (clone / "studies/data/runs/lowdata/finetune-20/hypotheses.jsonl").read_text().splitlines()
    assert len(hypotheses) == 2 * 8
    assert (
        (clone / "studies/metrics/lowdata.csv")
        .read_text()
        .startswith("metric,variant,size,prefix_len,mean,low,high\nrouge1,prefix,10,")
    )
    assert (clone / "studies/metrics/lowdata.png").read_bytes().startswith(b"\x89PNG")
    test = json.loads((clone / "studies/data/scores/lowdata/finetune-20/tests.json").read_text())
    assert list(test) == ["rouge1", "rouge2", "rougeL"]
    assert test["rougeL"] == pytest.approx(found["finetune"]["n00020"]["rougeL_behind_p"], abs=1e-4)
    assert not (clone / "studies/data/scores/lowdata/prefix-20/tests.json").exists()
    assert repro(clone, SUMMARY) == ["check"]
    [plot] = json.loads(call(clone, "dvc", "--cd", "studies", "plots", "show", "--json", "metrics/lowdata.csv"))[
        "data"
    ]["metrics/lowdata.csv"]
    points, line = plot["content"]["data"]["values"], plot["content"]["spec"]["layer"][1]["encoding"]
    assert {(point["variant"], point["size"]) for point in points if point["metric"] == "rouge1"} == {
        (variant, size) for variant in ("prefix", "finetune") for size in ("10", "20")
    }
    assert (plot["content"]["spec"]["encoding"]["x"]["field"], line["y"]["field"]) == ("size", "mean")


def test_costs_stand_beside_quality(clone):
    """The bytes of a run's file are those of its tensors and a header that names them; fine-tuning stores the model."""
    with open(clone / "studies/metrics/lowdata.costs.csv", newline="") as file:
        cells = {(cell["variant"], cell["size"]): cell for cell in csv.DictReader(file)}
    assert list(cells) == [("prefix", "10"), ("prefix", "20"), ("finetune", "10"), ("finetune", "20")]
    quality = json.loads((clone / "studies/metrics/lowdata.json").read_text())
    for (variant, size), cell in cells.items():
        assert all(float(cell[part]) > 0 for part in ("train_seconds", "decode_seconds")) and cell["runs"] == "2"
        assert float(cell["rougeL"]) == quality[variant][f"n000{size}"]["rougeL"]
        parameters, stored = int(cell["stored_parameters"]), int(cell["stored_bytes"])
        assert 4 * parameters < stored < 4 * parameters + 40_000
        rows = json.loads((clone / f"studies/data/runs/lowdata/{variant}-{size}/costs.json").read_text())
        assert [(row["subset"], row["seed"]) for row in rows] == [(0, 101), (0, 102)]
        assert {row["stored_bytes"] for row in rows} == {stored}
        assert float(cell["train_seconds"]) == pytest.approx(sum(row["train_seconds"] for row in rows) / 2, abs=0.01)
        assert float(cell["peak_mb"]) == max(row["peak_mb"] for row in rows) > 100
    assert int(cells["finetune", "10"]["stored_bytes"]) > 5 * int(cells["prefix", "10"]["stored_bytes"])


def test_costs_alone_are_no_difference_in_metrics(clone):
    """A cell that runs again has other costs, and the same hypotheses and metrics."""
    before, metrics = cell_files(clone), (clone / "studies/metrics/lowdata.json").read_bytes()
    costs = (clone / "studies/data/runs/lowdata/prefix-10/costs.json").read_bytes()
    assert repro(clone, "--force", "--single-item", "--no-run-cache", CELLS[0]) == CELLS[:1]
    assert (clone / "studies/data/runs/lowdata/prefix-10/costs.json").read_bytes() != costs
    assert repro(clone, SUMMARY) == ["check", *AFTER]
    assert cell_files(clone) == before and (clone / "studies/metrics/lowdata.json").read_bytes() == metrics
    assert json.loads(call(clone, "dvc", "--cd", "studies", "metrics", "diff", "--json")) == {}
    assert call(clone, "git", "status", "--porcelain", "studies/metrics") == " M studies/metrics/lowdata.costs.csv\n"
    restore(clone)


def test_the_report(clone):
    call(clone, sys.executable, "-m", "stages.studies.report")
    report = (clone / "studies/metrics/report.md").read_text()
    assert "What a run costs, on " in report and "| variant | examples | rouge1 | train s | decode s |" in report
    assert "![Low data (section 6.3, Figure 3)](lowdata.png)" in report
    assert "| finetune | 20 | 2 | " in report and "mini-bart on mini_xsum, 2 runs a cell" in report
    restore(clone)


def test_a_changed_hyperparameter_of_a_method_runs_its_cells_alone(clone):
    change = "../params.yaml:studies.lowdata.variants.finetune.run.train.lr=0.001"
    output = call(clone, "dvc", "--cd", "studies", "exp", "run", SUMMARY, "-S", change)
    assert stages_run(output) == ["check", *CELLS[2:], *AFTER]
    shown = json.loads(call(clone, "dvc", "--cd", "studies", "metrics", "diff", "--json"))["metrics/lowdata.json"]
    assert {key.split(".")[0] for key in shown} == {"finetune"}
    review = [call(clone, "bash", ".ci/review", "HEAD", "lowdata") for _ in range(2)]
    assert review[0] == review[1] and "| studies.lowdata.variants.finetune.run.train.lr | 0.0002" in review[0]
    assert "finetune.n00010.rougeL" in review[0] and "prefix.n00010" not in review[0]
    restore(clone)
    unchanged = call(clone, "bash", ".ci/review", "HEAD", "lowdata")
    assert "| Param " in unchanged and "studies.lowdata" not in unchanged and "n00010" not in unchanged


def test_changed_code_runs_what_is_made_of_it(clone):
    """A metric the scores alone; a method its own cells; another task nothing; a docstring nothing at all."""

    def edit(file, old, new):
        path = clone / file
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    assert changed(clone) == []
    edit("stages/methods/prefix.py", '"""Prefix-tuning', '# A comment.\n"""Another docstring: prefix-tuning')
    assert changed(clone) == []
    edit("stages/scoring/xsum.py", "DECIMALS = 4", "DECIMALS = 5")
    assert changed(clone) == ["scores@lowdata"]
    restore(clone)
    edit("stages/methods/prefix.py", "BATCHED_RUNS = True", "BATCHED_RUNS = bool(1)")
    assert changed(clone) == CELLS[:2][::-1] or changed(clone) == sorted(CELLS[:2])
    restore(clone)
    for file in ("stages/methods/apt.py", "stages/tasks/webnlg.py", "stages/scoring/ter.py"):
        edit(file, "from stages", "MORE = 1\nfrom stages")
    assert changed(clone) == []
    edit("stages/decoding/beam.py", "from stages", "MORE = 1\nfrom stages")
    assert changed(clone) == sorted(CELLS)
    restore(clone)


def test_code_that_changes_no_result_is_committed_on_evidence(clone):
    """`recheck` runs a run of each variant again; only equal bytes are committed to the lock."""
    loop = clone / "stages/training/loop.py"
    text = loop.read_text()
    loop.write_text(text + "\nMORE = 1\n")
    said = call(clone, sys.executable, "-m", "stages.studies.recheck", "lowdata")
    assert "prefix-10: 1 runs, 8 hypotheses, equal" in said and "finetune-10: 1 runs, 8 hypotheses, equal" in said
    assert said.endswith("4 cells of 4 committed to studies/dvc.lock\n") and repro(clone, SUMMARY) == ["check"]
    before = (clone / "studies/dvc.lock").read_bytes()
    loop.write_text(text.replace("lr = optimizer.param_groups[0][\"lr\"] = training.lr * factor",
                                 "lr = optimizer.param_groups[0][\"lr\"] = training.lr * factor * 30"))  # fmt: skip
    assert loop.read_text() != text
    said = call(clone, sys.executable, "-m", "stages.studies.recheck", "lowdata", status=1)
    assert "error: study lowdata, cell prefix-10: other hypotheses than stored: run the study again" in said
    assert (clone / "studies/dvc.lock").read_bytes() == before
    restore(clone)


def test_a_method_in_one_file_takes_part(clone):
    """The example of the docs, its recipe and a variant: its cells run, and no other."""
    shutil.copy(clone / "docs/examples/toy_method.py", clone / "stages/methods/toy_method.py")
    file = clone / "params.yaml"
    raw = yaml.safe_load(file.read_text())
    raw["methods"]["toy_method"] = {"init_std": 0.5}
    raw["recipes"]["embedded"]["mini-bart"]["toy_method"] = {"prefix_len": 4, "lr": 0.01, "steps": 3}
    raw["studies"]["lowdata"]["variants"]["toy"] = {"run": {"method": "toy_method"}, "steps": [2, 2]}
    file.write_text(yaml.safe_dump(raw, sort_keys=False))
    assert repro(clone, SUMMARY) == ["check", "lowdata@toy-10", "lowdata@toy-20", *AFTER]
    assert list(json.loads((clone / "studies/metrics/lowdata.json").read_text())) == ["prefix", "finetune", "toy"]
    call(clone, "git", "clean", "-fdq", "stages")
    restore(clone)


def test_killed_in_the_middle_of_a_cell(clone):
    """All its processes die; the same command then ends with the same files, and does not begin anew."""
    before = cell_files(clone)
    command = [sys.executable, "-m", "stages.studies.run", "lowdata", "prefix", "20"]
    process = subprocess.Popen(command, cwd=clone, start_new_session=True, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 300
    while not list((clone / ".scratch").glob("*/*/*/hypotheses.json")):
        assert process.poll() is None and time.monotonic() < deadline, "it must be killed before it is done"
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    done = {file: file.stat().st_mtime_ns for file in (clone / ".scratch").glob("*/*/*/hypotheses.json")}
    assert len(done) == 1
    process = subprocess.Popen(command, cwd=clone)
    while process.poll() is None:
        assert all(not file.exists() or file.stat().st_mtime_ns == time_ns for file, time_ns in done.items())
        time.sleep(0.2)
    assert process.returncode == 0 and cell_files(clone) == before
    assert not list((clone / ".scratch").glob("*/*/*/hypotheses.json"))
    rows = json.loads((clone / "studies/data/runs/lowdata/prefix-20/costs.json").read_text())
    assert all(row["train_seconds"] > 0 and row["decode_seconds"] > 0 for row in rows)


def test_processes_end_with_who_began_them(clone):
    """Only the first process is killed: those that it began must not go on."""
    params = clone / "params.yaml"
    params.write_text(params.read_text().replace("processes: 1", "processes: 2"))
    command = [sys.executable, "-m", "stages.studies.run", "lowdata", "prefix", "20"]
    process = subprocess.Popen(command, cwd=clone, start_new_session=True, stderr=subprocess.DEVNULL)
    while len(members(process.pid)) < 3:
        assert process.poll() is None
        time.sleep(0.05)
    time.sleep(3)  # they have begun
    process.kill()
    process.wait()
    deadline = time.monotonic() + 60
    while members(process.pid):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    restore(clone)


def test_an_interrupted_cell_begins_no_further_run(clone):
    """Ctrl-C reaches all processes of the terminal; those that work must not take up what was waiting."""
    shutil.rmtree(clone / ".scratch", ignore_errors=True)
    params = clone / "params.yaml"
    raw = yaml.safe_load(params.read_text())
    raw["cells"]["processes"] = 2
    raw["studies"]["lowdata"]["seeds"] = [101, 102, 103, 104]
    params.write_text(yaml.safe_dump(raw, sort_keys=False))
    call(clone, sys.executable, "-m", "stages.studies.check")
    command = [sys.executable, "-m", "stages.studies.run", "lowdata", "prefix", "20"]
    process = subprocess.Popen(command, cwd=clone, start_new_session=True, stderr=subprocess.PIPE, text=True)
    begun = set()
    while len(begun) < 2:
        assert process.poll() is None
        time.sleep(0.05)
        begun = {file.parent.name for file in (clone / ".scratch").glob("*/*/*/*") if "-" in file.parent.name}
    os.killpg(process.pid, signal.SIGINT)
    said = process.communicate(timeout=60)[1]
    assert process.returncode != 0 and "Traceback" not in said
    names = {file.name for file in (clone / ".scratch").glob("*/*/*")}
    assert not any(seed in name for name in names for seed in ("103", "104"))
    restore(clone)


def test_a_cell_is_worked_at_by_one_process(clone, monkeypatch):
    """Killing `dvc` alone leaves its stage at work: the same command must not begin another beside it."""
    command = [sys.executable, "-m", "stages.studies.run", "lowdata", "prefix", "10"]
    monkeypatch.chdir(clone)
    settings = settings_of(cells_of(params.read(), "lowdata")[0])
    with scratch(cache_key(settings), *files_of(settings)) as directory:
        second = subprocess.run(command, cwd=clone, capture_output=True, text=True)
    assert second.returncode == 1 and "Traceback" not in second.stderr
    said = f"error: {directory.with_suffix('.lock')}: another process is at this work: wait for its end, or end it\n"
    assert second.stderr.endswith(said)
    before = cell_files(clone)
    call(clone, *command)
    assert cell_files(clone) == before


def test_bad_input_is_one_line_before_any_work(clone):
    """The other kinds: tests/studies/test_grid.py."""
    change = "../params.yaml:studies.lowdata.sizes=[]"
    output = call(clone, "dvc", "--cd", "studies", "exp", "run", SUMMARY, "-S", change, status=255)
    assert "error: params.yaml: studies.lowdata.sizes: List should have at least 1 item" in output
    assert stages_run(output) == ["check"]
    restore(clone)


def test_a_size_above_the_data_is_one_line_before_any_training(clone):
    change = "../params.yaml:studies.lowdata.sizes=[10,99999]"
    output = call(clone, "dvc", "--cd", "studies", "exp", "run", SUMMARY, "-S", change, status=255)
    assert "error: params.yaml: studies.lowdata.sizes: 99,999 is more than the " in output
    assert [stage for stage in stages_run(output) if "99999" in stage] == ["lowdata@prefix-99999"]
    restore(clone)


def test_two_clones_split_the_grid(clone, tmp_path):
    """Each runs half of the cells and pushes; the collector runs what sums them up alone."""
    remote, parts = tmp_path / "remote", [tmp_path / "one", tmp_path / "two", tmp_path / "collector"]
    for part in parts:
        subprocess.run(["git", "clone", "-q", str(clone), str(part)], check=True)
        (part / "studies/dvc.lock").unlink()
        call(part, "dvc", "--cd", "studies", "remote", "add", "--local", "-d", "shared", str(remote))
    for part, cells in zip(parts, (CELLS[:2], CELLS[2:]), strict=False):
        repro(part, *cells)
        call(part, "dvc", "--cd", "studies", "push", "--run-cache")
    assert repro(parts[2], "--pull", SUMMARY) == ["check", *AFTER]
    assert cell_files(parts[2]) == cell_files(clone)
    metrics = "studies/metrics/lowdata.json"
    assert (parts[2] / metrics).read_bytes() == (clone / metrics).read_bytes()
