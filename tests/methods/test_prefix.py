"""The prefix against independent references: PEFT, one row at a time, separate runs, its own export."""

import pytest
import torch
from peft import PrefixTuningConfig, TaskType, get_peft_model
from transformers import GPT2Config

from stages.engine.model import shape_of
from stages.errors import UserError
from stages.methods import prefix, saved
from stages.methods.cache import activations, empty_prefix, prefix_cache


def logits(lm, kv, ids, mask=None, runs=None):
    """Logits [batch, length, vocabulary] behind the prefix `kv`; padding may stand on either side."""
    ids = torch.tensor(ids)
    mask = torch.ones_like(ids) if mask is None else torch.tensor(mask)
    runs = torch.zeros(len(ids), dtype=torch.long) if runs is None else torch.tensor(runs)
    length = kv.shape[4]
    positions = (length + mask.cumsum(1) - 1).clamp(min=length)
    mask = torch.cat([mask.new_ones(len(ids), length), mask], 1)
    return lm.logits(lm.hidden(ids, mask, positions, prefix_cache(kv, runs)))


def build(lm, length=5, seeds=(1,), mlp_width=16, dropout=0.0, words=None):
    return prefix.build(lm, length, mlp_width, list(seeds), dropout, words)


def test_equals_peft(lm):
    kv = build(lm, seeds=[3])().detach()
    ids = [[5, 300, 700, 9, 1000], [4, 4, 8, 15, 16]]
    ours = logits(lm, kv, ids)
    peft = get_peft_model(lm.model, PrefixTuningConfig(task_type=TaskType.CAUSAL_LM, num_virtual_tokens=kv.shape[4]))
    # [layers, 2, heads, len, head_dim] -> [len, layers * 2 * heads * head_dim]
    flat = kv[0].permute(3, 0, 1, 2, 4).flatten(1)
    with torch.no_grad():
        peft.prompt_encoder["default"].embedding.weight.copy_(flat)
    theirs = peft(input_ids=torch.tensor(ids), attention_mask=torch.ones(2, 5, dtype=torch.long)).logits
    assert theirs.std() > 0.1
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


def test_padded_batch_equals_one_by_one(lm):
    kv = build(lm)().detach()
    texts = [[5, 300, 700], [4, 8, 15, 16, 23, 42], [7]]
    longest = max(map(len, texts))
    right = logits(
        lm, kv, [t + [0] * (longest - len(t)) for t in texts], [[1] * len(t) + [0] * (longest - len(t)) for t in texts]
    )
    left = logits(
        lm, kv, [[0] * (longest - len(t)) + t for t in texts], [[0] * (longest - len(t)) + [1] * len(t) for t in texts]
    )
    for row, text in enumerate(texts):
        alone = logits(lm, kv, [text])[0]
        torch.testing.assert_close(right[row, : len(text)], alone, atol=1e-5, rtol=0)
        torch.testing.assert_close(left[row, longest - len(text) :], alone, atol=1e-5, rtol=0)


def test_activations_of_words_stand_for_the_words(lm):
    words, text = [10, 20, 30, 40], [50, 60, 70]
    behind = logits(lm, activations(lm, words)[None], [text])
    whole = logits(lm, empty_prefix(lm.shape), [words + text])
    torch.testing.assert_close(behind, whole[:, len(words) :], atol=1e-5, rtol=0)


@pytest.mark.parametrize("mlp_width", [16, None])
def test_a_run_does_not_depend_on_its_neighbours(lm, mlp_width):
    together = build(lm, seeds=[1, 2, 3], mlp_width=mlp_width, dropout=0.5)
    for run, seed in enumerate([1, 2, 3]):
        alone = build(lm, seeds=[seed], mlp_width=mlp_width, dropout=0.5)
        torch.testing.assert_close(together(step=7)[run], alone(step=7)[0], atol=1e-6, rtol=1e-6)
    assert not torch.allclose(together()[0], together()[1])


def test_each_row_attends_to_its_own_run(lm):
    kv = build(lm, seeds=[1, 2])().detach()
    ids = [[5, 6, 7], [5, 6, 7]]
    mixed = logits(lm, kv, ids, runs=[1, 0])
    assert not torch.allclose(mixed[0], mixed[1])
    torch.testing.assert_close(mixed[0], logits(lm, kv[1:], ids[:1])[0], atol=1e-5, rtol=0)


def test_dropout_drops_in_training_only(lm):
    method = build(lm, dropout=0.5)
    kept = method(step=3) != 0
    assert 0.4 < kept.float().mean() < 0.6
    torch.testing.assert_close(method(step=3)[kept], 2 * method()[kept])
    assert torch.equal(method(step=3), method(step=3)) and not torch.equal(method(step=3), method(step=4))


def test_starts_from_words_exactly_without_mlp(lm):
    method = build(lm, length=7, mlp_width=None, words="name of the place")
    ids = lm.tokenizer(" name of the place", add_special_tokens=False)["input_ids"]
    assert len(ids) == 4
    torch.testing.assert_close(method()[0], activations(lm, ids + ids[:3]))


def test_mlp_is_fitted_to_the_words_and_its_input_left_alone(lm):
    ids = lm.tokenizer(" name of the place", add_special_tokens=False)["input_ids"]
    target = activations(lm, ids)
    fitted, random = (build(lm, length=4, mlp_width=64, words=words) for words in ("name of the place", None))
    assert torch.equal(fitted.embedding, random.embedding)
    assert (fitted()[0] - target).square().mean() < 0.8 * (random()[0] - target).square().mean()


def test_published_parameter_counts():
    """GPT-2 medium: 250K stored at length 5 (footnote 7), 25.74M while training with an MLP of 512."""
    shape = shape_of(GPT2Config(n_layer=24, n_embd=1024, n_head=16))
    trained = prefix.MLPPrefix(shape, 5, 1024, 512, [0])
    assert trained().numel() == 245_760
    assert sum(p.numel() for p in trained.parameters()) == 25_744_896


def test_saved_prefix_is_the_prefix(lm, tmp_path):
    method = build(lm, seeds=[1, 2])
    saved.save(tmp_path / "model", method(), lm, "prefix", {})
    assert sorted(p.name for p in (tmp_path / "model").iterdir()) == ["config.json", "prefix.safetensors"]
    assert torch.equal(saved.load(tmp_path / "model", lm), method())


def test_prefix_of_another_model_is_refused(lm, tmp_path):
    saved.save(tmp_path / "model", build(lm)(), lm, "prefix", {})
    with torch.no_grad():
        lm.model.get_input_embeddings().weight += 0.1
    with pytest.raises(UserError, match="is a prefix of another model: its base_model_fingerprint is"):
        saved.load(tmp_path / "model", lm)
    (tmp_path / "model/prefix.safetensors").unlink()
    with pytest.raises(UserError, match="holds no saved prefix"):
        saved.load(tmp_path / "model", lm)


def test_fingerprint_sees_a_small_change(lm):
    before = lm.fingerprint()
    assert before == lm.fingerprint()
    with torch.no_grad():
        next(p for n, p in lm.model.named_parameters() if "norm" in n or "ln_" in n)[0] += 1e-3
    assert lm.fingerprint() != before
