"""Training against a plain loop, and against itself without an interruption."""

from dataclasses import replace
from itertools import count

import pytest
import torch
from torch.nn import functional as F
from transformers import DynamicCache, GPT2Config, GPT2LMHeadModel

from stages.core.errors import UserError
from stages.decoding.beam import Search, search_sources
from stages.methods.adapter import Adapters
from stages.methods.finetune import OwnWeights
from stages.models.adaptation import Adaptation
from stages.models.batches import Batch, Example
from stages.models.decoder_only import DecoderOnly
from stages.training import loop as engine
from stages.training.batches import BatchSampler
from stages.training.loop import steps_of
from stages.training.optimizer import lr_factor
from stages.training.step import run_losses, run_sizes, target_losses
from tests.training.conftest import TRAINING, close, examples, method_of, run


def test_losses_equal_full_logits(lm):
    adaptation, data = method_of(lm, 1)(), examples(0, 4)
    batch = Batch.of(data, [0] * 4, lm.device)
    sums, counts = target_losses(lm, adaptation, batch)
    for row, example in enumerate(data):
        ids = torch.tensor([[*example.source, lm.separator, *example.target]])
        cache = DynamicCache()
        for layer, (keys, values) in enumerate(adaptation.prefixes["decoder"][0]):
            cache.update(keys[None], values[None], layer)
        logits = lm.model(ids, past_key_values=cache, position_ids=4 + torch.arange(ids.shape[1])[None]).logits
        start = len(example.source)
        expected = F.cross_entropy(logits[0, start:-1], ids[0, start + 1 :], reduction="sum")
        torch.testing.assert_close(sums[row], expected, rtol=1e-5, atol=1e-5)
        assert counts[row] == len(example.target)
    for kind, wanted in (("sequence_sum", sums.mean()), ("token_mean", sums.sum() / counts.sum())):
        torch.testing.assert_close(run_losses(sums, batch.runs, run_sizes([batch], 1, kind)), wanted[None])


@pytest.mark.parametrize("loss", ["sequence_sum", "token_mean"])
def test_equals_a_plain_loop(any_lm, project, loss):
    training = replace(TRAINING, loss=loss)
    trained, _ = run(any_lm, project, method_of(any_lm, 5), [examples(0)], "a", training)
    method = method_of(any_lm, 5)
    plain_loop(any_lm, method, method.parameters(), loss)
    close(trained, method.state(), rtol=1e-3, atol=1e-4)


def plain_loop(lm, method, parameters, loss):
    parameters, data = list(parameters), examples(0)
    order = BatchSampler(data.lengths.sum(1), 3, 5, 50)
    optimizer = torch.optim.AdamW(parameters, lr=TRAINING.lr, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: lr_factor("linear", step, 2, 12))
    for step in range(12):
        batch = Batch.of([data[i] for i in order.at(step)], [0] * len(order.at(step)), lm.device)
        sums, counts = target_losses(lm, method(), batch)
        (sums.mean() if loss == "sequence_sum" else sums.sum() / counts.sum()).backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()


def test_finetuning_equals_transformers_own_loss(tokenizer, project):
    """GPT-2 with labels, as `transformers` computes the loss, one example at a time, no prefix, positions from 0."""
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=3072, n_positions=64, n_embd=32, n_layer=2, n_head=4, attn_pdrop=0, embd_pdrop=0, resid_pdrop=0
    )
    ours, theirs = (GPT2LMHeadModel(config).requires_grad_(False) for _ in range(2))
    theirs.load_state_dict(ours.state_dict())
    lm = DecoderOnly(ours.eval(), tokenizer, "tiny")
    training = replace(TRAINING, lr=1e-3, loss="token_mean")
    trained, _ = run(lm, project, OwnWeights(lm, dict(ours.named_parameters()), [5]), [examples(0)], "a", training)
    theirs.requires_grad_(True)
    optimizer = torch.optim.AdamW(theirs.parameters(), lr=1e-3, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: lr_factor("linear", step, 2, 12))
    data = examples(0)
    order = BatchSampler(data.lengths.sum(1), 3, 5, 50)
    for step in range(12):
        chosen = [data[i] for i in order.at(step)]
        tokens = sum(len(example.target) for example in chosen)
        for example in chosen:
            ids = [*example.source, lm.separator, *example.target]
            labels = [-100] * (len(example.source) + 1) + example.target
            loss = theirs(torch.tensor([ids]), labels=torch.tensor([labels])).loss
            (loss * len(example.target) / tokens).backward()
        torch.nn.utils.clip_grad_norm_(theirs.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    expected = {name: p.detach()[None] for name, p in theirs.named_parameters()}
    close(trained, expected, rtol=1e-3, atol=1e-4)
    assert set(trained) == set(expected)


def loss_of(lm, adaptation):
    return engine.dev_loss(lm, adaptation, [examples(0)], 3)


def test_the_frozen_model_is_bit_identical_and_the_prefix_learns(any_lm, project):
    before = {name: weight.clone() for name, weight in any_lm.model.state_dict().items()}
    method = method_of(any_lm, 1)
    untrained = loss_of(any_lm, method())
    trained, points = run(any_lm, project, method, [examples(0)], "a")
    assert all(torch.equal(weight, before[name]) for name, weight in any_lm.model.state_dict().items())
    assert all(p.grad is None for p in any_lm.model.parameters())
    assert loss_of(any_lm, Adaptation(trained)) < untrained
    assert [p.step for p in points] == list(range(1, 13))


def test_adapters_learn_and_the_model_does_not(any_lm, project):
    before = {name: weight.clone() for name, weight in any_lm.model.state_dict().items()}
    method = Adapters(any_lm, 3, "lin", 0.02, [1])
    untrained = loss_of(any_lm, method())
    run(any_lm, project, method, [examples(0)], "a")
    assert loss_of(any_lm, method()) < untrained
    assert all(torch.equal(weight, before[name]) for name, weight in any_lm.model.state_dict().items())


def test_the_models_dropout_is_at_work_where_the_recipe_says(bart_lm, project):
    bart_lm.model.apply(lambda module: setattr(module, "dropout", 0.3) if hasattr(module, "dropout") else None)
    with_it, without = (
        run(bart_lm, project, method_of(bart_lm, 1), [examples(0)], str(on), replace(TRAINING, lm_dropout=on))[0]
        for on in (True, False)
    )
    assert not torch.allclose(with_it["cross"], without["cross"])
    assert not bart_lm.model.training, "dev losses and what follows are without"


@pytest.mark.parametrize("kind", ["prefix", "finetune"])
@pytest.mark.parametrize(
    "manner",
    [
        {"eval_every": None},
        {"eval_every": 3},
        {"lm_dropout": True},
        {"optimizer": "adafactor", "schedule": "constant", "decay_rate": -0.8},
    ],
)
def test_an_interrupted_training_goes_on_where_it_was(any_lm, project, monkeypatch, manner, kind):
    lm, weights = any_lm, {name: p.clone() for name, p in any_lm.model.named_parameters()}

    def fresh():
        """As in a new process: the model as it was loaded."""
        if kind == "prefix":
            return method_of(lm, 1, 2, dropout=0.3)
        with torch.no_grad():
            for name, p in lm.model.named_parameters():
                p.copy_(weights[name])
        return OwnWeights(lm, dict(lm.model.named_parameters()), [1])

    data = [examples(1), examples(2)][: 2 if kind == "prefix" else 1]
    expected, straight = run(lm, project, fresh(), data, "straight", **manner)
    expected = {name: tensor.clone() for name, tensor in expected.items()}

    monkeypatch.setattr(engine, "CHECKPOINT_SECONDS", -1)  # after every step,
    monkeypatch.setattr(engine, "CHECKPOINT_SHARE", float("inf"))  # whatever it costs
    real, calls = engine.backward, count()

    def interrupted(*args):
        if next(calls) == 7:
            raise KeyboardInterrupt
        return real(*args)

    monkeypatch.setattr(engine, "backward", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(lm, project, fresh(), data, "stopped", **manner)
    steps = []
    monkeypatch.setattr(engine, "backward", lambda *args: steps.append(args) or real(*args))
    found, resumed = run(lm, project, fresh(), data, "stopped", **manner)
    assert len(steps) == 5, "it must resume, not restart"
    assert all(torch.equal(found[name], expected[name]) for name in expected) and resumed == straight


def test_best_dev_loss_is_kept(lm, project):
    def on_dev(stored):
        return engine.dev_loss(lm, Adaptation(stored), [examples(99, 4)], 3)

    best = on_dev(run(lm, project, method_of(lm, 1), [examples(0)], "best", eval_every=1)[0])
    last = on_dev(run(lm, project, method_of(lm, 1), [examples(0)], "last")[0])
    assert best < last, "random targets: the dev loss rises while the training loss falls"


def test_texts_that_fill_the_last_position(any_lm):
    """Padding stands behind them."""
    most = (any_lm.positions or 130) - 4
    full = (
        Example([7] * (most - 9), [5] * 9) if any_lm.family == "decoder-only" else Example([7] * (most + 1), [5] * most)
    )
    adaptation = method_of(any_lm, 1)()
    any_lm.check_max_length(len(full.source), len(full.target), any_lm.num_virtual_tokens(adaptation))
    losses = [target_losses(any_lm, adaptation, Batch.of(part, [0] * len(part), any_lm.device))[0]
              for part in ([full], [full, Example([7], [5])])]  # fmt: skip
    torch.testing.assert_close(losses[0][0], losses[1][0])
    found = dict(
        search_sources(any_lm, adaptation, [0, 0], [full.source, [7]], Search(2, 1.0, len(full.target), 3071), 2)
    )
    assert sorted(found) == [0, 1]


def test_schedule_and_steps():
    assert [lr_factor("linear", s, 4, 8) for s in range(8)] == [0, 0.25, 0.5, 0.75, 1, 0.75, 0.5, 0.25]
    assert lr_factor("linear", 0, 0, 10) == 1.0
    published = replace(TRAINING, epochs=5, steps=None, batch_size=10)
    assert steps_of(published, 42_061) == 5 * 4207


def test_a_diverged_training_is_an_error(lm, project):
    method = method_of(lm, 1, mlp_width=None)
    with torch.no_grad():
        method.encoders["decoder"].matrix[:] = torch.nan
    with pytest.raises(UserError, match="the loss is nan at step 1: the training diverged"):
        run(lm, project, method, [examples(0)], "a")
