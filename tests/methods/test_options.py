"""A method reads its own sections of `methods` in params.yaml and no others; what is wrong in them is named by its key."""

from dataclasses import replace

import pytest
import torch

from stages.core.errors import UserError
from stages.methods import module_of, names
from stages.methods.parts import saved
from stages.methods.parts.head import build
from stages.methods.prompt_tuning import EMBEDDINGS
from stages.models.encoder import Encoder
from stages.studies.grid import merged, nested
from tests.conftest import bare_encoder, config_of, tiny_bart, tiny_gpt2

MODELS = {"decoder-only": "mini-gpt2", "encoder-decoder": "mini-bart", "encoder": "minilm"}
FITTING = [(method, family) for method in names() for family in MODELS if family in module_of(method).FAMILIES]

TRAINED = {
    "lr": 0.1, "steps": 3, "batch_size": 2, "warmup_steps": 0, "loss": "token_mean", "lm_dropout": False, "optimizer": "adamw",
}  # fmt: skip


def config_for(method, family, source):
    """A run of any method and family, also one without a recipe; `source` holds another model's prompt."""
    options = {
        "prefix": {"mlp_width": 4, "init_std": 1.0},
        "adapter": {"bottleneck": 2},
        "lora": {"rank": 2, "alpha": 4.0},
        "prompt_projection": {"source": str(source)},
        "in_context": {"examples": 2},
    }
    return config_of(method, MODELS[family], prefix_len=3, train=TRAINED, methods=options)


@pytest.mark.parametrize(("method", "family"), FITTING)
def test_its_own_sections_are_all_that_a_method_reads(method, family, project, tokenizer, bart_tokenizer, word_pieces):
    lm = {"decoder-only": lambda: tiny_gpt2(tokenizer), "encoder-decoder": lambda: tiny_bart(bart_tokenizer),
          "encoder": lambda: Encoder(bare_encoder("bert", len(word_pieces)), word_pieces, "tiny-bert")}[family]()  # fmt: skip
    lm.labels = ["no", "yes"]
    saved.write(project / "kept", "prompt_tuning", {EMBEDDINGS: torch.ones(1, 3, lm.width)}, {})
    config = config_for(method, family, project / "kept")
    assert list(config.options) == list(module_of(method).OPTIONS)
    build(lm, config, [1])
    for section in config.options:
        others = {name: values for name, values in config.options.items() if name != section}
        with pytest.raises(KeyError, match=section):
            build(lm, replace(config, options=others), [1])


@pytest.mark.parametrize(("method", "key", "name"), [
    ("adapter", "methods.adapter.init_std", "0.down.weight"), ("adapter", "methods.adapter.init_std", "0.up.weight"),
    ("apt", "methods.apt.gate_std", "gate.mean.token"), ("finetune", "head.init_std", "head.weight"),
    ("linear_probe", "head.init_std", "head.weight"),
])  # fmt: skip
def test_a_start_has_the_deviation_that_is_asked_for(method, key, name, project, encoder):
    def start(std):
        given = {"prefix_len": 3, "train": TRAINED, "methods": {"adapter": {"bottleneck": 2}}}
        return build(encoder, config_of(method, "minilm", **merged(given, nested(key, std))), [1]).state()[name]

    assert torch.equal(2 * start(0.02), start(0.04)) and 0.015 < start(0.02).std() < 0.025


def test_a_section_is_named_as_a_method():
    """As `params.check` asks of the keys of `methods`."""
    sections = {section for method in names() for section in module_of(method).OPTIONS}
    read = {"prefix", "apt", "adapter", "lora", "prompt_tuning", "prompt_projection", "in_context"}
    assert sections == read <= set(names())


@pytest.mark.parametrize(
    ("method", "model", "options", "message"),
    [
        ("adapter", "minilm", {}, "methods.adapter.bottleneck is `recipe`, but recipes.embedded.minilm.adapter gives none: set it"),
        ("prompt_tuning", "t5", {},
         "methods.prompt_tuning.init is `recipe`, but recipes.published.prompt_tuning.mini_e2e gives none: set it"),
        ("prefix", "mini-gpt2", {"mlp": "yes"}, "methods.prefix.mlp: Input should be a valid boolean, not 'yes'"),
        ("prefix", "mini-gpt2", {"init_std": 0}, "methods.prefix.init_std: must be a number above 0, or recipe, not 0"),
        ("prefix", "mini-gpt2", {"dropout": 1.0}, "methods.prefix.dropout: must be a number of at least 0 and below 1, or recipe, not 1.0"),
        ("prefix", "mini-gpt2", {"init": "words"}, "methods.prefix: init is words: give init_words"),
        ("prefix", "mini-gpt2", {"init": "random", "init_words": "a place"},
         "methods.prefix: init_words is given, but init is random: set init to words"),
        ("prefix", "mini-gpt2", {"init": "examples", "init_words": "a place"},
         "methods.prefix: init_words is given, but init is examples: set init to words"),
        ("in_context", "mini-gpt2", {"examples": 0},
         "methods.in_context: there is no instruction and examples is 0: give one of them"),
        ("prompt_tuning", "mini-gpt2", {"init": "uniform", "words": "a place"},
         "methods.prompt_tuning: words is given, but init is uniform: it reads none"),
        ("prompt_tuning", "mini-gpt2", {"words": "a place"},
         "methods.prompt_tuning: words is given, but init is vocabulary: it reads none"),  # by the recipe
        ("prompt_tuning", "mini-gpt2", {"init": "words"}, "methods.prompt_tuning: init is words: give words"),
        ("prompt_tuning", "mini-gpt2", {"init": "file"}, "methods.prompt_tuning: init is file: give file"),
        ("prompt_tuning", "mini-gpt2", {"file": "kept"},
         "methods.prompt_tuning: file is given, but init is recipe: set init to file"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(method, model, options, message):
    with pytest.raises(UserError) as error:
        config_of(method, model, prefix_len=3, train=TRAINED, methods={method: options})
    assert str(error.value) == f"params.yaml: {message}"


def test_a_key_that_there_is_not_is_named():
    with pytest.raises(UserError) as error:
        config_of("apt", methods={"apt": {"gate": True}})
    assert str(error.value) == "params.yaml: unknown key methods.apt.gate"


def test_a_key_that_a_recipe_lacks_is_null_or_its_default():
    """mlp_width admits null; a prefix's dropout is 0 where the recipe has none."""
    options = config_of("prefix", "minilm", "rte").options["prefix"]
    assert (options.mlp, options.mlp_width, options.hidden, options.dropout) == (True, None, None, 0.0)
    assert config_of("prefix", "bert-large-uncased", "rte").options["prefix"].dropout == 0.1


def test_a_prefix_starts_from_random_numbers_where_nothing_says_another():
    assert config_of("prefix").options["prefix"].init == "random"
    with pytest.raises(UserError) as error:
        config_of("prefix", methods={"prefix": {"init_words": "a place"}})
    assert str(error.value) == (
        "params.yaml: methods.prefix: init_words is given, but init is random: set init to words"
    )


def test_a_recipe_may_say_what_a_prefix_starts_from():
    recipe = {"embedded": {"mini-gpt2": {"prefix": {"init": "examples"}}}}
    assert config_of("prefix", recipes=recipe).options["prefix"].init == "examples"
    assert config_of("prefix", recipes=recipe, methods={"prefix": {"init": "zero"}}).options["prefix"].init == "zero"


def test_words_of_a_recipe_are_no_error_where_init_reads_none():
    config = config_of("prompt_tuning", "t5", "record", methods={"prompt_tuning": {"init": "uniform"}})
    assert config.options["prompt_tuning"].init == "uniform"
