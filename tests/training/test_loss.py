"""Losses a few tokens at a time: those of all at once, and no more logits than that."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from stages.training import loss as engine
from stages.training.loss import token_losses

VOCABULARY = 50


@pytest.fixture
def matrix():
    torch.manual_seed(0)
    return nn.Linear(8, VOCABULARY, bias=False)


@pytest.mark.parametrize("tokens", [1, 8, 9, 20])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("frozen", [True, False])
def test_losses_and_gradients(matrix, monkeypatch, tokens, dtype, frozen):
    monkeypatch.setattr(engine, "AT_ONCE", 8 * VOCABULARY)
    matrix.to(dtype).requires_grad_(not frozen)
    seen, labels = [], torch.randint(0, VOCABULARY, (tokens,))

    def logits(hidden):
        seen.append(len(hidden))
        return matrix(hidden)

    states = torch.randn(tokens, 8, dtype=dtype)
    weights = torch.rand(tokens)  # of the tokens: a mean over something, as training takes it
    ours, theirs = (states.clone().requires_grad_() for _ in range(2))
    found = token_losses(ours, labels, logits, VOCABULARY, frozen)
    (found * weights).sum().backward()
    of_weights, matrix.weight.grad = matrix.weight.grad, None
    assert seen == ([min(8, tokens - start) for start in range(0, tokens, 8)] if frozen else [tokens])
    expected = F.cross_entropy(matrix(theirs).float(), labels, reduction="none")
    (expected * weights).sum().backward()
    tolerance = {"rtol": 1e-5, "atol": 1e-6} if dtype == torch.float32 else {"rtol": 0.05, "atol": 0.01}
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(ours.grad, theirs.grad, **tolerance)
    if not frozen:
        torch.testing.assert_close(of_weights, matrix.weight.grad, **tolerance)


def test_without_gradients(matrix, monkeypatch):
    monkeypatch.setattr(engine, "AT_ONCE", 8 * VOCABULARY)
    states, labels = torch.randn(17, 8), torch.randint(0, VOCABULARY, (17,))
    with torch.no_grad():
        found = token_losses(states, labels, matrix, VOCABULARY, True)
    assert not found.requires_grad
    torch.testing.assert_close(found, F.cross_entropy(matrix(states), labels, reduction="none"))
