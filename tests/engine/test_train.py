"""Training against a plain loop, against separate runs, against itself without an interruption."""

from itertools import chain, count

import pytest
import torch
import yaml
from torch.nn import functional as F

from stages.engine import train as engine
from stages.engine.batches import IGNORED, Example, Order, check_length, collate, encode
from stages.engine.checkpoint import Checkpoint
from stages.engine.train import lr_factor, run_losses, steps_of, target_losses, train
from stages.errors import UserError
from stages.methods import prefix
from stages.params import Train, Training
from stages.tasks.record import Record

TRAINING = Training(prefix_len=4, mlp_width=8, lr=1e-2, epochs=None, steps=12, batch_size=3, warmup_steps=2)


def options(project, **changes):
    raw = yaml.safe_load((project / "params.yaml").read_text())["train"]
    return Train.model_validate(raw | changes)


def examples(seed, count=10):
    g = torch.Generator().manual_seed(seed)
    lengths = torch.randint(4, 12, (count,), generator=g).tolist()
    return [Example(torch.randint(1, 2000, (n,), generator=g).tolist(), n // 2) for n in lengths]


def method_of(lm, *seeds, **changes):
    return prefix.build(
        lm, **({"length": 4, "mlp_width": 8, "seeds": list(seeds), "dropout": 0.0, "init_words": None} | changes)
    )


def run(lm, project, method, data, name, **changes):
    """Trained prefixes and curve."""
    checkpoint = Checkpoint(project / name / "checkpoint.safetensors")
    return train(lm, method, data, examples(99, 4), TRAINING, options(project, **changes), checkpoint)


def test_joint_of_source_and_target(lm):
    """` source<sep>target<end>` with no space before the target; the loss begins behind the separator."""
    [one, two] = encode(lm, [Record("r", "name : Oak", [" Oak is old. ", "Old Oak"])])
    ids = lm.tokenizer(" name : Oak", add_special_tokens=False)["input_ids"]
    assert one.ids == [*ids, 0, *lm.tokenizer("Oak is old.", add_special_tokens=False)["input_ids"], 0]
    assert one.prompt == two.prompt == len(ids) + 1
    batch = collate([one, two], [0, 0], lm.device)
    labels = batch.labels[0]
    assert labels[labels != IGNORED].tolist() == one.ids[one.prompt :]
    assert (batch.labels[0, : one.prompt - 1] == IGNORED).all() and batch.labels[0, one.prompt - 1] == one.ids[
        one.prompt
    ]


def test_losses_equal_full_logits(lm):
    method, data = method_of(lm, 1), examples(0, 4)
    batch = collate(data, [0] * 4, lm.device)
    sums, counts = target_losses(lm, method(), batch)
    for row, example in enumerate(data):
        ids = torch.tensor([example.ids])
        alone = collate([example], [0], lm.device)
        mask = torch.ones(1, 4 + ids.shape[1], dtype=torch.long)
        logits = lm.logits(
            lm.hidden(ids, mask, 4 + torch.arange(ids.shape[1])[None], engine.prefix_cache(method(), alone.runs))
        )
        expected = F.cross_entropy(logits[0, example.prompt - 1 : -1], ids[0, example.prompt :], reduction="sum")
        torch.testing.assert_close(sums[row], expected, rtol=1e-5, atol=1e-5)
        assert counts[row] == len(example.ids) - example.prompt
    torch.testing.assert_close(run_losses(sums, counts, batch, 1, "sequence_sum"), sums.mean()[None])
    torch.testing.assert_close(run_losses(sums, counts, batch, 1, "token_mean"), (sums.sum() / counts.sum())[None])


@pytest.mark.parametrize("loss", ["sequence_sum", "token_mean"])
def test_equals_a_plain_loop(lm, project, loss):
    trained, _ = run(lm, project, method_of(lm, 5), [examples(0)], "a", loss=loss)
    method, data, order = method_of(lm, 5), examples(0), Order(examples(0), 3, 5)
    optimizer = torch.optim.AdamW(method.parameters(), lr=TRAINING.lr, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: lr_factor(step, 2, 12))
    for step in range(12):
        batch = collate([data[i] for i in order.at(step)], [0] * len(order.at(step)), lm.device)
        sums, counts = target_losses(lm, method(), batch)
        (sums.mean() if loss == "sequence_sum" else sums.sum() / counts.sum()).backward()
        torch.nn.utils.clip_grad_norm_(method.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    torch.testing.assert_close(trained, method().detach(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("eval_every", [None, 5])
def test_runs_together_equal_runs_alone(lm, project, eval_every):
    data = {seed: examples(seed) for seed in (1, 2, 3)}
    together, _ = run(lm, project, method_of(lm, 1, 2, 3), list(data.values()), "all", eval_every=eval_every)
    for index, seed in enumerate(data):
        alone, _ = run(lm, project, method_of(lm, seed), [data[seed]], str(seed), eval_every=eval_every)
        torch.testing.assert_close(together[index], alone[0], rtol=1e-4, atol=1e-5)


def test_the_frozen_model_is_bit_identical_and_the_prefix_learns(lm, project):
    before = {name: weight.clone() for name, weight in lm.model.state_dict().items()}
    method = method_of(lm, 1)
    untrained = engine.dev_loss(lm, method().detach(), examples(0), 3)
    trained, points = run(lm, project, method, [examples(0)], "a")
    assert all(torch.equal(weight, before[name]) for name, weight in lm.model.state_dict().items())
    assert all(p.grad is None for p in lm.model.parameters())
    assert engine.dev_loss(lm, trained, examples(0), 3) < untrained
    assert [p.step for p in points] == list(range(1, 13))


@pytest.mark.parametrize("eval_every", [None, 3])
def test_an_interrupted_training_goes_on_where_it_was(lm, project, monkeypatch, eval_every):
    def fresh():
        return method_of(lm, 1, 2, dropout=0.3)

    data = [examples(1), examples(2)]
    expected, straight = run(lm, project, fresh(), data, "straight", eval_every=eval_every)

    monkeypatch.setattr(engine, "CHECKPOINT_SECONDS", -1)  # after every step
    real, calls = engine.target_losses, count()

    def interrupted(*args):
        if torch.is_grad_enabled() and next(calls) == 7:
            raise KeyboardInterrupt
        return real(*args)

    monkeypatch.setattr(engine, "target_losses", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(lm, project, fresh(), data, "stopped", eval_every=eval_every)
    steps = []
    monkeypatch.setattr(engine, "target_losses", lambda *args: steps.append(torch.is_grad_enabled()) or real(*args))
    found, resumed = run(lm, project, fresh(), data, "stopped", eval_every=eval_every)
    assert sum(steps) == 5, "it must resume, not restart"
    assert torch.equal(found, expected) and resumed == straight
    assert not (project / "stopped").exists()


def test_best_dev_loss_is_kept(lm, project):
    def loss_of(trained_and_curve):
        return engine.dev_loss(lm, trained_and_curve[0], examples(99, 4), 3)

    best = loss_of(run(lm, project, method_of(lm, 1), [examples(0)], "best", eval_every=1))
    last = loss_of(run(lm, project, method_of(lm, 1), [examples(0)], "last"))
    assert best < last, "random targets: the dev loss rises while the training loss falls"


def test_order_covers_each_epoch_once_in_batches_of_similar_length():
    data = [
        Example([1] * n, 1) for n in torch.randint(5, 100, (205,), generator=torch.Generator().manual_seed(0)).tolist()
    ]
    order = Order(data, 10, seed=3)
    first, second = ([order.at(e * 21 + i) for i in range(21)] for e in (0, 1))
    assert all(sorted(chain.from_iterable(epoch)) == list(range(205)) for epoch in (first, second)) and first != second
    assert [Order(data, 10, seed=3).at(25)] == second[4:5]
    spread = [max(len(data[i].ids) for i in b) - min(len(data[i].ids) for i in b) for b in first]
    assert sum(spread) / len(spread) < 10


def test_schedule_and_steps():
    assert [lr_factor(s, 4, 8) for s in range(8)] == [0, 0.25, 0.5, 0.75, 1, 0.75, 0.5, 0.25]
    assert lr_factor(0, 0, 10) == 1.0
    published = Training(prefix_len=5, mlp_width=512, lr=8e-5, epochs=5, steps=None, batch_size=10, warmup_steps=0)
    assert steps_of(published, 42_061) == 5 * 4207


def test_text_that_does_not_fit_behind_the_prefix(lm):
    check_length(lm, [Example([1] * 56, 3)], 200)
    with pytest.raises(UserError, match="prefix_len 201 and the longest example, 56 tokens, exceed the 256 positions"):
        check_length(lm, [Example([1] * 56, 3)], 201)


def test_a_diverged_training_is_an_error(lm, project):
    method = method_of(lm, 1, mlp_width=None)
    with torch.no_grad():
        method.prefix[:] = torch.nan
    with pytest.raises(UserError, match="the loss is nan at step 1: the training diverged"):
        run(lm, project, method, [examples(0)], "a")
