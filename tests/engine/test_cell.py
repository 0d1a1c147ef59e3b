"""A cell of runs, one after another or in one batch: the same results."""

from dataclasses import replace

import torch
import yaml

from stages.engine import cell as engine
from stages.engine.batches import Example
from stages.engine.cell import train_cell
from stages.engine.checkpoint import Checkpoint
from stages.engine.encode import Examples
from stages.engine.train import train
from stages.methods.prefix import Prefix
from stages.params import Training
from stages.sections import Train

TRAINING = Training(
    prefix_len=4, mlp_width=8, bottleneck=None, lr=1e-2, epochs=None, steps=6, batch_size=3, warmup_steps=2,
    loss="sequence_sum", lm_dropout=False,
)  # fmt: skip


def examples(seed, count=10):
    g = torch.Generator().manual_seed(seed)
    lengths = torch.randint(2, 6, (count, 2), generator=g).tolist()
    return Examples(Example(*(torch.randint(1, 2000, (n,), generator=g).tolist() for n in pair)) for pair in lengths)


def test_one_after_another_equals_one_batch(lm, project):
    options = Train.model_validate(yaml.safe_load((project / "params.yaml").read_text())["train"])
    data, seeds = [examples(1), examples(2), examples(1)], [7, 8, 9]

    def build(seeds):
        return Prefix(lm, 4, 8, seeds)

    def checkpoint(seeds):
        return Checkpoint(project / "-".join(map(str, seeds)) / "checkpoint.safetensors")

    alone, curve = train_cell(lm, build, seeds, data, examples(99, 4), TRAINING, options, checkpoint)
    together, joint = train(lm, build(seeds), data, examples(99, 4), TRAINING, options, checkpoint(seeds))
    torch.testing.assert_close(alone["decoder"], together["decoder"], rtol=1e-3, atol=1e-4)
    assert not torch.allclose(alone["decoder"][0], alone["decoder"][2]), "another seed is another run"
    assert [point.step for point in curve] == [point.step for point in joint] == list(range(1, 7))


def test_a_gpu_trains_all_in_one_batch(lm, project, monkeypatch):
    """Which of the two is taken; the GPU is played, its arithmetic is not."""
    seen = []
    monkeypatch.setattr(
        engine, "train", lambda lm, method, *_: seen.append(method) or ({"decoder": torch.zeros(1)}, [])
    )
    for device, calls in (("cpu", [[1], [2]]), ("cuda", [[1, 2]])):
        seen.clear()
        played = replace_device(lm, device)
        train_cell(played, lambda seeds: seeds, [1, 2], [[], []], [], replace(TRAINING), None, lambda seeds: None)
        assert seen == calls


def replace_device(lm, device):
    class Played:
        def __init__(self):
            self.device = torch.device(device)

    return Played()
