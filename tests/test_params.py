"""params.yaml: what it resolves to, and one line that names the key for everything impossible."""

import pytest
import yaml

from stages import params
from stages.errors import UserError


def change(project, key, value):
    path = project / "params.yaml"
    raw = yaml.safe_load(path.read_text())
    *parents, last = key.split(".")
    section = raw
    for parent in parents:
        section = section[parent]
    section[last] = value
    path.write_text(yaml.safe_dump(raw))


def test_recipes_are_what_is_published(project):
    change(project, "task", "e2e")
    change(project, "model", "gpt2-medium")
    assert params.load().training == params.Training(
        prefix_len=5, mlp_width=512, lr=8e-5, epochs=5, steps=None, batch_size=10, warmup_steps=0
    )


def test_a_directory_of_the_users_gets_the_published_recipe(project):
    """Also where it looks like one of ours: joined to data/base, an absolute path would stand for itself."""
    change(project, "task", "e2e")
    for model in (str(project / "data/base/mini-gpt2"), "data/base/mini-gpt2", "../base/mini-gpt2"):
        change(project, "model", model)
        chosen = params.load()
        assert (chosen.embedded, chosen.model_directory, chosen.training.lr) == (False, model, 8e-5)
    change(project, "model", "mini-gpt2")
    assert params.load().embedded and params.load().training.lr == 1e-2


def test_own_values_go_before_the_recipe(project):
    change(project, "prefix_len", 200)
    change(project, "train.lr", "1e-3")  # how YAML reads 1e-3
    change(project, "train.epochs", 2)
    change(project, "prefix.mlp", False)
    training = params.load().training
    assert (training.prefix_len, training.lr, training.epochs, training.steps) == (200, 1e-3, 2.0, None)
    assert training.mlp_width is None


def test_nothing_to_train(project):
    change(project, "method", "none")
    assert params.load().training is None


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("prefix_len", 0), ("prefix_len", "long"), ("prefix_len", 2.5), ("prefix_len", True), ("prefix_len", None),
        ("train_size", -1), ("train_size", 0), ("train_size", "half"), ("decode.beam", 0), ("decode.beam", 2.0),
        ("decode.max_new_tokens", 0), ("seed", -1), ("threads", 0), ("train.lr", 0), ("train.lr", "fast"), ("train.steps", 0),
        ("train.batch_size", -5), ("train.loss", "mean"), ("train.clip_norm", 0), ("train.weight_decay", -1),
        ("train.eval_every", 0), ("prefix.dropout", 1.0), ("prefix.mlp", "yes"), ("prefix.init_words", ""), ("task", "e3e"),
        ("method", "magic"), ("model", ""), ("sources.e2e.url", "http://x"), ("sources.mini_e2e.references", 1),
        ("recipes.embedded.prefix.lr", 0), ("pretrain.layers", 1),
    ],
)  # fmt: skip
def test_impossible_values_name_the_key(project, key, value):
    change(project, key, value)
    with pytest.raises(UserError) as error:
        params.load()
    assert str(error.value).startswith(f"params.yaml: {key}: ") and "\n" not in str(error.value)


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
    assert params.load().training.prefix_len == 411


def test_a_recipe_without_the_value(project):
    change(project, "recipes.embedded.prefix.lr", None)
    with pytest.raises(UserError, match=r"train.lr is `recipe`, but recipes.embedded.prefix has no lr"):
        _ = params.load().training
