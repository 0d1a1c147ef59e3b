"""Products by oneDNN against torch's own: values, gradients, and what they leave to others."""

import pytest
import torch
from torch import nn
from transformers import GPT2Config, GPT2LMHeadModel
from transformers.pytorch_utils import Conv1D

from stages.models.linear import pack, product_by_run, use_onednn
from stages.models.precision import has_bf16

pytestmark = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this torch is built without oneDNN")


def layers(kind, bias=True):
    torch.manual_seed(0)
    ours = Conv1D(24, 40) if kind == "conv1d" else nn.Linear(40, 24, bias=bias)
    nn.init.normal_(ours.weight)
    theirs = Conv1D(24, 40) if kind == "conv1d" else nn.Linear(40, 24, bias=bias)
    theirs.load_state_dict(ours.state_dict())
    use_onednn(ours)
    return ours, theirs


def held(layer):
    """The numbers of the weight that are in memory."""
    return layer.weight.untyped_storage().nbytes() // layer.weight.element_size()


@pytest.mark.parametrize("kind", ["linear", "conv1d"])
@pytest.mark.parametrize("size", [(40,), (7, 40), (3, 5, 40), (0, 40)])
@pytest.mark.parametrize("frozen", [True, False])
def test_values_and_gradients(kind, size, frozen):
    ours, theirs = layers(kind)
    results = []
    for layer in (ours, theirs):
        layer.requires_grad_(not frozen)
        x = torch.randn(size, generator=torch.Generator().manual_seed(1)).requires_grad_()
        y = layer(x)
        (y * torch.arange(24)).sum().backward()
        results.append([y, x.grad, layer.weight.grad, layer.bias.grad])
    for one, two in zip(*results, strict=True):
        assert (one is None) == (two is None)
        if one is not None:
            torch.testing.assert_close(one, two, atol=1e-4, rtol=1e-5)
    assert (results[0][2] is None) == frozen


def test_without_bias_and_of_a_view():
    ours, theirs = layers("linear", bias=False)
    x = torch.randn(40, 6, generator=torch.Generator().manual_seed(1)).t()
    torch.testing.assert_close(ours(x), theirs(x), atol=1e-4, rtol=1e-5)


def test_bf16_and_autocast_are_torchs_own():
    ours, theirs = (layer.requires_grad_(False) for layer in layers("linear"))
    x = torch.randn(4, 40)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(ours(x), theirs(x)) and ours(x).dtype == torch.bfloat16
    ours, theirs = ours.bfloat16(), theirs.bfloat16()
    assert torch.equal(ours(x.bfloat16()), theirs(x.bfloat16()))


def test_a_frozen_weight_keeps_nothing_of_the_input():
    """Otherwise all inputs of all layers would wait for the backward pass."""
    ours, _ = layers("linear")
    ours.requires_grad_(False)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor) or tensor, lambda tensor: tensor):
        ours(torch.randn(4, 40, requires_grad=True))
    assert [tensor.shape for tensor in kept] == [ours.weight.shape]


def test_a_whole_model_and_its_tied_weights():
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=300, n_positions=64, n_embd=32, n_layer=2, n_head=4)
    ours, theirs = (GPT2LMHeadModel(config).eval() for _ in range(2))
    theirs.load_state_dict(ours.state_dict())
    use_onednn(ours)
    ids = torch.randint(0, 300, (2, 11))
    for model in (ours, theirs):
        model(ids, labels=ids).loss.backward()
    for (name, one), (_, two) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
        torch.testing.assert_close(one.grad, two.grad, atol=1e-5, rtol=1e-4, msg=name)


@pytest.mark.parametrize("runs", [1, 3])
def test_products_by_run(runs):
    g = torch.Generator().manual_seed(0)
    sizes = (runs, 5, 8), (runs, 8, 24), (runs, 1, 24)
    parts = [torch.randn(size, generator=g).requires_grad_() for size in sizes]
    found = product_by_run(*parts)
    expected = torch.baddbmm(parts[2], parts[0], parts[1])
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    scale = torch.arange(24)
    ours, theirs = (torch.autograd.grad((result * scale).sum(), parts) for result in (found, expected))
    for one, two in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, two, atol=1e-3, rtol=1e-4)
        assert one.stride() == two.stride()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_packed_model_computes_the_same(dtype):
    """And holds its weights once, but for what is an embedding too."""
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=300, n_positions=64, n_embd=32, n_layer=2, n_head=4)
    model = GPT2LMHeadModel(config).eval().requires_grad_(False).to(dtype)
    use_onednn(model)
    ids = torch.randint(0, 300, (3, 7))
    before = model(ids).logits
    pack(model)
    with torch.inference_mode():
        torch.testing.assert_close(model(ids).logits, before, atol=1e-5 if dtype == torch.float32 else 0.02, rtol=0.02)
    if dtype == torch.float32 or has_bf16(ids.device):
        freed = model.transformer.h[0].mlp.c_fc.weight
        assert held(model.lm_head) == 300 * 32 and held(model.transformer.h[0].mlp.c_fc) == 1
        assert freed.shape == (32, 128) and freed.isnan().all()


@pytest.mark.parametrize("kind", ["linear", "conv1d"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_packed_layer_has_the_same_gradients_bit_for_bit(kind, dtype):
    """Frozen, in training: rows that are no multiple of eight, and a gradient that is a view."""
    ours, theirs = (layer.requires_grad_(False).to(dtype) for layer in layers(kind))
    use_onednn(theirs)
    pack(ours, gradients=True)
    results = []
    for layer in (ours, theirs):
        x = torch.randn(3, 5, 40, generator=torch.Generator().manual_seed(1)).to(dtype).requires_grad_()
        y = layer(x)
        (y.transpose(0, 1) * torch.arange(24)).sum().backward()
        results.append((y, x.grad))
    for one, two in zip(*results, strict=True):
        assert torch.equal(one, two)
    if dtype == torch.float32 or has_bf16(x.device):
        assert held(ours) == 1


def test_a_large_model_keeps_one_copy_in_training(monkeypatch):
    ours, _ = layers("linear")
    monkeypatch.setattr("stages.models.linear.SECOND_COPY", 24 * 40 * 4 - 1)
    pack(ours, gradients=True)
    assert held(ours) == 24 * 40
    pack(ours)
    assert held(ours) == 1


def test_a_model_that_keeps_to_torch_is_left_alone():
    model = nn.Sequential(nn.Linear(4, 4))
    pack(model)
    assert model[0].weight.numel() == 16
