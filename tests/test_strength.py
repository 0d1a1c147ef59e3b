"""The measure of a base model: equal budgets, units kept apart, restaurants read back and judged as they are."""

import math
from random import Random

import pytest
import yaml

from bench.strength import __main__ as strength
from bench.strength.__main__ import SETTINGS, Grid, arguments, settings_of, spread
from bench.strength.restaurants import record_of, restaurant_measures
from bench.strength.unit import Unit, sample
from stages.core.errors import UserError
from stages.params import Params
from stages.tasks.e2e import linearize_mr, parse_mr
from stages.world.domains import RESTAURANT, draw_record
from stages.world.grammar import realise


def test_every_method_may_choose_from_as_many_settings():
    for task, sizes in yaml.safe_load(SETTINGS.read_text()).items():
        for size, methods in sizes.items():
            counts = {method: math.prod(map(len, listed.values())) for method, listed in methods.items()}
            assert len(set(counts.values())) == 1 and min(counts.values()) > 1, (task, size, counts)
            for method in methods:
                for setting in settings_of(task, method, size):
                    model = "mini-bart" if "xsum" in task else "mini-gpt2"
                    chosen = Unit(task, model, method, size, 3, tuple(setting.items())).chosen
                    assert isinstance(chosen, Params) and chosen.training.lr == setting["train.lr"]
                    assert (chosen.subset, chosen.seed, chosen.train_size) == (3, 104, size)


def test_unknown_settings_are_refused():
    with pytest.raises(UserError, match="no settings for mini_e2e, 50, infix"):
        settings_of("mini_e2e", "infix", 50)


def test_units_are_kept_apart():
    one = Unit("mini_e2e", "mini-gpt2", "prefix", 50, 0, (("train.lr", 0.001),))
    others = [
        Unit("mini_e2e", "mini-gpt2", "prefix", 50, 0, (("train.lr", 0.002),)),
        Unit("mini_e2e", "mini-gpt2", "prefix", 50, 1, (("train.lr", 0.001),)),
        Unit("mini_e2e", "mini-gpt2", "infix", 50, 0, (("train.lr", 0.001),)),
        Unit("mini_e2e", "mini-gpt2", "prefix", 100, 0, (("train.lr", 0.001),)),
    ]
    assert len({unit.directory for unit in [one, *others]}) == 5
    assert Unit("mini_e2e", "mini-gpt2", "prefix", 50, 0, (("train.lr", 0.001),)).directory == one.directory


def test_samples_are_those_of_the_stage(tmp_path, monkeypatch):
    monkeypatch.setattr("bench.strength.unit.KEPT", tmp_path)
    given = (("sources.mini_e2e.train", 40), ("sources.mini_e2e.dev", 30), ("sources.mini_e2e.test", 2))
    few, other, full = (
        Unit("mini_e2e", "mini-gpt2", "prefix", *which, given) for which in ((20, 0), (20, 1), ("full", 0))
    )
    assert len(sample(few, "train")) == 20 and len(sample(few, "dev")) == 6
    assert sample(few, "train") != sample(other, "train")
    assert len(sample(full, "train")) == 40 and len(sample(full, "dev")) > 100


def test_restaurants_are_read_back():
    rng = Random(0)
    for _ in range(200):
        record = draw_record(rng, RESTAURANT, who="dev")
        mr = ", ".join(f"{key}[{value}]" for key, value in record.pairs())
        assert record_of(linearize_mr(parse_mr(mr))) == record


def test_references_hold_all_fields_and_wrong_texts_do_not():
    rng = Random(1)
    records = [draw_record(rng, RESTAURANT, who="dev", fewest=6) for _ in range(100)]
    sources = [linearize_mr(dict(record.pairs())) for record in records]
    texts = [realise(rng, record.name, record.noun, record.facts) for record in records]
    right = restaurant_measures(sources, texts)
    assert right.pop("coverage") > 0.99  # one plan of the grammar may leave the kind out
    assert right == {"first_name": 1.0, "second_name": 1.0, "nothing_twice": 1.0, "added": 0.0}
    wrong = restaurant_measures(sources, texts[1:] + texts[:1])
    assert wrong["first_name"] < 0.1 and wrong["second_name"] < 0.1 and wrong["coverage"] < 0.6 and wrong["added"] > 0.8


def test_spread():
    assert spread([0.5, 0.7]) == {"mean": 0.6, "deviation": 0.1414, "values": [0.5, 0.7]}
    assert spread([0.5]) == {"mean": 0.5, "deviation": None, "values": [0.5]}
    assert spread([None, None])["mean"] is None


def test_the_best_setting_is_that_of_the_lowest_mean_loss(monkeypatch, tmp_path):
    settings = tmp_path / "settings.yaml"
    choices = {"train.lr": [0.001, 0.003, 0.01], "prefix_len": [5, 10]}
    settings.write_text(yaml.safe_dump({"mini_e2e": {50: {"prefix": choices}}}, sort_keys=False))
    monkeypatch.setattr(strength, "SETTINGS", settings)
    monkeypatch.setattr("sys.argv", ["strength", "mini_e2e", "--sizes", "50", "--seeds", "3"])

    class Now:
        def __init__(self, value):
            self.value = value

        def result(self):
            return self.value

    class Pool:
        def submit(self, work, unit):
            return Now({0.001: 0.5, 0.003: 0.4, 0.01: 0.9}[unit.chosen.training.lr] + 0.01 * unit.seed)

    grid = Grid(arguments(), "prefix", 50)
    grid.tune(Pool())
    assert grid.settings[grid.choose()]["train.lr"] == 0.003 and len(grid.losses[0]) == 2 < len(grid.units[0])
    assert grid.means == pytest.approx([0.505, 0.505, 0.405, 0.405, 0.905, 0.905])
