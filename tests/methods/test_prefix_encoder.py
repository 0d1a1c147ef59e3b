"""The trained matrices: a run depends on its seed alone, dropout on seed and step, a start is where it says."""

import pytest
import torch

from stages.methods.parts.head import build
from stages.methods.parts.prefix_encoder import Fit, prefix_encoder
from tests.conftest import config_of

FIT = Fit(500, 1e-4)


def make(*seeds, hidden=16, dropout=0.0, place=0):
    return prefix_encoder(6, 24, 8, hidden, list(seeds), dropout, place)


@pytest.mark.parametrize("hidden", [16, None])
def test_a_run_does_not_depend_on_its_neighbours(hidden):
    together = make(1, 2, 3, hidden=hidden, dropout=0.5)
    for run, seed in enumerate([1, 2, 3]):
        alone = make(seed, hidden=hidden, dropout=0.5)
        torch.testing.assert_close(together(step=7)[run], alone(step=7)[0], atol=1e-6, rtol=1e-6)
    assert not torch.allclose(together()[0], together()[1])
    assert not torch.allclose(make(1, hidden=hidden, place=1)(), make(1, hidden=hidden)())


def test_a_free_start_has_the_deviation_that_is_asked_for():
    wide, narrow = (prefix_encoder(40, 50, 8, None, [1], std=std)() for std in (1.0, 0.02))
    torch.testing.assert_close(narrow, 0.02 * wide)
    assert abs(wide.std() - 1) < 0.1


def test_what_an_mlp_reads_has_the_deviation_that_is_asked_for():
    wide, narrow = (prefix_encoder(40, 50, 8, 16, [1], std=std).state_dict() for std in (1.0, 0.02))
    torch.testing.assert_close(narrow.pop("embedding"), 0.02 * wide.pop("embedding"))
    assert all(torch.equal(narrow[name], wide[name]) for name in wide), "the MLP starts as nn.Linear"


def test_dropout_drops_in_training_only():
    one = make(1, dropout=0.5)
    kept = one(step=3) != 0
    assert 0.3 < kept.float().mean() < 0.7
    torch.testing.assert_close(one(step=3)[kept], 2 * one()[kept])
    assert torch.equal(one(step=3), one(step=3)) and not torch.equal(one(step=3), one(step=4))


@pytest.mark.parametrize(("method", "part"), [
    ("prefix", "encoders.decoder"), ("embedding_only", "vectors"), ("infix", "offsets"),
])  # fmt: skip
def test_the_fit_is_that_of_the_options(lm, method, part):
    """Adam's first step moves each number by the learning rate, but for an epsilon."""
    options = {"mlp_width": 8, "fit_steps": 1, "fit_lr": 0.25}
    started, fitted = (
        build(lm, config_of(method, prefix_len=2, methods={"prefix": options | start}), [1])
        for start in ({"init": "random"}, {"init": "words", "init_words": "a"})
    )
    moved = fitted.get_submodule(part).up_bias - started.get_submodule(part).up_bias
    torch.testing.assert_close(moved.abs(), torch.full_like(moved, 0.25), atol=0.01, rtol=0)


def test_starts_at_the_target_or_is_fitted_to_it():
    target = torch.randn(6, 24, generator=torch.Generator().manual_seed(0))
    free, mlp, random = make(1, 2, hidden=None), make(1, 2, hidden=64), make(1, 2, hidden=64)
    free.init_from(target, FIT)
    mlp.init_from(target, FIT)
    assert torch.equal(free(), target.expand(2, 6, 24))
    assert torch.equal(mlp.embedding, random.embedding), "the authors fit the MLP alone"
    assert (mlp() - target).square().mean() < 0.8 * (random() - target).square().mean()
    alone = make(2, hidden=64)
    alone.init_from(target, FIT)
    torch.testing.assert_close(mlp()[1], alone()[0], atol=1e-5, rtol=1e-5)
