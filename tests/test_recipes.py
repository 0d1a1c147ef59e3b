"""Recipes: defaults and overrides, what they resolve to, and one line for everything impossible."""

from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError, create_model

from stages.core.sections import message_of
from stages.recipes import TRAINING_KEYS, Recipes

SECTION = """
default: {optimizer: adamw, warmup_steps: 0, loss: token_mean, lm_dropout: false}
tasks:
  default: {beam: 5, length_penalty: 1.0, min_new_tokens: 0, max_new_tokens: 100}
  e2e: {}
  superglue: {source_tokens: 512, beam: 1, max_new_tokens: 24}
  qa: {like: superglue, max_new_tokens: 30}
embedded:
  mini-gpt2:
    default: {batch_size: 10, steps: 500, warmup_steps: 20}
    prefix: {prefix_len: 40, mlp_width: 256, lr: 0.002, steps: 1000}
    infix: {like: prefix, lr: 1e-3, epochs: 2}
    apt: {like: infix, mlp_width: none}
published:
  infix: {like: prefix}
  prefix:
    default: {mlp_width: 512, lr: 5.0e-5, loss: sequence_sum}
    e2e: {prefix_len: 5, lr: 8.0e-5, epochs: 5, batch_size: 10}
    boolq: {prefix_len: 40, mlp_width: none, epochs: 100, batch_size: 32}
    rte: {like: boolq, prefix_len: 20}
  probe:
    like: infix
    default: {prefix_len: none, mlp_width: none, steps: 70}
    rte: {lr: 0.5}
"""


@pytest.fixture(scope="module")
def project_recipes():
    params = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    return Recipes.model_validate(params["recipes"])


def section(**changes):
    """The section above, with values at dotted keys (`__` is a dot) put in or, given `...`, left out."""
    raw = yaml.safe_load(SECTION)
    for key, value in changes.items():
        *parents, last = key.replace("mini_gpt2", "mini-gpt2").split("__")
        place = raw
        for parent in parents:
            place = place.setdefault(parent, {})
        if value is ...:
            del place[last]
        else:
            place[last] = value
    return raw


def read(**changes):
    return Recipes.model_validate(section(**changes))


def refused(raw):
    """The line for the user, as stages/params.py makes it."""
    with pytest.raises(ValidationError) as found:
        create_model("Params", recipes=(Recipes, ...)).model_validate({"recipes": raw})
    return message_of(found.value)


BASE = {"optimizer": "adamw", "warmup_steps": 0, "loss": "token_mean", "lm_dropout": False}
EMBEDDED = {**BASE, "warmup_steps": 20, "batch_size": 10}
BOOLQ = {**BASE, "loss": "sequence_sum", "lr": 5e-5, "prefix_len": 40, "epochs": 100, "batch_size": 32}


@pytest.mark.parametrize(
    ("method", "keys"),
    [
        ("prefix", {**EMBEDDED, "prefix_len": 40, "mlp_width": 256, "lr": 0.002, "steps": 1000}),
        ("infix", {**EMBEDDED, "prefix_len": 40, "mlp_width": 256, "lr": 0.001, "epochs": 2}),
        ("apt", {**EMBEDDED, "prefix_len": 40, "lr": 0.001, "epochs": 2}),
        ("default", None),
        ("finetune", None),
    ],
)
def test_an_embedded_models_recipe_is_its_default_and_its_own_keys(method, keys):
    assert read().training("mini-gpt2", True, ("e2e",), method) == (f"recipes.embedded.mini-gpt2.{method}", keys)


def test_an_unknown_model_has_no_recipe():
    assert read().training("mini-t5", True, ("e2e",), "prefix") == ("recipes.embedded.mini-t5.prefix", None)


@pytest.mark.parametrize(
    ("method", "tasks", "where", "keys"),
    [
        ("prefix", ("mini_e2e", "e2e"), "prefix.e2e",
         {**BASE, "loss": "sequence_sum", "mlp_width": 512, "prefix_len": 5, "lr": 8e-5, "epochs": 5, "batch_size": 10}),
        ("infix", ("boolq", "superglue"), "prefix.boolq", BOOLQ),
        ("prefix", ("rte", "boolq"), "prefix.rte", {**BOOLQ, "prefix_len": 20}),
        ("prefix", ("cb", "superglue"), "prefix.cb", None),
        ("prefix", ("default",), "prefix.default", None),
        ("finetune", ("e2e",), "finetune.e2e", None),
    ],
)  # fmt: skip
def test_a_published_recipe_is_of_the_first_task_that_has_one(method, tasks, where, keys):
    assert read().training("gpt2-medium", False, tasks, method) == (f"recipes.published.{where}", keys)


def test_own_defaults_override_all_that_a_method_takes_from_another():
    """Two steps of `like`; of epochs and steps the later one counts, and keys are taken away."""
    probe = {**BASE, "loss": "sequence_sum", "lr": 5e-5, "batch_size": 32, "steps": 70}
    assert read().training("m", False, ("boolq",), "probe") == ("recipes.published.prefix.boolq", probe)
    assert read().training("m", False, ("rte",), "probe") == ("recipes.published.probe.rte", {**probe, "lr": 0.5})


@pytest.mark.parametrize(("given", "left"), [("epochs", "epochs"), ("steps", "steps")])
def test_epochs_and_steps_take_each_other_away(given, left):
    other = {"epochs": "steps", "steps": "epochs"}[given]
    found = read(default__warmup_steps=5, embedded__mini_gpt2__default={other: 3, "batch_size": 1},
                 embedded__mini_gpt2__prefix={given: 7, "lr": 1.0})  # fmt: skip
    _, keys = found.training("mini-gpt2", True, ("e2e",), "prefix")
    assert keys == {**BASE, "warmup_steps": 5, "batch_size": 1, "lr": 1.0, left: 7}


def test_decoding_is_of_the_first_task_that_has_a_recipe():
    plain = {"beam": 5, "length_penalty": 1.0, "min_new_tokens": 0, "max_new_tokens": 100}
    labels = {**plain, "source_tokens": 512, "beam": 1}
    assert read().decoding(("mini_e2e", "e2e")) == ("recipes.tasks.e2e", plain)
    assert read().decoding(("cb", "superglue")) == ("recipes.tasks.superglue", {**labels, "max_new_tokens": 24})
    assert read().decoding(("qa",)) == ("recipes.tasks.qa", {**labels, "max_new_tokens": 30})
    assert read().decoding(("toy",)) == ("recipes.tasks.toy", None)


def test_a_new_method_brings_its_own_options():
    found = read(
        embedded__mini_gpt2__toy={"like": "prefix", "gate": "soft", "scale": 0.5, "deep": True, "mlp_width": "none"}
    )
    _, keys = found.training("mini-gpt2", True, ("e2e",), "toy")
    options = {key: value for key, value in keys.items() if key not in TRAINING_KEYS}
    assert options == {"prefix_len": 40, "gate": "soft", "scale": 0.5, "deep": True}


def test_a_method_has_an_option_if_any_of_its_recipes_has_it():
    """Its own, of a model or a task, or one that it takes from another method."""
    found = read(embedded__mini_gpt2__toy={"lr": 0.1, "gate": "soft"})
    for method, option, expected in (
        ("prefix", "prefix_len", True), ("prefix", "mlp_width", True), ("prefix", "bottleneck", False),
        ("infix", "prefix_len", True), ("apt", "prefix_len", True), ("apt", "mlp_width", False),
        ("probe", "prefix_len", False), ("probe", "mlp_width", False),
        ("toy", "gate", True), ("prefix", "gate", False), ("unheard", "prefix_len", False),
    ):  # fmt: skip
        assert found.has_option(method, option) == expected, (method, option)


def test_what_is_resolved_is_the_callers():
    """A change of it moves no other run."""
    found = read()
    _, keys = found.training("mini-gpt2", True, ("e2e",), "prefix")
    keys.clear()
    assert found.training("mini-gpt2", True, ("e2e",), "prefix")[1]["lr"] == 0.002


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"published__prefix__e2e__lr": 0}, "recipes.published.prefix.e2e.lr: Input should be greater than 0, not 0"),
        ({"published__prefix__default__loss": "sum"},
         "recipes.published.prefix.default.loss: Input should be 'sequence_sum' or 'token_mean', not 'sum'"),
        ({"default__optimizer": "sgd"}, "recipes.default.optimizer: Input should be 'adamw' or 'adafactor', not 'sgd'"),
        ({"embedded__mini_gpt2__prefix__batch_size": 2.5},
         "recipes.embedded.mini-gpt2.prefix.batch_size: Input should be a valid integer, not 2.5"),
        ({"embedded__mini_gpt2__prefix__gate": [1]},
         "recipes.embedded.mini-gpt2.prefix.gate: must be a number, a text, true, false or none, not [1]"),
        ({"embedded__mini_gpt2__prefix__lr": None},
         "recipes.embedded.mini-gpt2.prefix.lr: has no value; none takes the key away"),
        ({"embedded__mini_gpt2__prefix__epochs": 3},
         "recipes.embedded.mini-gpt2.prefix: give epochs or steps, not both"),
        ({"embedded__mini_gpt2__prefix__steps": "none"},
         "recipes.embedded.mini-gpt2.prefix: must have either epochs or steps"),
        ({"published__prefix__boolq__lr": "none"}, "recipes.published.prefix.boolq: lr is missing"),
        ({"default__lm_dropout": ...}, "recipes.embedded.mini-gpt2.prefix: lm_dropout is missing"),
        ({"published__probe__default__lr": "none"}, "recipes.published.probe.e2e: lr is missing"),
        ({"tasks__default__beam": ...}, "recipes.tasks.e2e: beam is missing"),
        ({"tasks__e2e__beams": 1}, "unknown key recipes.tasks.e2e.beams"),
        ({"tasks__e2e__lr": 1.0}, "unknown key recipes.tasks.e2e.lr"),
        ({"tasks__e2e__source_tokens": 1},
         "recipes.tasks.e2e.source_tokens: Input should be greater than or equal to 2, not 1"),
        ({"tasks": ...}, "key recipes.tasks is missing"),
        ({"paper": {}}, "unknown key recipes.paper"),
        ({"embedded__mini_gpt2__prefix__like": "apt"},
         "recipes.embedded.mini-gpt2.infix.like: goes round in a circle: prefix, apt, infix, prefix"),
        ({"embedded__mini_gpt2__infix__like": "infix"},
         "recipes.embedded.mini-gpt2.infix.like: goes round in a circle: infix, infix"),
        ({"embedded__mini_gpt2__infix__like": "prefx"},
         "recipes.embedded.mini-gpt2.infix.like: there is no prefx beside it; there are prefix, infix, apt"),
        ({"embedded__mini_gpt2__infix__like": "default"},
         "recipes.embedded.mini-gpt2.infix.like: there is no default beside it; there are prefix, infix, apt"),
        ({"published__prefix__like": "probe"},
         "recipes.published.probe.like: goes round in a circle: infix, prefix, probe, infix"),
        ({"published__infix__like": "prefx"},
         "recipes.published.infix.like: there is no prefx beside it; there are infix, prefix, probe"),
        ({"published__prefix__rte__like": "e2"},
         "recipes.published.prefix.rte.like: there is no e2 beside it; there are e2e, boolq, rte"),
        ({"default__like": "prefix"}, "recipes.default.like: only a recipe is like another"),
        ({"tasks__default__like": "e2e"}, "recipes.tasks.default.like: only a recipe is like another"),
    ],
)  # fmt: skip
def test_one_line_names_the_key(changes, line):
    assert refused(section(**changes)) == f"params.yaml: {line}"


@pytest.mark.parametrize(
    ("changes", "unknown"),
    [
        ({}, None),
        ({"tasks__wbnlg": {}}, "recipes.tasks.wbnlg"),
        ({"embedded__mini_gpt2__prefx": {"like": "prefix"}}, "recipes.embedded.mini-gpt2.prefx"),
        ({"published__prefx": {"like": "prefix"}}, "recipes.published.prefx"),
        ({"published__default": {"like": "prefix"}}, "recipes.published.default"),
        ({"published__prefix__e2": {"like": "e2e"}}, "recipes.published.prefix.e2"),
    ],
)
def test_an_entry_for_nothing_known_is_named(changes, unknown):
    methods, tasks = ("prefix", "infix", "apt", "probe"), ("e2e", "superglue", "qa", "boolq", "rte")
    assert read(**changes).unknown(methods, tasks) == unknown


def test_the_projects_recipes_have_a_prefix_len_or_an_mlp_by_their_keys(project_recipes):
    """Spot checks: Table 6, P-tuning v2, and methods that take theirs."""
    table_6 = {**BASE, "loss": "sequence_sum", "mlp_width": 512, "init_std": 1.0}
    p_tuning = {**BASE, "lm_dropout": True, "init_std": 0.02, "dropout": 0.1}
    probe = {**BASE, "lm_dropout": True, "lr": 0.01, "epochs": 60, "batch_size": 32}
    for (method, task), (where, keys) in {
        ("prefix", "dart"): ("prefix.dart", {**table_6, "prefix_len": 10, "lr": 5e-5, "epochs": 10, "batch_size": 5}),
        ("infix", "webnlg"): (
            "embedding_only.webnlg", {**table_6, "prefix_len": 5, "lr": 5e-5, "epochs": 5, "batch_size": 5}),
        ("apt", "copa"): ("prefix.copa", {**p_tuning, "prefix_len": 16, "lr": 0.01, "epochs": 80, "batch_size": 16}),
        ("linear_probe", "rte"): ("prefix.rte", probe),
        ("infix", "xsum"): ("infix.xsum", None),
        ("prefix", "cb"): ("prefix.cb", None),
    }.items():  # fmt: skip
        assert project_recipes.training("m", False, (task,), method) == (f"recipes.published.{where}", keys)


def test_dvc_writes_recipes_and_studies_as_they_stand(tmp_path):
    """`dvc exp run -S` writes params.yaml anew: what it would write otherwise would change with any key."""
    from dvc.utils.hydra import apply_overrides

    text = Path("params.yaml").read_text(encoding="utf-8")
    own = "recipes:" + text.partition("\nrecipes:")[2].partition("\n# ----")[0] + "\n"
    own += "cells:" + text.partition("\ncells:")[2]
    path = tmp_path / "params.yaml"
    path.write_text(own, encoding="utf-8")
    apply_overrides(
        path, ["recipes.published.prefix.e2e.lr=0.25", "studies.words.variants.keep.run.methods.prefix.init_words=hold"]
    )
    expected = own.replace("e2e: {prefix_len: 5, lr: 8.0e-5", "e2e: {prefix_len: 5, lr: 0.25", 1)
    expected = expected.replace("{init_words: keep}", "{init_words: hold}")
    assert path.read_text(encoding="utf-8") == expected
    assert yaml.safe_load(expected) != yaml.safe_load(own)
