"""What was trained outlives everything that may go wrong before it is written."""

import pytest
import torch

from stages.core.errors import UserError
from stages.core.scratch import scratch
from stages.training.checkpoint import Checkpoint


@pytest.fixture
def settings(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").write_text("text")
    return {"seed": 1}, tmp_path / "data"


def test_a_checkpoint_is_deleted_behind_the_block_alone(settings):
    with pytest.raises(OSError), Checkpoint.of(*settings) as checkpoint:
        checkpoint.save(torch.nn.Linear(1, 1), [], 3)
        raise OSError("the disk is full")
    with Checkpoint.of(*settings) as checkpoint:
        assert checkpoint.restore(torch.nn.Linear(1, 1), []) == 3
    with Checkpoint.of(*settings) as checkpoint:
        assert checkpoint.restore(torch.nn.Linear(1, 1), []) == 0


def test_one_process_at_a_time(settings):
    again = Checkpoint.of(*settings)
    with Checkpoint.of(*settings), pytest.raises(UserError, match=r"\.lock: another process is at this work"), again:
        pass


def test_a_file_that_is_missing_is_named(settings, tmp_path):
    said = f"^cannot read {tmp_path}/nowhere: No such file or directory$"
    with pytest.raises(UserError, match=said), scratch(settings[0], tmp_path / "nowhere"):
        pass
