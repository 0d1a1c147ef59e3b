"""Examples as token ids, and batches of them, in which each row belongs to a run."""

from dataclasses import dataclass

import torch

NONE = -1  # label of a token without a tag


@dataclass(frozen=True)
class Example:
    """Ids of a source as the model reads it, and of a target with its end token.

    An encoder's target is one class, or, if words are tagged, one class per token of the source (`NONE` without a
    tag).
    """

    source: list[int]
    target: list[int]


@dataclass(frozen=True)
class Batch:
    """Examples of one or more runs.

    - `runs` [batch]: the run of each row.
    - `labels` [target tokens]: the targets' ids or classes, row after row, without `NONE`.
    - `rows` [target tokens]: the row of each label.
    """

    examples: list[Example]
    runs: torch.Tensor
    labels: torch.Tensor
    rows: torch.Tensor

    @classmethod
    def of(cls, examples: list[Example], runs: list[int], device: torch.device) -> "Batch":
        """A batch on the device, row `i` of run `runs[i]`."""
        wanted = [[token for token in example.target if token != NONE] for example in examples]
        lengths = torch.tensor([len(tokens) for tokens in wanted])
        labels = torch.tensor([token for tokens in wanted for token in tokens], dtype=torch.long)
        rows = torch.arange(len(examples)).repeat_interleave(lengths)
        return cls(examples, *(to_device(device, tensor) for tensor in (torch.tensor(runs), labels, rows)))


def to_device(device: torch.device, tensor: torch.Tensor) -> torch.Tensor:
    """Copy a tensor to the device without making the host wait for the device."""
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor
