"""The attention of pretraining equals torch's, in both types and for all three uses, and leaves no trace."""

import json

import pytest
import torch
from torch.nn import functional as F
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    BartConfig,
    BartForConditionalGeneration,
    GPT2Config,
    GPT2LMHeadModel,
)

from stages.pretrain import attention
from stages.pretrain.loss import IGNORED, PART, cross_entropy

ROWS, HEADS, HEAD = 3, 2, 16
LENGTHS = torch.tensor([[9], [4], [1]])  # of the keys of each row, where they are padded


def masks(use):
    """Queries, keys and the boolean mask of a use."""
    if use == "causal":
        return 9, 9, torch.ones(9, 9, dtype=torch.bool).tril()[None, None]
    padding = (torch.arange(9) < LENGTHS)[:, None, None]  # [rows, 1, 1, keys]
    if use == "padded causal":
        return 9, 9, padding & torch.ones(9, 9, dtype=torch.bool).tril()
    return {"padded": (9, 9, padding), "cross": (5, 9, padding), "all": (5, 9, None)}[use]


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def random(dtype, *shape):
    return (2 * torch.randn(shape)).to(dtype)


@pytest.mark.parametrize("use", ["causal", "padded causal", "padded", "cross", "all"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 4e-2)])
def test_output_and_gradients_are_those_of_torch(use, dtype, tolerance):
    queries, keys, allowed = masks(use)
    mask = None if allowed is None else torch.zeros(allowed.shape, dtype=dtype).masked_fill(~allowed, -1e4)
    shapes = [(ROWS, HEADS, length, HEAD) for length in (queries, keys, keys)]
    ours = [random(dtype, *shape).requires_grad_() for shape in shapes]
    exact = [part.detach().float().requires_grad_() for part in ours]
    upstream = random(torch.float32, *shapes[0])
    found = attention.attend(*ours, mask, 0.2)
    wanted = F.scaled_dot_product_attention(*exact, attn_mask=allowed, scale=0.2)
    found.backward(upstream.to(dtype))
    wanted.backward(upstream)
    assert found.dtype == dtype
    for one, two in [(found, wanted), *((a.grad, b.grad) for a, b in zip(ours, exact, strict=True))]:
        assert (one.float() - two).abs().max() <= tolerance * max(1.0, two.abs().max().item())


def test_a_query_without_keys_gives_numbers():
    parts = [random(torch.bfloat16, 1, 1, 4, 8).requires_grad_() for _ in range(3)]
    attention.attend(*parts, torch.full((1, 1, 1, 4), attention.FORBIDDEN, dtype=torch.bfloat16), 1.0).sum().backward()
    assert all(part.grad.isfinite().all() for part in parts)


def test_the_mask_stays_as_it_was():
    mask = attention.causal_mask(4, 4, torch.float32)
    attention.attend(*(random(torch.float32, 1, 1, 4, 8) for _ in range(3)), mask, 1.0)  # one head: nothing to expand
    assert torch.equal(mask, attention.causal_mask(4, 4, torch.float32))


def gpt2():
    torch.manual_seed(0)
    return GPT2LMHeadModel(GPT2Config(
        vocab_size=60, n_positions=32, n_embd=32, n_layer=2, n_head=2, activation_function="gelu",
        initializer_range=0.3, bos_token_id=0, eos_token_id=0, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
    ))  # fmt: skip


def bart():
    torch.manual_seed(0)
    return BartForConditionalGeneration(BartConfig(
        vocab_size=60, max_position_embeddings=32, d_model=32, encoder_layers=2, decoder_layers=2, init_std=0.3,
        encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=64, decoder_ffn_dim=64, dropout=0.0,
    ))  # fmt: skip


@pytest.mark.parametrize(
    ("make", "loader"), [(gpt2, AutoModelForCausalLM), (bart, AutoModelForSeq2SeqLM)], ids=["gpt2", "bart"]
)
def test_a_saved_model_knows_nothing_of_it(make, loader, tmp_path):
    model = make()
    attention.use(model)
    model.save_pretrained(tmp_path)
    assert attention.NAME not in (tmp_path / "config.json").read_text()
    assert not [key for key in json.loads((tmp_path / "config.json").read_text()) if "attn_impl" in key]
    again = loader.from_pretrained(tmp_path)
    assert again.config._attn_implementation == "sdpa" and model.config._attn_implementation == attention.NAME

    ids = torch.randint(4, 60, (3, 12), generator=torch.Generator().manual_seed(1))
    kwargs = {"input_ids": ids, "attention_mask": (torch.arange(12) < torch.tensor([[12], [7], [3]])).long()}
    if model.config.is_encoder_decoder:
        kwargs["decoder_input_ids"] = ids[:, :9]
    found, wanted = model(**kwargs).logits, again(**kwargs).logits
    seen = slice(None) if model.config.is_encoder_decoder else kwargs["attention_mask"].bool()
    assert (found[seen] - wanted[seen]).abs().max() < 1e-4
    moved = model(**kwargs | {"attention_mask": torch.ones(3, 12).long()}).logits
    assert (moved[1:] - found[1:]).abs().max() > 0.1, "the mask matters in this test"


def test_under_autocast_all_of_it_is_in_16_bits(monkeypatch):
    seen, real = [], attention.attend
    monkeypatch.setattr(
        attention, "attend", lambda *a: seen.append({x.dtype for x in a[:4] if x is not None}) or real(*a)
    )
    model = bart()
    attention.use(model)
    ids, mask = torch.randint(4, 60, (2, 6)), torch.tensor([[1] * 6, [1] * 4 + [0] * 2])
    with torch.autocast("cpu", torch.bfloat16):
        model(input_ids=ids, attention_mask=mask, decoder_input_ids=ids)
    assert seen == 6 * [{torch.bfloat16}]


def test_dropout_is_refused():
    model = gpt2().train()
    model.transformer.h[0].attn.attn_dropout.p = 0.1
    attention.use(model)
    with pytest.raises(ValueError, match="no dropout"):
        model(torch.tensor([[1, 2]]))


def test_the_loss_in_parts_is_the_loss():
    head = torch.nn.Linear(8, 30)
    hidden, labels = random(torch.float32, 2 * PART + 7, 8).requires_grad_(), torch.randint(0, 30, (2 * PART + 7,))
    labels[::3] = IGNORED
    found = cross_entropy(hidden, head, labels)
    wanted = F.cross_entropy(head(hidden), labels)
    assert (found - wanted).abs() < 1e-5
    one, two = (torch.autograd.grad(loss, [hidden, head.weight]) for loss in (found, wanted))
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(one, two, strict=True))
