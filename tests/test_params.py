"""params.yaml: what it resolves to, and one line that names the key for everything impossible."""

from pathlib import Path

import pytest

from stages import params
from stages.core.errors import UserError
from stages.core.run_config import Decoding
from stages.methods import files_of
from tests.conftest import change, config


def test_a_projected_prompt_is_a_prompt(project):
    options = {"init": "file", "file": str(project / "kept")}
    for key, value in (("method", "prompt_tuning"), *((f"methods.prompt_tuning.{k}", v) for k, v in options.items())):
        change(project, key, value)
    assert files_of(config()) == [project / "kept/prompt_tuning.safetensors"]
    (project / "kept").mkdir()
    (project / "kept/prompt_projection.safetensors").touch()
    assert files_of(config()) == [project / "kept/prompt_projection.safetensors"]
    for key, value in (("source", "a"), ("trained", "b")):
        change(project, f"methods.prompt_projection.{key}", value)
    change(project, "method", "prompt_projection")
    assert files_of(config()) == [Path("a/prompt_tuning.safetensors"), Path("b/prompt_projection.safetensors")]


def test_own_values_go_before_the_recipe(project):
    change(project, "prefix_len", 200)
    change(project, "train.lr", "1e-3")  # how YAML reads 1e-3
    change(project, "train.epochs", 2)
    change(project, "methods.prefix.mlp", False)
    training = params.load().training
    assert (config().prefix_len, training.lr, training.epochs, training.steps) == (200, 1e-3, 2.0, None)
    assert config().options["prefix"].hidden is None


@pytest.mark.parametrize("method", ["none", "in_context"])
def test_nothing_to_train(project, method):
    change(project, "method", method)
    assert params.load().training is None


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("prefix_len", 0), ("prefix_len", "long"), ("prefix_len", 2.5), ("prefix_len", True), ("prefix_len", None),
        ("train_size", -1), ("train_size", 0), ("train_size", "half"), ("decode.beam", 0), ("decode.beam", 2.0),
        ("decode.max_new_tokens", 0), ("seed", -1), ("seed", 2**32), ("threads", 0),
        ("train.lr", 0), ("train.lr", "fast"), ("train.steps", -1),
        ("train.batch_size", -5), ("train.loss", "mean"), ("optimizers.adamw.clip_norm", 0), ("optimizers.adamw.weight_decay", -1),
        ("optimizers.adafactor.decay_rate", 0.8), ("head.init_std", 0), ("dev_share", 0), ("dev_share", 1.5), ("train.length_pool", 0),
        ("train.optimizer", "sgd"),
        ("train.eval_every", 0), ("source_words", " "), ("task", "e3e"),
        ("method", "magic"), ("model", ""), ("sources.webnlg.url", "http://x"), ("sources.mini_e2e.references", 0),
        ("recipes.embedded.mini-gpt2.prefix.lr", 0), ("pretrain.layers", 1), ("cut.source_tokens", 1), ("cut.target_tokens", "all"),
        ("decode.early_stopping", "never"), ("train.lm_dropout", 0.1), ("denoise.masked", 0.9),
        ("decode.min_new_tokens", -1), ("train.lr", float("nan")), ("train.epochs", float("inf")), ("sources.dart.train", "other.json"),
    ],
)  # fmt: skip
def test_impossible_values_name_the_key(project, key, value):
    change(project, key, value)
    with pytest.raises(UserError) as error:
        params.load()
    named = key.rpartition(".")[0] if key == "sources.dart.train" else key  # a check of the section
    assert str(error.value).startswith(f"params.yaml: {named}: ") and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("prompt_tuning.init", "zero"), ("prompt_tuning.words", " "), ("apt.token_gate", "always"), ("apt.pooling", "max"),
        ("prefix.dropout", 1.0), ("prefix.mlp", "yes"), ("prefix.init_words", ""),
        ("prefix.init", "uniform"), ("in_context.examples", -1), ("in_context.instruction", " "),
        ("adapter.bottleneck", 0),
        ("adapter.layout", "pfeiffer"), ("adapter.init_std", 0), ("apt.gate_std", -1), ("prefix.fit_steps", 0), ("prefix.fit_lr", 0),
        ("prompt_tuning.bound", 0), ("prompt_tuning.population", 0),
    ],
)  # fmt: skip
def test_impossible_options_of_the_chosen_method_name_the_key(project, key, value):
    """Options of others are not read."""
    change(project, f"methods.{key}", value)
    change(project, "method", "finetune")
    assert config().options == {}
    change(project, "method", key.partition(".")[0])
    with pytest.raises(UserError) as error:
        config()
    assert str(error.value).startswith(f"params.yaml: methods.{key}: ") and "\n" not in str(error.value)


def test_a_broken_model_config(project):
    (project / "model").mkdir()
    (project / "model/config.json").write_text('{"n_positions": 5,\n')
    change(project, "model", str(project / "model"))
    with pytest.raises(UserError, match=r"model/config\.json, line 2: not JSON"):
        params.load()


def test_unknown_and_missing_keys(project):
    change(project, "prefix_length", 10)
    with pytest.raises(UserError, match=r"^params.yaml: unknown key prefix_length$"):
        params.load()
    (project / "params.yaml").write_text("task: e2e\n")
    with pytest.raises(UserError, match=r"^params.yaml: key model is missing$"):
        params.load()
    (project / "params.yaml").write_text("task: [e2e\nmodel: x\n")
    with pytest.raises(UserError, match=r"^params.yaml, line 2: not YAML"):
        params.load()


def test_epochs_or_steps(project):
    change(project, "train.epochs", 1)
    change(project, "train.steps", 100)
    with pytest.raises(UserError, match=r"^params.yaml: train: give epochs or steps, not both$"):
        params.load()


def test_a_prefix_longer_than_the_positions(project):
    change(project, "prefix_len", 412)
    with pytest.raises(
        UserError, match=r"prefix_len 412 and decode.max_new_tokens 100 leave no room .* 512 positions of mini-gpt2"
    ):
        params.load()
    change(project, "prefix_len", 411)
    assert config().prefix_len == 411


def test_decoding_of_xsum_and_of_tables(project):
    rest = (32, False, ("\n", "\n\n"))
    change(project, "task", "xsum")
    assert params.load().decoding == Decoding(512, 60, 6, 0.8, 10, 61, *rest)
    change(project, "cut.source_tokens", "none")
    change(project, "decode.beam", 2)
    assert params.load().decoding == Decoding(None, 60, 2, 0.8, 10, 61, *rest)
    change(project, "decode.max_new_tokens", 9)
    with pytest.raises(UserError, match=r"decode\.min_new_tokens 10 is above decode\.max_new_tokens 9"):
        params.load()
    change(project, "task", "webnlg")
    change(project, "decode.max_new_tokens", "recipe")
    assert params.load().decoding == Decoding(None, None, 2, 1.0, 0, 100, *rest)


@pytest.mark.parametrize(("model", "method", "family"), [
    ("mini-gpt2", "linear_probe", "decoder-only"), ("mini-bart", "linear_probe", "encoder-decoder"),
    ("mini-bart", "apt", "encoder-decoder"),
])  # fmt: skip
def test_a_method_that_does_not_fit_the_model_has_no_recipe_and_is_refused(project, model, method, family):
    change(project, "model", model)
    change(project, "method", method)
    assert params.load().recipe == (f"recipes.embedded.{model}.{method}", None)
    with pytest.raises(UserError, match=rf"^params.yaml: method {method} is not for {family} models such as {model}; "):
        config()


def test_a_method_without_recipe(project):
    change(project, "task", "xsum")
    change(project, "model", "facebook/bart-large")
    change(project, "method", "infix")
    with pytest.raises(
        UserError, match=r"^params.yaml: train.epochs is `recipe`, but recipes.published.infix.xsum gives none"
    ):
        _ = params.load().training


def test_a_recipe_without_a_value(project):
    change(project, "recipes.embedded.mini-gpt2.prefix.prefix_len", "none")
    with pytest.raises(
        UserError,
        match=r"^params.yaml: prefix_len is `recipe`, but recipes.embedded.mini-gpt2.prefix gives none: set it$",
    ):
        params.load()
