"""A stranger's first day: a fresh clone with the committed locks, `dvc repro`, and the commands that look at all of it."""

import pytest

from tests.pipeline.clone import call, copy, small_run, stages_run

pytestmark = [pytest.mark.pipeline, pytest.mark.slow]


@pytest.fixture(scope="module")
def clone(tmp_path_factory, request):
    """With the locks of the studies and the pretraining as they are committed: their outs are nowhere to be had."""
    directory = tmp_path_factory.mktemp("stranger") / "clone"

    copy(request.config.rootpath, directory, small_run, locks=("studies/dvc.lock", "pretrain/dvc.lock"))
    call(directory, "dvc", "repro")
    call(directory, "git", "add", "-A")
    call(directory, "git", "commit", "-qm", "run")
    return directory


def look(clone):
    """What the commands print; each ends with status 0."""
    return [call(clone, "dvc", *command) for command in (("status",), ("checkout",), ("plots", "diff"))]


def test_the_commands_that_look_at_all_are_quiet(clone):
    status, checkout, plots = look(clone)
    assert status == "Data and pipelines are up to date.\n" and checkout == ""
    assert plots.startswith("file://") and "failed" not in plots
    assert call(clone, "git", "status", "--porcelain") == ""


def test_an_experiment_is_applied(clone):
    assert stages_run(call(clone, "dvc", "exp", "run", "-n", "longer", "-S", "prefix_len=7")) == [
        "train",
        "decode",
        "score",
    ]
    call(clone, "git", "reset", "-q", "--hard")
    call(clone, "dvc", "checkout", "-q")
    said = call(clone, "dvc", "exp", "apply", "longer")
    assert said == "Changes for experiment 'longer' have been applied to your current workspace.\n"
    status, checkout, plots = look(clone)
    assert status == "Data and pipelines are up to date.\n" and checkout == "" and "failed" not in plots
