"""Activation checkpointing with a prefix: equal gradients, less memory."""

import pytest
import torch

from stages.methods.adapter import Adapters
from stages.methods.embedding_only import EmbeddingOnly
from stages.methods.infix import InfixTuning
from stages.methods.prefix import Prefix
from stages.models.batches import Batch, Example
from stages.training.recompute import recompute
from stages.training.step import target_losses

EXAMPLES = [Example([5, 300, 700], [4, 8, 15, 2]), Example([42, 7, 9, 11, 13], [23, 2]), Example([7], [3, 1, 2])]


def gradients(lm, method):
    """Of two runs' parameters, and the bytes that wait for the backward pass."""
    kept = {}
    runs = [0, 1, 0][: len(EXAMPLES)] if len(method.seeds) > 1 else [0] * 3

    def keep(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    adaptation = method()
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        sums = target_losses(lm, adaptation, Batch.of(EXAMPLES, runs, lm.device))[0]
    sums.sum().backward()
    found = [parameter.grad.clone() for parameter in method.trainable_parameters()]
    method.zero_grad()
    return found, sum(kept.values())


@pytest.mark.parametrize("dropout", [False, True])
def test_equal_gradients(any_lm, dropout):
    """Bit for bit; with the model's own dropout the same numbers are dropped twice."""
    if dropout:
        any_lm.model.apply(
            lambda module: setattr(module, "dropout", 0.3) if type(module).__name__[:4] == "Bart" else None
        )
        any_lm.model.train()
    method = Prefix(any_lm, 4, 8, [1, 2])
    torch.manual_seed(5)
    plain, before = gradients(any_lm, method)
    recompute(any_lm.blocks())
    torch.manual_seed(5)
    again, after = gradients(any_lm, method)
    assert all(torch.equal(one, two) for one, two in zip(plain, again, strict=True)) and all(g.any() for g in plain)
    assert after < 0.8 * before


@pytest.mark.parametrize("kind", ["infix", "embedding_only", "adapter", "houlsby"])
def test_the_other_methods(lm, kind):
    method = {
        "infix": lambda: InfixTuning(lm, 4, 8, [1]),
        "embedding_only": lambda: EmbeddingOnly(lm, 4, 8, [1]),
        "adapter": lambda: Adapters(lm, 3, "lin", 0.02, [1, 2]),
        "houlsby": lambda: Adapters(lm, 3, "houlsby", 0.02, [1, 2]),
    }[kind]()
    plain, _ = gradients(lm, method)
    recompute(lm.blocks())
    again, _ = gradients(lm, method)
    assert any(g.any() for g in plain)
    for one, two in zip(plain, again, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-5)
