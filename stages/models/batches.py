"""Examples as token ids, and batches of them, each row of a run."""

from dataclasses import dataclass

import torch

NONE = -1


@dataclass(frozen=True)
class Example:
    """Ids of a source as the model reads it, and of a target with its end.

    An encoder's target is a class; or, where it tags words, one for each token of the source, `NONE` where there is none.
    """

    source: list[int]
    target: list[int]


@dataclass(frozen=True)
class Batch:
    """Examples of one or more runs; `runs` is [batch], `labels` and `rows` are [target tokens], row after row."""

    examples: list[Example]
    runs: torch.Tensor
    labels: torch.Tensor
    rows: torch.Tensor

    @classmethod
    def of(cls, examples: list[Example], runs: list[int], device: torch.device) -> "Batch":
        wanted = [[token for token in example.target if token != NONE] for example in examples]
        lengths = torch.tensor([len(tokens) for tokens in wanted])
        labels = torch.tensor([token for tokens in wanted for token in tokens], dtype=torch.long)
        rows = torch.arange(len(examples)).repeat_interleave(lengths)
        return cls(examples, *(to_device(device, tensor) for tensor in (torch.tensor(runs), labels, rows)))


def to_device(device: torch.device, tensor: torch.Tensor) -> torch.Tensor:
    """The tensor on the device, without making the host wait for what the device is doing."""
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor
