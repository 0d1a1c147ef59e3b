"""Fine-tuning: our loop beside transformers' `Trainer`, on the same batches from the same weights."""

from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch.utils.data import Dataset
from transformers import Trainer, TrainerCallback, TrainingArguments

from bench import limits, peer
from bench.inputs import SEED, Ids, clock
from bench.training import BATCH, LR, opened, orders, tokens, training_of
from stages.methods.finetune import OwnWeights
from stages.training.checkpoint import Checkpoint
from stages.training.loop import train

LENGTH = 0


class Clocked(OwnWeights):
    """Notes when training asks for the adaptation of a step, and at the end for what is to be stored."""

    warm_up = 0

    def forward(self, step: int | None = None):
        if step == self.warm_up:
            self.began = clock()
        return super().forward(step)

    def state(self) -> dict[str, torch.Tensor]:
        self.ended = clock()
        return super().state()


def ours(home: str, name: str, steps: int, warm_up: int, bf16: bool, rates: dict) -> dict:
    lm, ids = opened(home, name), Ids(home, name)
    method = Clocked(lm, dict(lm.model.named_parameters()), [SEED])
    method.warm_up = warm_up
    if bf16:
        lm.compute_in(torch.bfloat16)
    examples = ids.examples(0, len(ids.train))
    with TemporaryDirectory() as directory:
        checkpoint = Checkpoint(Path(directory) / "run" / "checkpoint.safetensors")
        _, points = train(lm, method, [examples], [examples], training_of(LENGTH, steps), checkpoint)
    timed = limits.of_steps(orders(examples, steps, warm_up), examples)
    return {
        "losses": [point.loss for point in points], "seconds": method.ended - method.began,
        "tokens": tokens(examples, steps, warm_up),
        "limit": limits.training(lm, timed, LENGTH, tuned=True) / rates["bf16" if bf16 else "fp32"],
    }  # fmt: skip


class _InOrder(Dataset):
    """The examples in the order of the batches."""

    def __init__(self, examples):
        self.examples = examples

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, index: int):
        return self.examples[index]


class _Clock(TrainerCallback):
    """Notes when the warm-up is over, and the loss of each step."""

    def __init__(self, warm_up: int):
        self.warm_up, self.began, self.losses = warm_up, 0.0, []

    def on_step_begin(self, args, state, control, **_):
        if state.global_step == self.warm_up:
            self.began = clock()

    def on_log(self, args, state, control, logs, **_):
        self.losses += [logs["loss"]] if "loss" in logs else []


def theirs(home: str, name: str, steps: int, warm_up: int, bf16: bool) -> dict:
    ids, model = Ids(home, name), peer.base(home, name, torch.float32)
    examples, watch = ids.examples(0, len(ids.train)), _Clock(warm_up)
    chosen = _InOrder(limits.of_steps(orders(examples, steps, 0), examples))
    with TemporaryDirectory() as directory:
        arguments = TrainingArguments(
            directory, per_device_train_batch_size=BATCH, max_steps=steps, learning_rate=LR, weight_decay=0.0,
            max_grad_norm=1.0, lr_scheduler_type="linear", bf16=bf16, logging_steps=1, save_strategy="no",
            report_to=[], disable_tqdm=True, remove_unused_columns=False, train_sampling_strategy="sequential",
            use_cpu=not torch.cuda.is_available(), dataloader_num_workers=0,
        )  # fmt: skip
        trainer = Trainer(
            model, arguments, train_dataset=chosen, callbacks=[watch],
            data_collator=lambda some: peer.batch_of(some, ids.before, False, torch.device("cpu")),
        )  # fmt: skip
        trainer.train()
    return {"losses": watch.losses, "seconds": clock() - watch.began, "tokens": tokens(examples, steps, warm_up)}
