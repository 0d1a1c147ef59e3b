"""What one comparison found."""

from dataclasses import dataclass

import torch

# Of logits and hidden states, on the scale of the largest: fp32 in another order of summing. An error of a mask, a position
# or a scale is thousands of times larger, which `felt` shows.
TOLERANCE = 2e-5


@dataclass(frozen=True)
class Finding:
    """`difference` is None of what is equal or not, as texts are."""

    what: str
    equal: bool
    difference: float | None = None


def tensors(what: str, ours: torch.Tensor, theirs: torch.Tensor) -> Finding:
    if ours.shape != theirs.shape:
        return Finding(f"{what}: shapes {tuple(ours.shape)} and {tuple(theirs.shape)}", equal=False)
    difference = (ours - theirs).abs().max().item()
    return Finding(what, difference <= TOLERANCE * max(1.0, theirs.abs().max().item()), difference)


def texts(what: str, ours: list[list[int]], theirs: list[list[int]]) -> Finding:
    return Finding(what, ours == theirs)


def felt(what: str, one: torch.Tensor, other: torch.Tensor) -> Finding:
    """That something changes what is compared, far beyond the tolerance: else equality would show nothing."""
    change = (one - other).abs().max().item()
    return Finding(f"{what} is not felt", change > 200 * TOLERANCE * max(1.0, one.abs().max().item()))
