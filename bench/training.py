"""Training: the loop of `stages.training.loop` beside PEFT's usual one, on the same batches from the same parameters."""

from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from bench import limits, peer
from bench.inputs import POOL, SEED, Ids, clock, directory_of, start_of
from stages.core.run_config import Training
from stages.methods.parts.prefix_encoder import Fit
from stages.methods.prefix import Prefix, unflatten
from stages.models.adaptation import DECODER
from stages.models.determinism import set_determinism
from stages.models.linear import pack
from stages.models.load import load
from stages.models.memory import keep_freed_memory
from stages.models.model import LM
from stages.training.batches import BatchSampler
from stages.training.checkpoint import Checkpoint
from stages.training.loop import train
from stages.training.recompute import recompute

BATCH, HIDDEN, LR = 5, 512, 5e-5


class Clocked(Prefix):
    """Notes when training asks for the prefix of a step, and at the end for what is to be stored."""

    def __init__(self, lm: LM, length: int, warm_up: int, start: torch.Tensor | None = None):
        super().__init__(lm, length, HIDDEN if start is None else None, [SEED])
        if start is not None:
            begin_from(self, start)
        self.warm_up = warm_up

    def forward(self, step: int | None = None):
        if step == self.warm_up:
            self.began = clock()
        elif step is None:
            self.ended = clock()
        return super().forward(step)


def begin_from(method: Prefix, start: torch.Tensor) -> None:
    """Start all runs of a prefix without MLP from [length, numbers of a position]."""
    method.init_from({DECODER: unflatten(start[None], method.shapes[DECODER])[0]}, Fit(0, 0.0))


def training_of(length: int, steps: int) -> Training:
    return Training(
        lr=LR, epochs=None, steps=steps, batch_size=BATCH,
        warmup_steps=0, loss="token_mean", lm_dropout=False, optimizer="adamw", schedule="linear", weight_decay=0.0, clip_norm=1.0,
        decay_rate=None, length_pool=POOL,
    )  # fmt: skip


def opened(home: str, name: str) -> LM:
    """As a stage opens a user's model."""
    set_determinism(1)
    keep_freed_memory()
    return load(directory_of(home, name), name, "main")


def ours(
    home: str, name: str, length: int, steps: int, warm_up: int, bf16: bool, recomputed: bool, rates: dict
) -> dict:
    lm, ids = opened(home, name), Ids(home, name)
    method = Clocked(lm, length, warm_up, start_of(home, name, length))
    examples = ids.examples(0, len(ids.train))
    work = limits.training(lm, limits.of_steps(orders(examples, steps, warm_up), examples), length)
    if bf16:
        lm.compute_in(torch.bfloat16)
    pack(lm.model, gradients=True)
    if recomputed:
        recompute(lm.blocks())
    with TemporaryDirectory() as directory:
        checkpoint = Checkpoint(Path(directory) / "run" / "checkpoint.safetensors")
        _, points = train(lm, method, [examples], [examples], training_of(length, steps), checkpoint)
    losses = [point.loss for point in points]
    assert len(losses) == steps, "a curve has a point for each step of so short a training"
    return {
        "losses": losses, "seconds": method.ended - method.began, "tokens": tokens(examples, steps, warm_up),
        "limit": work / rates["bf16" if bf16 else "fp32"],
    }  # fmt: skip


def theirs(home: str, name: str, length: int, steps: int, warm_up: int) -> dict:
    ids, model, start = Ids(home, name), peer.base(home, name, torch.float32), start_of(home, name, length)
    peft = peer.prefixed(model, length, HIDDEN if start is None else None)
    if start is not None:
        peer.begin_from(peft, start)
    elif not model.config.is_encoder_decoder:  # there PEFT has one prefix where we have three
        peer.start_from(peft, SEED)
    examples = ids.examples(0, len(ids.train))
    losses, seconds = peer.train(peft, examples, ids.before, SEED, BATCH, LR, steps, warm_up)
    return {"losses": losses, "seconds": seconds, "tokens": tokens(examples, steps, warm_up)}


def tokens(examples, steps: int, warm_up: int) -> int:
    """Of sources and targets in the steps that are timed, without padding."""
    lengths = examples.lengths.sum(1)
    return sum(int(lengths[chosen].sum()) for chosen in orders(examples, steps, warm_up))


def orders(examples, steps: int, warm_up: int) -> list[list[int]]:
    """The batches of the steps that are timed."""
    order = BatchSampler(examples.lengths.sum(1), BATCH, SEED, POOL)
    return [order.at(step) for step in range(warm_up, steps)]
