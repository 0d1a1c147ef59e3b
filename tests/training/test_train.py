"""Training against a plain loop, against separate runs, against itself without an interruption."""

from dataclasses import replace
from itertools import count

import pytest
import torch
from torch.nn import functional as F
from transformers import DynamicCache, GPT2Config, GPT2LMHeadModel

from stages.core.errors import UserError
from stages.core.run_config import Training
from stages.decoding.beam import Search, search_sources
from stages.methods.adapter import Adapters
from stages.methods.apt import AdaptivePrefix
from stages.methods.apt import Options as AptOptions
from stages.methods.embedding_only import EmbeddingOnly
from stages.methods.finetune import OwnWeights
from stages.methods.infix import InfixTuning
from stages.methods.prefix import Prefix
from stages.methods.prompt_tuning import PromptTuning, uniform
from stages.models.adaptation import Adaptation
from stages.models.batches import Batch, Example
from stages.models.decoder_only import DecoderOnly
from stages.models.encode import Examples
from stages.training import loop as engine
from stages.training.batches import BatchSampler
from stages.training.checkpoint import Checkpoint
from stages.training.loop import steps_of, train
from stages.training.optimizer import lr_factor
from stages.training.step import run_losses, run_sizes, step_batches, target_losses

TRAINING = Training(
    lr=1e-2, epochs=None, steps=12, batch_size=3, warmup_steps=2,
    loss="sequence_sum", lm_dropout=False, optimizer="adamw", schedule="linear", weight_decay=0.0, clip_norm=1.0,
    decay_rate=None, length_pool=50,
)  # fmt: skip


def examples(seed, count=10):
    g = torch.Generator().manual_seed(seed)
    lengths = torch.randint(2, 6, (count, 2), generator=g).tolist()
    return Examples(Example(*(torch.randint(1, 2000, (n,), generator=g).tolist() for n in pair)) for pair in lengths)


def method_of(lm, *seeds, mlp_width=8, dropout=0.0):
    return Prefix(lm, 4, mlp_width, list(seeds), dropout)


def run(lm, project, method, data, name, training=TRAINING, dev=None, **changes):
    """What the trained runs store, and the curve."""
    checkpoint = Checkpoint(project / name / "checkpoint.safetensors")
    dev = dev or [examples(99, 4)] * len(data)
    return train(lm, method, data, dev, replace(training, **changes), checkpoint)


def close(one, two, rtol=1e-4, atol=1e-5):
    assert set(one) == set(two)
    for name in one:
        torch.testing.assert_close(one[name], two[name], rtol=rtol, atol=atol)


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


def batched(lm):
    """Methods whose runs train in one batch, by name, from their seeds."""
    kinds = {
        "prefix": lambda seeds: Prefix(lm, 4, 8, seeds),
        "adapter": lambda seeds: Adapters(lm, 3, "lin", 0.02, seeds),
        "prompt_tuning": lambda seeds: PromptTuning(lm, uniform(lm, 4, 0.5), seeds),
    }
    if lm.family == "decoder-only":
        gates = AptOptions(token_gate="hidden", layer_gate=True, pooling="mean", gate_std=0.02)
        kinds["apt"] = lambda seeds: AdaptivePrefix(lm, Prefix(lm, 4, 8, seeds), 4, gates)
        kinds["infix"] = lambda seeds: InfixTuning(lm, 4, 8, seeds)
        kinds["embedding_only"] = lambda seeds: EmbeddingOnly(lm, 4, 8, seeds)
    return kinds


@pytest.mark.parametrize("kind", ["prefix", "adapter", "prompt_tuning", "infix", "embedding_only", "apt"])
@pytest.mark.parametrize("eval_every", [None, 3])
def test_runs_together_equal_runs_alone(any_lm, project, monkeypatch, eval_every, kind):
    """To 1e-5, each with its own examples and its own dev examples, on which each stops where it stops alone.

    Their rows pass in several batches, as those of longer texts do.
    """
    monkeypatch.setattr("stages.training.step.PASS", 1)
    if kind not in batched(any_lm):
        pytest.skip(f"{kind} is for decoder-only models")
    build, seeds, gentle = batched(any_lm)[kind], [1, 2, 3], replace(TRAINING, lr=1e-3)  # large steps let rounding grow
    data, dev = {seed: examples(seed) for seed in seeds}, {seed: examples(90 + seed, 4) for seed in seeds}

    def trained(chosen, name):
        own, of_dev = [data[seed] for seed in chosen], [dev[seed] for seed in chosen]
        return run(any_lm, project, build(chosen), own, name, gentle, of_dev, eval_every=eval_every)[0]

    together = trained(seeds, "all")
    for index, seed in enumerate(seeds):
        close(
            {name: tensor[index : index + 1] for name, tensor in together.items()}, trained([seed], str(seed)), 0, 1e-5
        )
    assert len(next(iter(together.values()))) == 3
    again = trained(seeds, "again")
    assert all(torch.equal(tensor, again[name]) for name, tensor in together.items()), "equal settings, equal bytes"


def test_the_rows_of_a_step_stand_beside_rows_of_their_length():
    """On a CPU they are cut where that saves more padding than a pass costs, each row once, shorter before longer."""
    data = [Examples([Example([run] * length, [1] * 9) for length in (5, 150, 8, 140, 7)]) for run in (1, 2)]
    chosen = [(run, i) for run in (0, 1) for i in range(5)]
    batches = step_batches(chosen, data, 5, False, torch.device("cpu"))
    sources = [[len(one.source) for one in batch.examples] for batch in batches]
    assert sources == [[5, 5, 7], [7, 8, 8], [140, 140, 150, 150]], "no more rows than one run has"
    for batch in batches:
        assert all(one.source[0] == run + 1 for run, one in zip(batch.runs, batch.examples, strict=True))
    for rows, uniform_length in (
        (chosen, True),
        ([(0, 4), (0, 0), (0, 2)], False),
    ):  # uniform_length, or too short for a cut to pay
        [batch] = step_batches(rows, data, 5, uniform_length, torch.device("cpu"))
        assert sorted(batch.examples, key=str) == sorted((data[run][i] for run, i in rows), key=str)


@pytest.mark.parametrize(
    ("examples_of_each", "runs", "uniform_length"), [(11, 1, False), (12, 1, True), (12, 2, False)]
)
def test_rows_are_taken_as_alike_where_batches_are(lm, project, monkeypatch, examples_of_each, runs, uniform_length):
    """A run's own, of data so many that its batches are of similar length."""
    monkeypatch.setattr("stages.training.batches.POOLS", 4)
    said = []
    monkeypatch.setattr(engine, "step_batches", lambda *given: said.append(given[3]) or step_batches(*given))
    run(
        lm, project, method_of(lm, *range(runs)), [examples(1, examples_of_each)] * runs, "said", steps=1, length_pool=1
    )
    assert said == [uniform_length]


@pytest.mark.parametrize("loss", ["sequence_sum", "token_mean"])
@pytest.mark.parametrize("seeds", [[1], [1, 2]])
def test_what_a_run_becomes_does_not_depend_on_how_its_rows_are_cut(any_lm, project, monkeypatch, loss, seeds):
    def trained(name, least):
        monkeypatch.setattr("stages.training.step.PASS", least)
        data, training = [examples(seed) for seed in seeds], replace(TRAINING, lr=1e-3, loss=loss)
        return run(any_lm, project, method_of(any_lm, *seeds), data, name, training)[0]

    assert len(step_batches([(0, i) for i in range(3)], [examples(1)], 3, False, torch.device("cpu"))) == 1
    close(trained("whole", 10**9), trained("cut", 1), 0, 1e-5)


def test_each_run_is_judged_by_its_own_dev_examples(any_lm):
    adaptation, dev = method_of(any_lm, 1, 2)(), [examples(99, 4), examples(98, 5)]
    found = engine.dev_loss(any_lm, adaptation, dev, 3)
    assert found.tolist() == [
        engine.dev_loss(any_lm, adaptation.of(run), dev[run : run + 1], 3).item() for run in (0, 1)
    ]
    assert (found - engine.dev_loss(any_lm, adaptation, dev[::-1], 3)).abs().min() > 1e-3


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
