"""The studies as a user runs them: a grid of a minute, killed, changed, split over clones."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
import yaml
from stages.studies.cell import files_of, what_decides

from stages import params
from stages.core.scratch import scratch
from stages.studies.grid import cell_of
from tests.pipeline.clone import call, commit, copy, restore, stages_run

pytestmark = pytest.mark.pipeline

FILE = "stages/studies/dvc.yaml"
CELLS = [f"{FILE}:lowdata-cell@{variant}-{size}" for variant in ("prefix", "finetune") for size in (10, 20)]


def small(raw):
    """ROUGE needs no Java, whose start takes longer than such runs."""
    raw["sources"]["mini_xsum"] |= {"train": 60, "dev": 10, "test": 8}
    raw["decode"] |= {"beam": 2, "max_new_tokens": 12}
    raw["cells"] |= {"tasks": ["mini_xsum"], "processes": 1}
    lowdata = raw["studies"]["lowdata"]
    raw["studies"] = {"lowdata": lowdata}
    lowdata |= {"sizes": [10, 20], "subsets": 1, "test": "full"}
    lowdata["run"] |= {"task": "mini_xsum", "model": "mini-bart", "prefix": {"init_words": None}}
    lowdata["run"]["train"] |= {"batch_size": 2, "eval_every": 2}
    for variant in lowdata["variants"].values():
        variant["steps"] = [3, 4]


def only_lowdata(directory):
    """The other studies have no parameters in so small a world."""
    file = directory / FILE
    raw = yaml.safe_load(file.read_text())
    raw["stages"] = {
        name: stage for name, stage in raw["stages"].items() if name in ("check", "data") or "lowdata" in name
    }
    file.write_text(yaml.safe_dump(raw, sort_keys=False))


@pytest.fixture(scope="module")
def clone(tmp_path_factory, request):
    directory = tmp_path_factory.mktemp("a clone") / "with studies"
    copy(request.config.rootpath, directory, small)
    only_lowdata(directory)
    output = call(directory, "dvc", "repro", f"{FILE}:lowdata")
    assert sorted(stage for stage in stages_run(output) if "cell" in stage) == sorted(CELLS)
    commit(directory, "grid")
    return directory


def cell_files(clone):
    return {
        str(file.relative_to(clone)): file.read_bytes()
        for file in sorted((clone / "data/studies/lowdata").rglob("*.jsonl"))
    }


def test_a_grid_is_summed_up(clone):
    found = json.loads((clone / "metrics/lowdata.json").read_text())
    assert list(found) == ["prefix", "finetune"]
    assert all(list(own) == ["model", "task", "n00010", "n00020"] for own in found.values())
    rows = [json.loads(line) for line in (clone / "data/studies/lowdata/prefix-10/runs.jsonl").read_text().splitlines()]
    assert [(row["subset"], row["seed"]) for row in rows] == [(0, 101), (0, 102)]
    cell, values = found["prefix"]["n00010"], [row["rougeL"] for row in rows]
    assert cell["runs"] == 2 and cell["rougeL"] == pytest.approx(sum(values) / 2, abs=1e-4)
    assert cell["rougeL_sd"] == pytest.approx(abs(values[0] - values[1]) / 2**0.5, abs=1e-4)
    hypotheses = (clone / "data/studies/lowdata/finetune-20/hypotheses.jsonl").read_text().splitlines()
    assert len(hypotheses) == 2 * 8
    assert (
        (clone / "metrics/lowdata.csv")
        .read_text()
        .startswith("metric,variant,size,prefix_len,mean,low,high\nrouge1,prefix,10,")
    )
    assert (clone / "metrics/lowdata.png").read_bytes().startswith(b"\x89PNG")
    assert stages_run(call(clone, "dvc", "repro", f"{FILE}:lowdata")) == []
    [plot] = json.loads(call(clone, "dvc", "plots", "show", "--json", "metrics/lowdata.csv"))["data"][
        "metrics/lowdata.csv"
    ]
    points, line = plot["content"]["data"]["values"], plot["content"]["spec"]["layer"][1]["encoding"]
    assert {(point["variant"], point["size"]) for point in points if point["metric"] == "rouge1"} == {
        (variant, size) for variant in ("prefix", "finetune") for size in ("10", "20")
    }
    assert (plot["content"]["spec"]["encoding"]["x"]["field"], line["y"]["field"]) == ("size", "mean")


def test_the_report(clone):
    call(clone, sys.executable, "-m", "stages.studies.report")
    report = (clone / "metrics/report.md").read_text()
    assert "![Low data (section 6.3, Figure 3)](lowdata.png)" in report
    assert "| finetune | 20 | 2 | " in report and "mini-bart on mini_xsum, 2 runs a cell" in report
    restore(clone, FILE)


def test_a_changed_hyperparameter_of_a_method_runs_its_cells_alone(clone):
    output = call(clone, "dvc", "exp", "run", f"{FILE}:lowdata", "-S",
                  "studies.lowdata.variants.finetune.run.train.lr=0.001")  # fmt: skip
    assert sorted(stages_run(output)) == sorted([f"{FILE}:check", *CELLS[2:], f"{FILE}:lowdata"])
    shown = json.loads(call(clone, "dvc", "metrics", "diff", "--json"))["metrics/lowdata.json"]
    assert {key.split(".")[0] for key in shown} == {"finetune"}
    review = [call(clone, "bash", ".ci/review", "HEAD", "lowdata") for _ in range(2)]
    assert review[0] == review[1] and "| studies.lowdata.variants.finetune.run.train.lr | 0.0002" in review[0]
    assert "finetune.n00010.rougeL" in review[0] and "prefix.n00010" not in review[0]
    restore(clone, FILE)
    unchanged = call(clone, "bash", ".ci/review", "HEAD", "lowdata")
    assert "| Param " in unchanged and "studies.lowdata" not in unchanged and "n00010" not in unchanged


def test_killed_in_the_middle_of_a_cell(clone):
    """All its processes die; the same command then ends with the same files, and does not begin anew."""
    before = cell_files(clone)
    command = [sys.executable, "-m", "stages.studies.cell", "lowdata", "prefix", "20"]
    process = subprocess.Popen(command, cwd=clone, start_new_session=True, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 300
    while not list((clone / ".scratch").glob("*/*/result.json")):
        assert process.poll() is None and time.monotonic() < deadline, "it must be killed before it is done"
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    done = {file: file.stat().st_mtime_ns for file in (clone / ".scratch").glob("*/*/result.json")}
    assert len(done) == 1
    process = subprocess.Popen(command, cwd=clone)
    while process.poll() is None:
        assert all(not file.exists() or file.stat().st_mtime_ns == time_ns for file, time_ns in done.items())
        time.sleep(0.2)
    assert process.returncode == 0 and cell_files(clone) == before
    assert not list((clone / ".scratch").glob("*/*/result.json"))


def test_processes_end_with_who_began_them(clone):
    """Only the first process is killed: those that it began must not go on."""
    params = clone / "params.yaml"
    params.write_text(params.read_text().replace("processes: 1", "processes: 2"))
    command = [sys.executable, "-m", "stages.studies.cell", "lowdata", "prefix", "20"]
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
    restore(clone, FILE)


def test_an_interrupted_cell_begins_no_further_run(clone):
    """Ctrl-C reaches all processes of the terminal; those that work must not take up what was waiting."""
    shutil.rmtree(clone / ".scratch", ignore_errors=True)
    params = clone / "params.yaml"
    raw = yaml.safe_load(params.read_text())
    raw["cells"]["processes"] = 2
    raw["studies"]["lowdata"]["seeds"] = [101, 102, 103, 104]
    params.write_text(yaml.safe_dump(raw, sort_keys=False))
    command = [sys.executable, "-m", "stages.studies.cell", "lowdata", "prefix", "20"]
    process = subprocess.Popen(command, cwd=clone, start_new_session=True, stderr=subprocess.PIPE, text=True)
    begun = set()
    while len(begun) < 2:
        assert process.poll() is None
        time.sleep(0.05)
        begun = {file.parent.name for file in (clone / ".scratch").glob("*/*/*") if "-" in file.parent.name}
    os.killpg(process.pid, signal.SIGINT)
    said = process.communicate(timeout=60)[1]
    assert process.returncode != 0 and "Traceback" not in said
    names = {file.name for file in (clone / ".scratch").glob("*/*")}
    assert not any(seed in name for name in names for seed in ("103", "104"))
    restore(clone, FILE)


def test_a_cell_is_worked_at_by_one_process(clone, monkeypatch):
    """Killing `dvc` alone leaves its stage at work: the same command must not begin another beside it."""
    command = [sys.executable, "-m", "stages.studies.cell", "lowdata", "prefix", "10"]
    monkeypatch.chdir(clone)
    cell = cell_of(params.read(), "lowdata", "prefix", "10")
    with scratch(what_decides(cell), *files_of(cell)) as directory:
        second = subprocess.run(command, cwd=clone, capture_output=True, text=True)
    assert second.returncode == 1 and "Traceback" not in second.stderr
    said = f"error: {directory.with_suffix('.lock')}: another process is at this work: wait for its end, or end it\n"
    assert second.stderr.endswith(said)
    assert not directory.with_suffix(".lock").exists()
    before = cell_files(clone)
    call(clone, *command)
    assert cell_files(clone) == before and not list((clone / ".scratch").glob("*.lock"))


def members(group):
    """Processes of a process group that are no zombies."""
    listed = subprocess.run(["ps", "-eo", "pgid=,stat="], capture_output=True, text=True, check=True).stdout
    return [line for line in listed.splitlines() if line.split()[0] == str(group) and "Z" not in line.split()[1]]


def test_bad_input_is_one_line_before_any_work(clone):
    """The other kinds: tests/studies/test_grid.py."""
    change = "studies.lowdata.sizes=[]"
    output = call(clone, "dvc", "exp", "run", f"{FILE}:lowdata", "-S", change, status=255)
    assert "error: params.yaml: studies.lowdata.sizes: List should have at least 1 item" in output
    assert stages_run(output) == [f"{FILE}:check"]
    restore(clone, FILE)


def test_a_size_above_the_data_is_one_line_before_any_training(clone):
    output = call(clone, "dvc", "exp", "run", f"{FILE}:lowdata", "-S", "studies.lowdata.sizes=[10,99999]", status=255)
    assert "error: params.yaml: studies.lowdata.sizes: 99,999 is more than the " in output
    assert len([stage for stage in stages_run(output) if "cell" in stage]) == 1
    restore(clone, FILE)


def test_two_clones_split_the_grid(clone, tmp_path):
    """Each runs half of the cells and pushes; the collector runs the summary alone."""
    remote, parts = tmp_path / "remote", [tmp_path / "one", tmp_path / "two", tmp_path / "collector"]
    for part in parts:
        subprocess.run(["git", "clone", "-q", str(clone), str(part)], check=True)
        (part / FILE).with_name("dvc.lock").unlink()
        call(part, "dvc", "remote", "add", "--local", "-d", "shared", str(remote))
    for part, cells in zip(parts, (CELLS[:2], CELLS[2:]), strict=False):
        call(part, "dvc", "repro", *cells)
        call(part, "dvc", "push", "--run-cache")
    output = call(parts[2], "dvc", "repro", "--pull", f"{FILE}:lowdata")
    assert stages_run(output) == [f"{FILE}:lowdata"]
    assert cell_files(parts[2]) == cell_files(clone)
    assert (parts[2] / "metrics/lowdata.json").read_bytes() == (clone / "metrics/lowdata.json").read_bytes()
