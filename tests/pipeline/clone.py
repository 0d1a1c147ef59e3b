"""A committed copy of what git tracks, and commands in it as a user gives them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml


def call(clone, *command, status=0):
    environment = os.environ | {"PATH": os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"]}
    environment |= {
        "GIT_AUTHOR_NAME": "t",
        "GIT_AUTHOR_EMAIL": "t@t",
        "GIT_COMMITTER_NAME": "t",
        "GIT_COMMITTER_EMAIL": "t@t",
    }
    done = subprocess.run(command, cwd=clone, env=environment, capture_output=True, text=True)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


def restore(clone):
    """What is committed, in the workspace again."""
    call(clone, "git", "reset", "-q", "--hard")
    for project in (".", "studies"):
        if (clone / project / "dvc.lock").exists():
            call(clone, "dvc", "--cd", project, "checkout", "--quiet", "--force")


def stages_run(output):
    return [line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage")]


def copy(root: Path, directory: Path, change, locks=()) -> Path:
    """The tracked files without locks but those named, committed; `change` is given params.yaml to make it small."""
    if not (root / ".git").exists():
        pytest.skip("copies what git tracks, and this is no git checkout")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, check=True).stdout
    for file in filter(None, listed.decode().split("\0")):
        if (root / file).exists() and (file in locks or not file.endswith("dvc.lock")):
            target = directory / file
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((root / file).read_bytes())
    raw = yaml.safe_load((directory / "params.yaml").read_text())
    change(raw)
    (directory / "params.yaml").write_text(yaml.safe_dump(raw, sort_keys=False))
    call(directory, "git", "init", "-q")
    commit(directory, "all")
    return directory


def small_run(raw):
    """A world and a training of seconds, for `copy`."""
    raw["sources"]["mini_e2e"] |= {"train": 60, "dev": 10, "test": 8}
    raw["train"] |= {"steps": 4, "batch_size": 2, "warmup_steps": 0}
    raw["decode"] |= {"beam": 2, "max_new_tokens": 12}
    raw["threads"] = 1


def commit(clone, message):
    call(clone, "git", "add", "-A")
    call(clone, "git", "commit", "-qm", message)


def small_study(raw):
    """ROUGE needs no Java, whose start takes longer than such runs."""
    raw["sources"]["mini_xsum"] |= {"train": 60, "dev": 10, "test": 8}
    raw["decode"] |= {"beam": 2, "max_new_tokens": 12}
    raw["cells"] |= {"tasks": ["mini_xsum"], "processes": 1}
    lowdata = raw["studies"]["lowdata"]
    raw["studies"] = {"lowdata": lowdata}
    lowdata |= {"sizes": [10, 20], "subsets": 1, "test": "full"}
    lowdata["run"] |= {
        "task": "mini_xsum",
        "model": "mini-bart",
        "methods": {"prefix": {"init": "random", "init_words": None}},
    }
    lowdata["run"]["train"] |= {"batch_size": 2, "eval_every": 2}
    for variant in lowdata["variants"].values():
        variant["steps"] = [3, 4]


def only_lowdata(directory):
    """The other studies have no parameters in so small a world."""
    file = directory / "studies/dvc.yaml"
    raw = yaml.safe_load(file.read_text())
    kept = ("check", "data", "scores", "summary", "lowdata")
    raw["stages"] = {name: stage for name, stage in raw["stages"].items() if name in kept}
    file.write_text(yaml.safe_dump(raw, sort_keys=False))


def cell_files(clone):
    return {
        str(file.relative_to(clone)): file.read_bytes()
        for file in sorted((clone / "studies/data/runs/lowdata").rglob("*.jsonl"))
    }


def members(group):
    """Processes of a process group that are no zombies."""
    listed = subprocess.run(["ps", "-eo", "pgid=,stat="], capture_output=True, text=True, check=True).stdout
    return [line for line in listed.splitlines() if line.split()[0] == str(group) and "Z" not in line.split()[1]]
