"""What the tests of methods share: adaptation by hand, and logits one text at a time."""

import pytest
import torch

from stages.models.adaptation import Adaptation
from stages.models.batches import Batch, Example

EXAMPLES = [
    Example([5, 300, 700], [4, 8, 15, 16, 2]),
    Example([42, 7, 9, 11, 13, 900], [23, 2]),
    Example([7], [3, 1, 2]),
]


@pytest.fixture
def hidden_of():
    """Hidden states [tokens, width] at the targets of EXAMPLES, in one padded batch."""

    def compute(lm, adaptation=None, runs=(0, 0, 0)):
        return lm.target_hidden(Batch.of(EXAMPLES, list(runs), lm.device), adaptation or Adaptation())

    return compute


@pytest.fixture
def alone():
    """The same of one example in a batch of its own."""

    def compute(lm, number, adaptation=None, run=0):
        return lm.target_hidden(Batch.of([EXAMPLES[number]], [run], lm.device), adaptation or Adaptation())

    return compute


@pytest.fixture
def examples():
    return EXAMPLES


@pytest.fixture
def same():
    return lambda one, two: torch.testing.assert_close(one, two, atol=5e-5, rtol=1e-3)
