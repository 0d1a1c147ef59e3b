"""bf16 for what is frozen, fp32 for what moves."""

from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from stages.decoding.beam import Search, search_sources
from stages.methods.adapter import Adapters
from stages.methods.embedding_only import EmbeddingOnly
from stages.methods.finetune import OwnWeights
from stages.methods.infix import InfixTuning
from stages.methods.prefix import Prefix
from stages.models.adaptation import Adaptation
from stages.models.attention import MOST, _by_products, attend
from stages.models.batches import Batch, Example
from stages.models.precision import dtype_of, has_bf16
from stages.training.step import target_losses

EXAMPLES = [Example([5, 300, 700], [4, 8, 15, 2]), Example([42, 7, 9, 11, 13], [23, 2])]


def sums(lm, method):
    return target_losses(lm, method(), Batch.of(EXAMPLES, [0, 0], lm.device))[0]


def close(one, two):
    torch.testing.assert_close(one, two, rtol=0.03, atol=0.3)


def test_names(monkeypatch):
    cpu = torch.device("cpu")
    assert (dtype_of("fp32", cpu, 768), dtype_of("bf16", cpu, 256)) == (torch.float32, torch.bfloat16)
    for features, dtype in (({"avx2": True}, torch.float32), ({"avx512_bf16": True}, torch.bfloat16)):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda features=features: features)
        assert dtype_of("auto", cpu, 256) == torch.float32, "a small model gains nothing"
        assert dtype_of("auto", cpu, 768) == dtype and has_bf16(cpu) == (dtype == torch.bfloat16)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: False)
    assert dtype_of("auto", torch.device("cuda"), 768) == torch.float32


def test_a_frozen_model_is_held_in_bf16_and_a_prefix_in_fp32(any_lm):
    method = Prefix(any_lm, 4, 8, [1])
    exact = sums(any_lm, method)
    any_lm.compute_in(torch.bfloat16)
    assert {p.dtype for p in any_lm.model.parameters()} == {torch.bfloat16}
    found = sums(any_lm, method)
    assert found.dtype == torch.float32 and not torch.equal(found, exact)
    close(found, exact)
    found.sum().backward()
    assert all(p.grad.dtype == p.dtype == torch.float32 and p.grad.any() for p in method.trainable_parameters())


@pytest.mark.parametrize("kind", [EmbeddingOnly, InfixTuning])
def test_the_other_steering_methods(lm, kind):
    method = kind(lm, 4, 8, [1])
    exact = sums(lm, method)
    lm.compute_in(torch.bfloat16)
    found = sums(lm, method)
    close(found, exact)
    found.sum().backward()
    assert all(p.grad.dtype == torch.float32 and p.grad.any() for p in method.trainable_parameters())


def test_adapters_stay_in_fp32(any_lm):
    method = Adapters(any_lm, 3, "lin", 0.02, [1])
    exact = sums(any_lm, method)
    any_lm.compute_in(torch.bfloat16)
    found = sums(any_lm, method)
    close(found, exact)
    found.sum().backward()
    assert all(p.dtype == torch.float32 and p.grad.any() for p in method.trainable_parameters() if p.grad is not None)


def test_weights_that_move_stay_in_fp32_and_are_cast_as_they_are_used(any_lm):
    method = OwnWeights(any_lm, dict(any_lm.model.named_parameters()), [1])
    exact = sums(any_lm, method).detach()
    any_lm.compute_in(torch.bfloat16)
    assert {p.dtype for p in any_lm.model.parameters()} == {torch.float32}
    found = sums(any_lm, method)
    assert not torch.equal(found, exact)
    close(found, exact)
    found.sum().backward()
    assert all(p.grad.dtype == torch.float32 for p in method.trainable_parameters() if p.grad is not None)
    any_lm.compute_in(torch.float32)
    assert torch.equal(sums(any_lm, method), exact), "fp32 is what it was"


def test_decoding_in_bf16(any_lm):
    """The best hypothesis of bf16 is in fp32 not much less likely than the best of fp32; eight random tokens are by 50."""
    adaptation = Prefix(any_lm, 4, 8, [1])()
    adaptation = replace(adaptation, prefixes={place: prefix.detach() for place, prefix in adaptation.prefixes.items()})
    search, sources = Search(4, 1.0, 8, 3071), [example.source for example in EXAMPLES]
    exact = dict(search_sources(any_lm, adaptation, [0, 0], sources, search, 2))
    any_lm.compute_in(torch.bfloat16)
    rounded = dict(search_sources(any_lm, adaptation, [0, 0], sources, search, 2))
    parameters = list(any_lm.model.parameters())
    for parameter in parameters:
        parameter.data = parameter.data.float()
    any_lm.computes_in = torch.float32
    for number, source in enumerate(sources):
        pair = [Example(source, ids[number]) for ids in (exact, rounded)]
        with torch.no_grad():
            one, two = target_losses(any_lm, adaptation, Batch.of(pair, [0, 0], any_lm.device))[0]
        assert two < one + 5


def test_no_steering_at_all(any_lm):
    any_lm.compute_in(torch.bfloat16)
    found = dict(search_sources(any_lm, Adaptation(), [0], [EXAMPLES[0].source], Search(2, 1.0, 4, 3071), 1))
    assert len(found[0]) <= 4


def test_attention_of_bf16_on_a_cpu_is_by_products_where_gradients_flow(monkeypatch):
    def attended(length, moves, dtype=torch.bfloat16):
        parts = [torch.randn(1, 2, length, 8, dtype=dtype).requires_grad_(moves) for _ in range(3)]
        attend(torch.nn.Module(), *parts, torch.ones(1, 1, length, length, dtype=torch.bool))

    def otherwise(*_, **__):
        raise AssertionError("sdpa")

    monkeypatch.setattr("stages.models.attention.sdpa_attention_forward", otherwise)
    attended(MOST, True)
    for others in ((MOST, False), (MOST, True, torch.float32), (MOST + 1, True)):  # scores of long texts are many
        with pytest.raises(AssertionError, match="sdpa"):
            attended(*others)


@pytest.mark.parametrize("bias", [False, True])
def test_attention_by_products_is_that_of_sdpa(bias):
    """With fewer heads of keys than of queries, a mask of its own for each row, and T5's bias."""
    query, key, value = (torch.randn(2, heads, length, 8) for heads, length in ((4, 3), (2, 5), (2, 5)))
    mask = torch.tensor([[True] * 5, [False, True, True, False, True]])[:, None, None].expand(2, 1, 3, 5)
    added = torch.randn(1, 4, 3, 5) if bias else torch.zeros(1, 4, 3, 5)
    found, _ = _by_products(None, query, key, value, mask, added if bias else None, scaling=0.5)
    wide = (part.repeat_interleave(2, 1) for part in (key, value))
    wanted = F.scaled_dot_product_attention(query, *wide, attn_mask=added.where(mask, -torch.inf), scale=0.5)
    torch.testing.assert_close(found, wanted.transpose(1, 2))
