"""The recipes of params.yaml: the settings that the papers and their code give, by task, model and method."""

import pytest

from stages import params
from stages.core.errors import UserError
from stages.core.run_config import Training
from stages.models.named import is_embedded, path_of
from stages.resolve import resolve
from tests.conftest import change, config, params_of


def test_recipes_are_what_is_published(project):
    change(project, "task", "e2e")
    change(project, "model", "gpt2-medium")
    assert config().training == Training(
        lr=8e-5, epochs=5, steps=None, batch_size=10, warmup_steps=0, loss="sequence_sum", lm_dropout=False,
        optimizer="adamw", schedule="linear", weight_decay=0.0, clip_norm=1.0, decay_rate=None,
        length_pool=50, eval_every=None, activation_checkpointing=False,
    )  # fmt: skip
    assert config().prefix_len == 5 and config().options.keys() == {"prefix"}
    assert config().options["prefix"].model_dump() == {
        "mlp": True, "mlp_width": 512, "init_std": 1.0, "dropout": 0.0, "init": "random", "init_words": None,
        "fit_steps": 500, "fit_lr": 1e-4,
    }  # fmt: skip


P_TUNING_V2 = {  # its run scripts: learning rate, length, epochs, batch size, dropout
    "boolq": (5e-3, 40, 100, 32, 0.1), "copa": (1e-2, 16, 80, 16, 0.1), "rte": (1e-2, 20, 60, 32, 0.1),
    "wic": (1e-4, 20, 80, 16, 0.1), "wsc": (5e-3, 20, 80, 16, 0.1), "conll2003": (3e-2, 11, 30, 16, 0.1),
    "conll04": (2e-2, 128, 40, 32, 0.2), "ontonotes": (1e-2, 16, 30, 16, 0.1),
}  # fmt: skip


@pytest.mark.parametrize("task", P_TUNING_V2)
def test_an_encoders_prefix_is_p_tuning_v2s_and_apt_takes_its_recipe(project, task):
    change(project, "task", task)
    change(project, "model", "bert-large-uncased")
    run = config()
    training, options = run.training, run.options["prefix"]
    found = training.lr, run.prefix_len, training.epochs, training.batch_size, options.dropout
    assert found == P_TUNING_V2[task] and options.init_std == 0.02
    assert training.lm_dropout and (options.hidden is None) == (task != "wic")
    change(project, "method", "apt")
    apt = config()
    assert (apt.training, apt.prefix_len, apt.options["prefix"]) == (training, run.prefix_len, options)


def test_a_prompt_is_trained_as_lester_et_al_train_it(project):
    for key, value in (("task", "cb"), ("model", "google/t5-xl-lm-adapt"), ("method", "prompt_tuning")):
        change(project, key, value)
    run = config()
    training, options = run.training, run.options["prompt_tuning"]
    found = training.optimizer, training.lr, training.schedule, training.batch_size
    assert found == ("adafactor", 0.3, "constant", 32)
    assert (training.weight_decay, training.clip_norm, training.steps, run.prefix_len) == (1e-5, None, 30_000, 100)
    assert (options.init, options.words, training.eval_every) == ("labels", None, 1000)
    assert (options.bound, options.population, training.decay_rate) == (0.5, 5000, -0.8)
    change(project, "train.optimizer", "adamw")
    assert (config().training.schedule, config().training.decay_rate) == ("linear", None)
    change(project, "methods.prompt_tuning.init", "words")
    with pytest.raises(UserError, match=r"^params.yaml: methods.prompt_tuning: init is words: give words$"):
        config()
    change(project, "methods.prompt_tuning.words", "recited")
    change(project, "train.eval_every", "none")
    assert (config().options["prompt_tuning"].words, config().training.eval_every) == ("recited", None)
    change(project, "methods.prompt_tuning.init", "uniform")
    with pytest.raises(
        UserError, match=r"^params.yaml: methods.prompt_tuning: words is given, but init is uniform: it reads none$"
    ):
        config()
    change(project, "methods.prompt_tuning.init", "file")
    with pytest.raises(UserError, match=r"^params.yaml: methods.prompt_tuning: init is file: give file$"):
        config()
    change(project, "methods.prompt_tuning.init", "recipe")
    change(project, "methods.prompt_tuning.file", "elsewhere")
    with pytest.raises(
        UserError, match=r"^params.yaml: methods.prompt_tuning: file is given, but init is recipe: set init to file$"
    ):
        config()


@pytest.mark.parametrize(
    ("task", "init", "words"),
    [
        ("record", "labels", "commonsense reasoning reading comprehension"), ("squad_to_mrqa", "vocabulary", None),
        ("wsc_referent", "labels", "commonsense pronoun resolution"), ("wsc", "labels", None), ("mrpc", "labels", None),
    ],
)  # fmt: skip
def test_a_prompt_starts_where_lester_et_al_start_it(project, task, init, words):
    for key, value in (("task", task), ("model", "google/t5-xl-lm-adapt"), ("method", "prompt_tuning")):
        change(project, key, value)
    training, options = config().training, config().options["prompt_tuning"]
    assert (options.init, options.words, training.steps, training.eval_every) == (init, words, 30_000, 1000)


def test_a_projector_is_trained_as_su_et_al_train_it(project):
    """By Adam: Prompt Tuning's rate of 0.3 would saturate its tanh at the first step."""
    for key, value in (("task", "cb"), ("model", "google/t5-xl-lm-adapt"), ("method", "prompt_projection")):
        change(project, key, value)
    training = params.load().training
    assert (training.optimizer, training.lr, training.weight_decay) == ("adamw", 1e-3, 0.0)
    assert (training.epochs, training.batch_size, config().prefix_len) == (40, 16, 100)
    for model in ("mini-gpt2", "mini-bart"):
        change(project, "model", model)
        assert (params.load().training.optimizer, params.load().training.lr) == ("adamw", 1e-3)


def test_a_free_prefix_starts_as_the_code_of_its_method(project):
    """GPT-2's from N(0, 1), as torch.randn gives it; an encoder's as BERT's own embeddings, which P-tuning v2's is one of."""
    assert config().options["prefix"].init_std == 1.0, "of the matrix that the MLP reads"
    change(project, "methods.prefix.mlp", False)
    assert config().options["prefix"].init_std == 1.0
    for key, value in (("methods.prefix.mlp", True), ("task", "rte"), ("model", "minilm")):
        change(project, key, value)
    assert config().options["prefix"].init_std == 0.02
    change(project, "methods.prefix.init_std", 0.5)
    assert config().options["prefix"].init_std == 0.5


def test_a_directory_of_the_users_gets_the_published_recipe(project):
    """Also where it looks like one of ours: joined to data/base, an absolute path would stand for itself."""
    change(project, "task", "e2e")
    for model in (str(project / "data/base/mini-gpt2"), "data/base/mini-gpt2", "../base/mini-gpt2"):
        change(project, "model", model)
        assert (is_embedded(model), path_of(model), params.load().training.lr) == (False, model, 8e-5)
    change(project, "model", "mini-gpt2")
    assert is_embedded("mini-gpt2") and path_of("mini-gpt2") == "data/base/mini-gpt2"
    assert params.load().training.lr == 2e-3


PUBLISHED = {  # Table 6: learning rate, epochs, batch size, prefix length
    ("e2e", "prefix"): (8e-5, 5, 10, 5), ("webnlg", "prefix"): (5e-5, 5, 5, 5), ("dart", "prefix"): (5e-5, 10, 5, 10),
    ("xsum", "prefix"): (5e-5, 30, 14, 100), ("e2e", "adapter"): (5e-5, 5, 5, None), ("webnlg", "adapter"): (5e-5, 5, 5, None),
    ("dart", "adapter"): (5e-5, 5, 5, None), ("e2e", "adapter_small"): (8e-5, 10, 5, None),
    ("webnlg", "adapter_small"): (5e-5, 10, 5, None), ("dart", "adapter_small"): (8e-5, 5, 5, None),
    ("e2e", "finetune"): (5e-5, 5, 10, None), ("webnlg", "finetune"): (1e-5, 10, 6, None),
    ("dart", "finetune"): (1e-5, 10, 6, None), ("e2e", "ft_top2"): (5e-5, 5, 10, None),
    ("webnlg", "ft_top2"): (5e-5, 10, 9, None), ("dart", "ft_top2"): (5e-5, 5, 5, None),
}  # fmt: skip


@pytest.mark.parametrize("task", ["e2e", "webnlg", "dart"])
def test_lora_s_table_11(task):
    """Hu et al. 2021: of GPT-2 medium, equal for the three tasks but for what this pipeline has no recipe of."""
    chosen = params_of(task=task, method="lora", model="gpt2-medium")
    training, options = chosen.training, resolve(chosen).options["lora"]
    found = (
        training.lr,
        training.epochs,
        training.batch_size,
        training.warmup_steps,
        training.loss,
        training.lm_dropout,
    )
    assert found == (2e-4, 5, 8, 500, "token_mean", False)
    assert (options.rank, options.alpha, options.target_modules) == (4, 32.0, None)


@pytest.mark.parametrize(("task", "method"), PUBLISHED)
def test_table_6(project, task, method):
    change(project, "task", task)
    change(project, "method", method)
    change(project, "model", "gpt2-medium")
    training = params.load().training
    found = (training.lr, training.epochs, training.batch_size, config().prefix_len)
    assert found == PUBLISHED[task, method]
    bottlenecks = {"adapter": 224, "adapter_small": 6}
    assert method not in bottlenecks or config().options["adapter"].bottleneck == bottlenecks[method]
    change(project, "task", f"mini_{task}")
    if task != "dart":
        assert params.load().training == training, "a mini task takes what its original does"
