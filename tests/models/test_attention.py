"""Attention by masks of either kind: True for what is seen, or numbers that are added to the scores."""

import pytest
import torch
from torch import nn
from transformers import AutoModelForCausalLM, OPTConfig

from stages.core.record import Record
from stages.methods.parts.head import build
from stages.models.attached import PREFIX, attached
from stages.models.attention import attend
from stages.models.batches import Batch
from stages.models.encode import encode
from stages.models.load import load
from stages.training.step import target_losses
from tests.conftest import config_of

BF16 = torch.bfloat16


@pytest.mark.parametrize("dtype", [torch.float32, BF16])
@pytest.mark.parametrize("visible", [None, torch.tensor([[True, True], [True, False]])])
def test_a_mask_that_is_added_says_the_same(dtype, visible):
    """With a prefix of which a row sees a part, in training; padding stays unseen."""
    torch.manual_seed(0)
    query, key, value = (torch.randn(2, 2, 5, 8, dtype=dtype, requires_grad=True) for _ in range(3))
    seen = torch.ones(5, 5, dtype=torch.bool).tril()[None, None].repeat(2, 1, 1, 1)
    seen[1, :, :, 4] = False
    added = torch.zeros(seen.shape, dtype=dtype).masked_fill(~seen, torch.finfo(dtype).min)
    module = nn.Module()
    with attached({(module, PREFIX): (torch.randn(2, 2, 2, 2, 8), visible)}):
        one, other = (attend(module, query, key, value, mask)[0] for mask in (seen, added))
    assert torch.allclose(one, other, atol=1e-6 if dtype == torch.float32 else 1e-2)
    with attached({(module, PREFIX): (torch.zeros(2, 2, 2, 2, 8), visible)}):
        assert not torch.allclose(attend(module, query, key, value, added)[0], other, atol=0.1)


def test_a_sink_takes_attention_and_a_cap_flattens_it():
    query = key = value = torch.eye(3)[None, None] * 9.0
    seen = torch.ones(1, 1, 3, 3, dtype=torch.bool)

    def weights(**options):
        return attend(nn.Module(), query, key, value / 9.0, seen, scaling=1.0, **options)[0][0, 0, 0]

    plain = weights()
    expected = (torch.eye(3)[0] * 81).softmax(-1)
    assert torch.allclose(plain, expected, atol=1e-6)
    assert torch.allclose(weights(softcap=1.0), torch.tensor([1.0, 0.0, 0.0]).softmax(-1), atol=1e-4)
    beside = torch.tensor([81.0, 0.0, 0.0, 81.0]).softmax(-1)[:3]
    assert torch.allclose(weights(s_aux=torch.tensor([81.0])), beside, atol=1e-6)


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("method", ["apt", "adapter", "embedding_only", "infix"])
def test_an_embedding_narrower_than_the_hidden_states(tmp_path, tokenizer, method):
    """OPT-350m's. What is trained is as wide as what it stands beside."""
    config = OPTConfig(vocab_size=3072, hidden_size=32, num_hidden_layers=2, ffn_dim=64, num_attention_heads=4,
                       word_embed_proj_dim=16, do_layer_norm_before=False, max_position_embeddings=128)  # fmt: skip
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path / "opt")
    tokenizer.save_pretrained(tmp_path / "opt")
    lm = load(str(tmp_path / "opt"), "opt", "main")
    assert (lm.embedding_width, lm.width) == (16, 32)
    run = build(lm, config_of(method), [1])
    [example] = encode(lm, [Record("0", "name : Oak", ["The Oak."])], None, None)
    losses, _ = target_losses(lm, run(), Batch.of([example], [0], lm.device))
    losses.sum().backward()
    assert all(p.grad is not None for p in run.trainable_parameters())
