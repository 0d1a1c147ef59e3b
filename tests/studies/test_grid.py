"""Which runs a study has, and what is refused."""

import pytest
import yaml

from stages.core.errors import UserError
from stages.studies.check import check_method, settings_of
from stages.studies.grid import cells_of, merged, nested
from stages.studies.paper import PUBLISHED
from stages.studies.plan import size_name
from tests.conftest import ROOT


@pytest.fixture
def raw():
    return yaml.safe_load((ROOT / "params.yaml").read_text())


@pytest.fixture(autouse=True)
def there(monkeypatch):
    monkeypatch.chdir(ROOT)


def test_the_papers_low_data_protocol(raw):
    """Section 6.3: 5 subsets x 2 seeds of 50 to 500 examples; steps as published (appendix A.2)."""
    cells = cells_of(raw, "lowdata")
    assert [(cell.variant, cell.size) for cell in cells] == [
        (variant, size) for variant in ("prefix", "finetune") for size in (50, 100, 200, 500)
    ]
    assert [cell.params.training.steps for cell in cells] == [200, 200, 200, 400, 100, 100, 200, 400]
    cell = cells[1]
    runs, chosen = cell.plan.runs, cell.params
    assert len(runs) == 10 == len({run.name for run in runs}) and (runs[3].subset, runs[3].seed) == (1, 102)
    assert (chosen.method, chosen.train_size, chosen.threads, chosen.train.eval_every) == ("prefix", 100, 1, 50)
    assert chosen.methods["prefix"]["init_words"] == "In words:"


def test_every_study_has_its_cells_in_the_pipeline(raw):
    pipeline = yaml.safe_load((ROOT / "studies/dvc.yaml").read_text())["stages"]
    assert set(pipeline) == {"check", "data", "scores", "summary", "personal", *raw["studies"]}
    assert pipeline["scores"]["foreach"] == pipeline["summary"]["foreach"] == "${studies}"
    for study in raw["studies"]:
        [cell, *_], stage = cells_of(raw, study), pipeline[study]
        assert stage["cmd"] == f"cd .. && python -m stages.studies.run {study} ${{item.variant}} ${{item.size}}"
        # Whatever a run of a cell depends on, DVC watches: its own settings, and those of no other.
        assert "params" not in stage
        own = f"data/settings/runs/{study}/${{item.variant}}-${{item.size}}.json"
        assert stage["deps"] == ["../data/base", f"data/linearized/${{studies.{study}.run.task}}", own]
        assert cell.plan.settings.as_posix() == f"studies/data/settings/runs/{study}/{cell.name}.json"
        assert stage["outs"] == [f"data/runs/{study}/${{item.variant}}-${{item.size}}"]
        assert cell.plan.out.as_posix() == f"studies/data/runs/{study}/{cell.name}"
    assert set(PUBLISHED) <= set(raw["studies"])


def test_what_a_variant_says_stands_over_what_the_study_says(raw):
    study = raw["studies"]["lowdata"]
    study["run"]["train"]["lr"] = 0.5
    cells = {cell.variant: cell for cell in cells_of(raw, "lowdata")}
    assert cells["prefix"].params.train.lr == 0.002
    del study["variants"]["prefix"]["run"]["train"]
    assert {cell.variant: cell for cell in cells_of(raw, "lowdata")}["prefix"].params.train.lr == 0.5
    raw["prefix_len"], raw["seed"], raw["train_size"] = 77, 5, 9  # the single run's, which move no study
    assert {cell.variant: cell for cell in cells_of(raw, "lowdata")}["prefix"].plan.prefix_len == 20


def test_a_cell_depends_on_the_share_of_dev_examples(raw):
    before = cells_of(raw, "lowdata")[0]
    raw["dev_share"] = 0.5
    after = cells_of(raw, "lowdata")[0]
    assert (before.plan.dev_share, after.plan.dev_share) == (0.3, 0.5)
    assert settings_of(after).digest != settings_of(before).digest
    raw["studies"]["lowdata"]["variants"]["finetune"]["run"]["dev_share"] = 0.25
    shares = {cell.variant: cell.plan.dev_share for cell in cells_of(raw, "lowdata")}
    assert shares == {"prefix": 0.5, "finetune": 0.25}


def test_candidates_of_tune(raw):
    """All combinations of the values, over those of the study and the variant."""
    tune = {
        "values": {"train.lr": [0.1, 0.2], "prefix_len": [3, 4]},
        "runs": 1,
        "examples": 5,
        "by": "loss",
        "best": "lowest",
    }
    raw["studies"]["lowdata"]["variants"]["prefix"]["tune"] = tune
    cell, *_, last = cells_of(raw, "lowdata")
    assert [changes for changes, _ in cell.candidates] == [
        {"train.lr": lr, "prefix_len": length} for lr in (0.1, 0.2) for length in (3, 4)
    ]
    assert [(chosen.train.lr, chosen.prefix_length) for _, chosen in cell.candidates] == [
        (0.1, 3), (0.1, 4), (0.2, 3), (0.2, 4)
    ]  # fmt: skip
    settings = settings_of(cell)
    assert [one["training"]["lr"] for _, one in settings.candidates] == [0.1, 0.1, 0.2, 0.2]
    assert settings.tune == tune and settings_of(last).tune is None and len(last.candidates) == 1
    by_metric = tune | {"by": "BLEU", "best": "highest"}
    raw["studies"]["lowdata"]["variants"]["prefix"]["tune"] = by_metric
    assert settings_of(cells_of(raw, "lowdata")[0]).code != settings.code, "then scoring is part of what decides"


def test_nested():
    assert nested("a", 1) == {"a": 1} and nested("a.b.c", [2]) == {"a": {"b": {"c": [2]}}}


def test_merged():
    base = {"a": {"b": 1, "c": 2}, "d": [1]}
    assert merged(base, {"a": {"b": 5}, "d": 2, "e": {"f": 1}}) == {"a": {"b": 5, "c": 2}, "d": 2, "e": {"f": 1}}
    assert base == {"a": {"b": 1, "c": 2}, "d": [1]}
    for changes in ({"a": 5}, {"d": {"e": 1}}, {"a": {"b": {}}}):
        with pytest.raises(UserError, match=r"^[abd] is given as .* and as .*: only one of them is a section$"):
            merged(base, changes)


def test_size_names_sort_as_the_sizes():
    sizes = [50, 100, 200, 1000, 32143]
    assert sorted(map(size_name, sizes)) == [size_name(size) for size in sizes] and size_name("full") == "full"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"sizes": []}, "studies.lowdata.sizes: List should have at least 1 item"),
        ({"sizes": [50, 50]}, "studies.lowdata.sizes: holds 50 twice"),
        ({"sizes": [0]}, "studies.lowdata.sizes.0: must be a whole number of at least 1, or full"),
        ({"seeds": []}, "studies.lowdata.seeds: List should have at least 1 item"),
        ({"seeds": [1, 1]}, "studies.lowdata.seeds: holds 1 twice"),
        ({"subsets": 0}, "studies.lowdata.subsets: "),
        ({"variants": {}}, "studies.lowdata.variants: "),
        ({"groups": {"train": ["uk"], "test": []}}, "studies.lowdata.groups.test: "),
        ({"sizes": [50]}, "studies.lowdata.variants.prefix.steps has 4 values for 1 sizes: give one each"),
        ({"variants": {"prefix": {"run": {"method": "prefx"}}}}, "studies.lowdata.variants.prefix: method: Input should"),
        ({"variants": {"prefix": {"run": {"method": "prefix", "train": {"lrr": 1}}}}},
         "studies.lowdata.variants.prefix: unknown key train.lrr"),
        ({"variants": {"prefix": {"run": {}}}}, "studies.lowdata: run or variants.prefix.run must give method"),
        ({"variants": {"prefix": {"run": {"method": "prefix", "seed": 3}}}},
         "studies.lowdata: seed is not for run or variants.prefix.run: the grid gives it"),
        ({"variants": {"prefix": {"run": {"method": "prefix", "linearize": {"tokenize_targets": True}}}}},
         "studies.lowdata: linearize is not for run or variants.prefix.run: it is the same in all studies"),
        ({"run": {"task": "mini_e2e", "model": "mini-gpt2", "prefix_len": 5, "cells": {"tasks": ["e2e"]}}},
         "studies.lowdata: cells.tasks is not for run or variants.prefix.run: it is the same in all studies"),
        ({"variants": {"prefix": {"run": {"method": "prefix", "cells": None}}}},
         "studies.lowdata: run or variants.prefix.run: cells is given as None and as {'"),
        ({"run": {"task": "mini_e2e", "model": "mini-gpt2", "prefix_len": 5, "train": 5}},
         "studies.lowdata: run or variants.prefix.run: train is given as {'lr': 0.002} and as 5: only one"),
        ({"variants": {"prefix": {"run": {"method": "prefix", "task": "mini_webnlg"}}}},
         "studies.lowdata.variants.prefix.run: task is for run alone: the variants of a study have one in common"),
        ({"variants": {"prefix": {"run": {"method": "prefix"}, "tune": {"values": {"seed": [1, 2]}, "runs": 1, "examples": 9,
                                                                        "by": "loss", "best": "lowest"}}}},
         "studies.lowdata: seed is not for variants.prefix.tune: the grid gives it"),
        ({"variants": {"prefix": {"run": {"method": "prefix"}, "tune": {"values": {"train.lrr": [1]}, "runs": 1, "examples": 9,
                                                                        "by": "loss", "best": "lowest"}}}},
         "studies.lowdata.variants.prefix: unknown key train.lrr"),
        ({"variants": {"prefix": {"run": {"method": "prefix"}, "tune": {"values": {"train.lr": [1]}, "runs": 1, "examples": 9,
                                                                        "by": "loss", "best": "highest"}}}},
         "studies.lowdata.variants.prefix.tune: by is loss: best must be lowest"),
        ({"run": {"task": "dart", "model": "mini-gpt2", "prefix_len": 5}}, "studies.lowdata has task dart, which cells.tasks lacks"),
    ],
)  # fmt: skip
def test_a_wrong_study_is_one_line_that_names_the_key(raw, change, said):
    raw["studies"]["lowdata"] |= change
    with pytest.raises(UserError) as error:
        cells_of(raw, "lowdata")
    assert str(error.value).startswith(f"params.yaml: {said}") and "\n" not in str(error.value)


def test_an_unknown_study_is_named(raw):
    with pytest.raises(UserError, match=r"studies has lowdata, review, .*, no lowdta"):
        cells_of(raw, "lowdta")


def settings(raw, study="lowdata"):
    return {cell.name: settings_of(cell) for cell in cells_of(raw, study)}


def changed(raw, study="lowdata"):
    """The cells whose settings are others than those of the file."""
    now, before = settings(raw, study), settings(yaml.safe_load((ROOT / "params.yaml").read_text()), study)
    return [name for name in now if now[name] != before.get(name)]


@pytest.mark.parametrize(
    ("change", "cells"),
    [
        ({"train": {"eval_every": 7}, "seed": 3, "threads": 1, "prefix_len": 9}, []),  # the study has its own
        ({"methods": {"adapter": {"layout": "houlsby"}, "apt": {"pooling": "first"}}}, []),
        ({"recipes": {"embedded": {"mini-gpt2": {"adapter": {"lr": 1.0}, "prefix": {"lr": 1.0, "steps": 9}}}}}, []),
        ({"recipes": {"embedded": {"mini-gpt2": {"prefix": {"mlp_width": 99}}}}}, ["prefix-50", "prefix-100", "prefix-200", "prefix-500"]),
        ({"precision": "fp32"}, []),
        ({"train": {"epochs": 5.0}}, []),  # the study has steps
        ({"source_words": "Say:"}, ["prefix-50", "prefix-100", "prefix-200", "prefix-500"]),  # fine-tuning has its own
        ({"methods": {"prefix": {"dropout": 0.5}}}, ["prefix-50", "prefix-100", "prefix-200", "prefix-500"]),
        ({"studies": {"lowdata": {"variants": {"finetune": {"steps": [100, 100, 9, 400]}}}}}, ["finetune-200"]),
        ({"studies": {"lowdata": {"sizes": [50, 100, 200, 501]}}}, ["prefix-501", "finetune-501"]),
    ],
)  # fmt: skip
def test_only_cells_that_read_a_parameter_run_again(raw, change, cells):
    assert changed(merged(raw, change)) == cells


@pytest.mark.parametrize(
    "change",
    [{"decode": {"batch_size": 3}}, {"decode": {"beam": 2}}, {"cut": {"source_tokens": 50}},
     {"studies": {"lowdata": {"run": {"precision": "fp32"}}}}, {"optimizers": {"adamw": {"weight_decay": 0.5}}},
     {"revision": "other"}, {"train": {"activation_checkpointing": True}},
     {"studies": {"lowdata": {"test": 9}}}, {"studies": {"lowdata": {"seeds": [1]}}}, {"studies": {"lowdata": {"subsets": 1}}},
     {"studies": {"lowdata": {"groups": {"train": None, "test": ["a"]}}}}],
)  # fmt: skip
def test_what_all_cells_read_runs_all_again(raw, change):
    assert len(changed(merged(raw, change))) == 8


@pytest.mark.parametrize(
    ("study", "method", "said"),
    [
        ("news_to_sports", "infix", "news_to_sports.variants.prefix: method infix is not for encoder-decoder models"),
        ("apt", "prompt_tuning", "apt.variants.prefix: method prompt_tuning is not for encoder models"),
    ],
)
def test_a_method_that_does_not_fit_is_refused_before_any_work(raw, study, method, said):
    raw["studies"][study]["variants"] = {"prefix": {"run": {"method": method}}}
    with pytest.raises(UserError, match=f"^params.yaml: studies.{said}"):
        check_method(cells_of(raw, study)[0])


def test_a_prompt_that_is_missing_is_refused_before_any_work(raw):
    raw["studies"]["ensemble"]["run"]["methods"] = {"prompt_tuning": {"init": "file", "file": "nowhere"}}
    with pytest.raises(UserError, match=r"variants.prompt_tuning: nowhere/prompt_tuning.safetensors, which method "):
        check_method(cells_of(raw, "ensemble")[0])


def test_a_missing_recipe_is_refused_before_any_work(raw):
    raw["studies"]["apt"]["variants"] = {"adapter": {"run": {"method": "adapter"}}}
    [cell] = cells_of(raw, "apt")
    with pytest.raises(
        UserError, match=r"^params.yaml: studies.apt.variants.adapter: train.optimizer is `recipe`, but "
    ):
        check_method(cell)
