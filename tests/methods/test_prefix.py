"""The prefix of a decoder-only model against independent references: PEFT, one text at a time, the words it stands for."""

import pytest
import torch
from peft import PrefixTuningConfig, TaskType, get_peft_model

from stages.methods import prefix
from stages.methods.prefix import Prefix
from stages.models.adaptation import Adaptation
from stages.models.batches import Batch, Example
from tests.conftest import config_of


def test_equals_peft(lm):
    method = Prefix(lm, 5, 16, [3])
    kv = method.state()["decoder"]
    text, target = [5, 300, 700], [9, 1000, 4]
    ours = lm.logits(lm.target_hidden(Batch.of([Example(text, target)], [0], lm.device), method()))
    peft = get_peft_model(lm.model, PrefixTuningConfig(task_type=TaskType.CAUSAL_LM, num_virtual_tokens=5))
    # [layers, 2, heads, len, head_dim] -> [len, layers * 2 * heads * head_dim]
    with torch.no_grad():
        peft.prompt_encoder["default"].embedding.weight.copy_(kv[0].permute(3, 0, 1, 2, 4).flatten(1))
    ids = torch.tensor([[*text, lm.separator, *target[:-1]]])
    theirs = peft(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0, len(text) :]
    assert theirs.std() > 0.1
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


def test_padded_batch_equals_one_by_one(any_lm, hidden_of, alone, same):
    adaptation = Prefix(any_lm, 4, 8, [1, 2])()
    together = hidden_of(any_lm, adaptation, runs=(0, 1, 0))
    same(together, torch.cat([alone(any_lm, i, adaptation, run) for i, run in enumerate((0, 1, 0))]))


def test_each_row_attends_to_its_own_run(any_lm, alone, same):
    both = Prefix(any_lm, 4, 8, [1, 2])()
    assert not torch.allclose(alone(any_lm, 0, both, 0), alone(any_lm, 0, both, 1))
    same(alone(any_lm, 0, both, 1), alone(any_lm, 0, both.of(1), 0))


def test_activations_of_words_stand_for_the_words(lm, same):
    words, text, target = [10, 20, 30, 40], [50, 60], [70, 80]
    behind = Adaptation({"decoder": lm.activations(words)["decoder"][None]})
    ours = lm.target_hidden(Batch.of([Example(text, target)], [0], lm.device), behind)
    whole = lm.target_hidden(Batch.of([Example(words + text, target)], [0], lm.device), Adaptation())
    same(ours, whole)


@pytest.mark.parametrize("mlp", [True, False])
def test_starts_from_words(any_lm, mlp):
    """Exactly without the MLP, which is what the activations are; nearer than at random with it. In all places."""
    options = {"prefix": {"mlp": mlp, "mlp_width": 64, "init": "words", "init_words": "name of the place"}}
    config = config_of(prefix_len=7, methods=options)
    ids = any_lm.tokenizer(" name of the place", add_special_tokens=False)["input_ids"]
    assert len(ids) == 4
    expected = any_lm.activations(ids + ids[:3])
    method = prefix.build(any_lm, config, [1])
    assert set(expected) == set(any_lm.shapes)
    for place, target in expected.items():
        found = method.state()[place][0]
        if mlp:
            random = Prefix(any_lm, 7, 64, [1]).state()[place][0]
            assert (found - target).square().mean() < 0.9 * (random - target).square().mean()
        else:
            torch.testing.assert_close(found, target)


def test_dropout_is_at_work_while_training(any_lm):
    method = Prefix(any_lm, 4, 8, [1], dropout=0.5)
    for place, kept in method(step=3).prefixes.items():
        assert 0.2 < (kept == 0).float().mean() < 0.8 and not (method().prefixes[place] == 0).any()
