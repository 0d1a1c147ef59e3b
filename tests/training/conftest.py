"""What the tests of training share: a training of 12 steps, random examples, and a prefix to train on them."""

from dataclasses import replace

import torch

from stages.core.run_config import Training
from stages.methods.prefix import Prefix
from stages.models.batches import Example
from stages.models.encode import Examples
from stages.training.checkpoint import Checkpoint
from stages.training.loop import train

TRAINING = Training(
    lr=1e-2, epochs=None, steps=12, batch_size=3, warmup_steps=2,
    loss="sequence_sum", lm_dropout=False, optimizer="adamw", schedule="linear", weight_decay=0.0, clip_norm=1.0,
    decay_rate=None, length_pool=50,
)  # fmt: skip


def examples(seed, count=10):
    g = torch.Generator().manual_seed(seed)
    lengths = torch.randint(2, 6, (count, 2), generator=g).tolist()
    return Examples(Example(*(torch.randint(1, 2000, (n,), generator=g).tolist() for n in pair)) for pair in lengths)


def method_of(lm, *seeds, mlp_width=8, dropout=0.0):
    return Prefix(lm, 4, mlp_width, list(seeds), dropout)


def run(lm, project, method, data, name, training=TRAINING, dev=None, **changes):
    """What the trained runs store, and the curve."""
    checkpoint = Checkpoint(project / name / "checkpoint.safetensors")
    dev = dev or [examples(99, 4)] * len(data)
    return train(lm, method, data, dev, replace(training, **changes), checkpoint)


def close(one, two, rtol=1e-4, atol=1e-5):
    assert set(one) == set(two)
    for name in one:
        torch.testing.assert_close(one[name], two[name], rtol=rtol, atol=atol)
