"""Examples as token ids, and the batches of each training step.

The order of a run depends on its seed and the number of the step alone, so that a resumed training and
runs that train side by side see what a run alone sees.
"""

from dataclasses import dataclass

import torch
from datasets import Dataset

from stages.engine.model import FrozenLM
from stages.errors import UserError
from stages.tasks.record import Record

IGNORED = -100
# Batches of similar length are formed among this many batches' worth of shuffled examples.
POOL = 50


@dataclass(frozen=True)
class Example:
    """Source, separator, target and end as one row of ids; the loss starts behind `prompt` of them."""

    ids: list[int]
    prompt: int


@dataclass(frozen=True)
class Batch:
    """Right-padded rows of one or more runs, all [batch, length] but `runs`, which is [batch]."""

    ids: torch.Tensor
    mask: torch.Tensor
    labels: torch.Tensor  # the next token where it belongs to a target, else IGNORED
    runs: torch.Tensor


def prompt_ids(lm: FrozenLM, sources: list[str]) -> list[list[int]]:
    """A space, the source, the separator: what the target follows."""
    texts = [" " + source.strip() for source in sources]
    return [[*ids, lm.separator] for ids in lm.tokenizer(texts, add_special_tokens=False)["input_ids"]]


def encode(lm: FrozenLM, records: list[Record]) -> list[Example]:
    """One example per target.

    The authors feed ` source <|endoftext|> target <|endoftext|>` to a tokenizer that drops the spaces
    beside the special token: the target begins without one.
    """
    pairs = [{"source": r.source, "target": target.strip()} for r in records for target in r.targets]

    def tokenize(rows: dict[str, list[str]]) -> dict[str, list]:
        prompts = prompt_ids(lm, rows["source"])
        targets = lm.tokenizer(rows["target"], add_special_tokens=False)["input_ids"]
        return {
            "ids": [[*p, *t, lm.end] for p, t in zip(prompts, targets, strict=True)],
            "prompt": [len(p) for p in prompts],
        }

    mapped = Dataset.from_list(pairs).map(
        tokenize, batched=True, remove_columns=["source", "target"], keep_in_memory=True
    )
    return [Example(ids, prompt) for ids, prompt in zip(mapped["ids"], mapped["prompt"], strict=True)]


def check_length(lm: FrozenLM, examples: list[Example], prefix_len: int) -> None:
    """Raises UserError if the longest example does not fit behind the prefix."""
    longest = max(len(example.ids) for example in examples)
    if lm.positions is not None and prefix_len + longest > lm.positions:
        raise UserError(
            f"params.yaml: prefix_len {prefix_len} and the longest example, {longest} tokens, "
            f"exceed the {lm.positions} positions of {lm.name}"
        )


def collate(examples: list[Example], runs: list[int], device: torch.device) -> Batch:
    length = max(len(example.ids) for example in examples)
    ids = torch.zeros(len(examples), length, dtype=torch.long)
    mask, labels = torch.zeros_like(ids), torch.full_like(ids, IGNORED)
    for row, example in enumerate(examples):
        end = len(example.ids)
        ids[row, :end] = torch.tensor(example.ids)
        mask[row, :end] = 1
        labels[row, example.prompt - 1 : end - 1] = ids[row, example.prompt : end]
    tensors = (ids, mask, labels, torch.tensor(runs))
    return Batch(*(tensor.to(device, non_blocking=True) for tensor in tensors))


class Order:
    """Which examples a run sees at each step: shuffled every epoch, in batches of similar length."""

    def __init__(self, examples: list[Example], batch_size: int, seed: int):
        self.lengths = torch.tensor([len(example.ids) for example in examples])
        self.batch_size, self.seed = batch_size, seed
        self.per_epoch = -(-len(examples) // batch_size)
        self._epoch, self._plan = -1, []

    def _draw(self, epoch: int) -> list[list[int]]:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
        shuffled = torch.randperm(len(self.lengths), generator=generator)
        batches = []
        for pool in shuffled.split(POOL * self.batch_size):
            by_length = pool[self.lengths[pool].argsort(stable=True)]
            batches.extend(part.tolist() for part in by_length.split(self.batch_size))
        return [batches[i] for i in torch.randperm(len(batches), generator=generator)]

    def at(self, step: int) -> list[int]:
        """Indices of the examples of a step, counted from 0 over all epochs."""
        epoch, index = divmod(step, self.per_epoch)
        if epoch != self._epoch:
            self._epoch, self._plan = epoch, self._draw(epoch)
        return self._plan[index]
