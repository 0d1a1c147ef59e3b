"""Runs that train in one batch: each equals the run alone, however the rows of a step are cut into batches."""

from dataclasses import replace

import pytest
import torch

from stages.methods.adapter import Adapters
from stages.methods.apt import AdaptivePrefix
from stages.methods.apt import Options as AptOptions
from stages.methods.embedding_only import EmbeddingOnly
from stages.methods.infix import InfixTuning
from stages.methods.lora import LoRA, layers_of
from stages.methods.prefix import Prefix
from stages.methods.prompt_tuning import PromptTuning, uniform
from stages.models.batches import Example
from stages.models.encode import Examples
from stages.training import loop as engine
from stages.training.step import step_batches
from tests.training.conftest import TRAINING, close, examples, method_of, run


def batched(lm):
    """Methods whose runs train in one batch, by name, from their seeds."""
    kinds = {
        "prefix": lambda seeds: Prefix(lm, 4, 8, seeds),
        "adapter": lambda seeds: Adapters(lm, 3, "lin", 0.02, seeds),
        "lora": lambda seeds: LoRA(lm, 2, 4.0, layers_of(lm, None), seeds),
        "prompt_tuning": lambda seeds: PromptTuning(lm, uniform(lm, 4, 0.5), seeds),
    }
    if lm.family == "decoder-only":
        gates = AptOptions(token_gate="hidden", layer_gate=True, pooling="mean", gate_std=0.02)
        kinds["apt"] = lambda seeds: AdaptivePrefix(lm, Prefix(lm, 4, 8, seeds), 4, gates)
        kinds["infix"] = lambda seeds: InfixTuning(lm, 4, 8, seeds)
        kinds["embedding_only"] = lambda seeds: EmbeddingOnly(lm, 4, 8, seeds)
    return kinds


@pytest.mark.parametrize("kind", ["prefix", "adapter", "lora", "prompt_tuning", "infix", "embedding_only", "apt"])
@pytest.mark.parametrize("eval_every", [pytest.param(None, marks=pytest.mark.slow), 3])
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
