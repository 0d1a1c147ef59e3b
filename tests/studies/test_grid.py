"""Which runs a study has, and what is refused."""

import pytest
import yaml
from stages.studies.settings import check_method, file_of, settings_of

from stages.core.errors import UserError
from stages.studies.grid import cell_of, cells_of, merged, size_name
from stages.studies.paper import STUDIES
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
    assert [cell.first.training.steps for cell in cells] == [200, 200, 200, 400, 100, 100, 200, 400]
    cell = cells[1]
    assert len(cell.runs) == 10 == len({run.name for run in cell.runs})
    chosen = cell.chosen(cell.runs[3])
    assert (chosen.method, chosen.train_size, chosen.subset, chosen.seed) == ("prefix", 100, 1, 102)
    assert (chosen.threads, chosen.train.eval_every, chosen.prefix.init_words) == (1, 50, "In words:")


def test_every_study_has_a_place_in_the_report_and_in_the_pipeline(raw):
    assert list(raw["studies"]) == list(STUDIES)
    pipeline = yaml.safe_load((ROOT / "stages/studies/dvc.yaml").read_text())["stages"]
    assert set(pipeline) == {"check", "data", *STUDIES, *(f"{study}-cell" for study in STUDIES)}
    for study in STUDIES:
        cells, stage = cells_of(raw, study), pipeline[f"{study}-cell"]
        assert stage["cmd"] == f"python -m stages.studies.cell {study} ${{item.variant}} ${{item.size}}"
        assert cells[0].out.parent.as_posix() in pipeline[study]["deps"]
        # Whatever a run of a cell depends on, DVC watches: its own settings, and those of no other.
        assert "params" not in stage
        own = [name for name in stage["deps"] if name.startswith("data/studies/settings")]
        assert own == [f"data/studies/settings/{study}/${{item.variant}}-${{item.size}}.json"]
        assert file_of(cells[0]).as_posix() == f"data/studies/settings/{study}/{cells[0].name}.json"


def test_what_a_variant_says_stands_over_what_the_study_says(raw):
    study = raw["studies"]["lowdata"]
    study["run"]["train"]["lr"] = 0.5
    cells = {cell.variant: cell for cell in cells_of(raw, "lowdata")}
    assert cells["prefix"].first.train.lr == 0.002
    del study["variants"]["prefix"]["run"]["train"]
    assert {cell.variant: cell for cell in cells_of(raw, "lowdata")}["prefix"].first.train.lr == 0.5
    raw["prefix_len"], raw["seed"], raw["train_size"] = 77, 5, 9  # the single run's, which move no study
    assert {cell.variant: cell for cell in cells_of(raw, "lowdata")}["prefix"].first.training.prefix_len == 20


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
        ({"run": {"task": "e2e", "model": "mini-gpt2", "prefix_len": 5}}, "studies.lowdata has task e2e, which cells.tasks lacks"),
    ],
)  # fmt: skip
def test_a_wrong_study_is_one_line_that_names_the_key(raw, change, said):
    raw["studies"]["lowdata"] |= change
    with pytest.raises(UserError) as error:
        cells_of(raw, "lowdata")
    assert str(error.value).startswith(f"params.yaml: {said}") and "\n" not in str(error.value)


def test_an_unknown_study_or_cell_is_named(raw):
    with pytest.raises(UserError, match=r"studies has lowdata, review, .*, no lowdta"):
        cells_of(raw, "lowdta")
    with pytest.raises(UserError, match=r"studies.lowdata has prefix-50, .*, no prefix-51"):
        cell_of(raw, "lowdata", "prefix", "51")


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
        ({"adapter": {"layout": "houlsby"}, "apt": {"pooling": "first"}, "ft_top2": {"embedding": True}}, []),
        ({"recipes": {"embedded": {"mini-gpt2": {"adapter": {"lr": 1.0}, "prefix": {"lr": 1.0, "steps": 9}}}}}, []),
        ({"recipes": {"embedded": {"mini-gpt2": {"prefix": {"mlp_width": 99}}}}}, ["prefix-50", "prefix-100", "prefix-200", "prefix-500"]),
        ({"precision": "fp32"}, []),
        ({"train": {"epochs": 5.0}}, []),  # the study has steps
        ({"source_words": "Say:"}, ["prefix-50", "prefix-100", "prefix-200", "prefix-500"]),  # fine-tuning has its own
        ({"prefix": {"dropout": 0.5}}, ["prefix-50", "prefix-100", "prefix-200", "prefix-500"]),
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
    raw["studies"]["ensemble"]["run"]["prompt"] = {"init": "file", "file": "nowhere"}
    with pytest.raises(UserError, match=r"variants.prompt_tuning: nowhere/prompt_tuning.safetensors, which method "):
        check_method(cells_of(raw, "ensemble")[0])


def test_a_missing_recipe_is_refused_before_any_work(raw):
    raw["studies"]["apt"]["variants"] = {"adapter": {"run": {"method": "adapter"}}}
    [cell] = cells_of(raw, "apt")
    check_method(cell)
    with pytest.raises(
        UserError, match=r"^params.yaml: studies.apt.variants.adapter: train.optimizer is `recipe`, but "
    ):
        settings_of(cell)
