"""Training goes on from a saved run: it starts exactly where the run is, and what does not fit is one line."""

import json

import pytest
import torch

from stages.core.errors import UserError
from stages.methods import config_from, files_of
from stages.methods.lora import LoRA, layers_of
from stages.methods.parts import saved
from stages.methods.parts.head import build
from stages.methods.prefix import Prefix
from stages.models.encoder import Encoder
from stages.models.identity import base_model_id
from stages.training import loop as engine
from tests.conftest import bare_encoder, config_of
from tests.training.conftest import examples, run

SAVED = {"init": "file", "mlp": False}


def going_on(directory, method="prefix", length=5, **options):
    return config_of(
        method, prefix_len=length, methods={"prefix": SAVED | {"mlp_width": 8, "file": str(directory)} | options}
    )


def lora_from(directory, rank=2, alpha=8.0, names=None):
    return config_of("lora", methods={
        "lora": {"rank": rank, "alpha": alpha, "target_modules": names, "file": str(directory)},
    })  # fmt: skip


def loss(lm, adaptation):
    return engine.dev_loss(lm, adaptation, [examples(0)], 3)


@pytest.fixture
def kept(any_lm, tmp_path):
    """A saved run of `prefix` of length 5, which an MLP trained."""
    state, _ = run(any_lm, tmp_path, Prefix(any_lm, 5, 8, [7]), [examples(0)], "training", steps=3)
    saved.save(tmp_path / "kept", config_of("prefix"), state, base_model_id(any_lm))
    return tmp_path / "kept"


def test_a_prefix_starts_where_the_saved_one_is(any_lm, kept, tmp_path):
    method = build(any_lm, going_on(kept), [1, 2])
    for site, prefix in saved.state_of(kept).items():
        assert torch.equal(method.state()[site][:1], prefix) and torch.equal(method.state()[site][1:], prefix)
    loaded = saved.load(kept, any_lm)
    one = build(any_lm, going_on(kept), [1])
    assert torch.equal(loss(any_lm, one()), loss(any_lm, loaded))
    _, points = run(any_lm, tmp_path, one, [examples(0)], "more", steps=12)
    assert loss(any_lm, one()) < loss(any_lm, loaded) and len(points) == 12


def test_a_gated_prefix_starts_from_a_saved_one(lm, tmp_path):
    saved.save(tmp_path / "kept", config_of("prefix"), Prefix(lm, 5, 8, [7]).state(), base_model_id(lm))
    config = going_on(tmp_path / "kept", "apt")
    assert files_of(config) == [tmp_path / "kept/prefix.safetensors"]
    assert torch.equal(build(lm, config, [1]).state()["decoder"], saved.state_of(tmp_path / "kept")["decoder"])


def test_the_head_of_an_encoder_starts_anew(word_pieces, tmp_path):
    lm = Encoder(bare_encoder("bert", len(word_pieces)), word_pieces, "tiny-bert")
    lm.labels = ["no", "yes"]

    def start(seed, **options):
        config = config_of("prefix", "minilm", "mini_rte", prefix_len=5, methods={"prefix": {"mlp": False} | options})
        return config, build(lm, config, [seed]).state()

    config, state = start(1)
    saved.save(tmp_path / "kept", config, state, base_model_id(lm), lm.labels)
    _, found = start(2, init="file", file=str(tmp_path / "kept"))
    _, other = start(2)
    assert torch.equal(found["encoder"], state["encoder"]) and not torch.equal(other["encoder"], state["encoder"])
    assert torch.equal(found["head.weight"], other["head.weight"])


@pytest.mark.parametrize(("alpha", "names"), [(8.0, None), (2.0, "all-linear")])
def test_an_update_starts_where_the_saved_one_is(any_lm, tmp_path, alpha, names):
    """In bits where alpha / rank is a power of two."""
    first = LoRA(any_lm, 2, alpha, layers_of(any_lm, names), [3])
    state, _ = run(any_lm, tmp_path, first, [examples(0)], "training", steps=3)
    saved.save(tmp_path / "kept", config_of("lora"), state, base_model_id(any_lm))
    method = build(any_lm, lora_from(tmp_path / "kept", 2, 16.0, names), [1])
    assert all(torch.equal(tensor, state[name]) for name, tensor in method.state().items())
    assert torch.equal(loss(any_lm, method()), loss(any_lm, saved.load(tmp_path / "kept", any_lm)))
    assert state.keys() == method.state().keys() and any(tensor.any() for tensor in state.values())


def test_what_does_not_fit_is_named(lm, tmp_path):
    shape = lm.shapes["decoder"]
    saved.save(tmp_path / "kept", config_of("prefix"), Prefix(lm, 5, 8, [7]).state(), base_model_id(lm))
    with pytest.raises(UserError) as error:
        build(lm, going_on(tmp_path / "kept", length=6), [1])
    sizes = [[1, shape.layers, 2, shape.kv_heads, length, shape.head_dim] for length in (5, 6)]
    assert str(error.value) == (
        f"params.yaml: methods.prefix.file: {tmp_path}/kept holds {sizes[0]} for the decoder, where prefix_len and {lm.name} "
        f"need {sizes[1]}"
    )
    with pytest.raises(UserError, match=r"^params\.yaml: methods\.lora\.file: .*kept is a run of prefix, not of lora$"):
        build(lm, lora_from(tmp_path / "kept"), [1])
    update = LoRA(lm, 3, 4.0, layers_of(lm, None), [3])
    saved.save(tmp_path / "update", config_of("lora"), update.state(), base_model_id(lm))
    with pytest.raises(UserError, match=r"methods\.prefix\.file: .*update is a run of lora, not of prefix$"):
        build(lm, going_on(tmp_path / "update"), [1])
    with pytest.raises(
        UserError, match=r"lora\.file: .*update has for .*lora_A\.weight \[3, 32\], where .* need \[2, 32\]"
    ):
        build(lm, lora_from(tmp_path / "update"), [1])
    with pytest.raises(UserError, match=r"lora\.file: .*update has for .* None, where rank and target_modules need \["):
        build(lm, lora_from(tmp_path / "update", 3, names="all-linear"), [1])
    with torch.no_grad():
        lm.model.get_input_embeddings().weight += 0.1
    for config in (going_on(tmp_path / "kept"), lora_from(tmp_path / "update", 3)):
        with pytest.raises(UserError, match="is of another model: its base_model_fingerprint is"):
            build(lm, config, [1])


@pytest.mark.parametrize(("options", "message"), [
    ({"mlp": True}, "init is file, but a saved run has no MLP to go on with: set mlp to false"),
    ({"file": None}, "init is file: give file"),
    ({"init": "random"}, "file is given, but init is random: set init to file"),
])  # fmt: skip
def test_options_that_contradict_each_other(options, message):
    with pytest.raises(UserError) as error:
        going_on("kept", **options)
    assert str(error.value) == f"params.yaml: methods.prefix: {message}"


@pytest.mark.parametrize("method", ["infix", "embedding_only"])
def test_other_methods_do_not_start_from_a_prefix(lm, method):
    with pytest.raises(
        UserError, match=rf"^params\.yaml: methods\.prefix\.init is file, but {method} starts from random"
    ):
        build(lm, going_on("kept", method), [1])


@pytest.mark.parametrize("config", [going_on, lora_from])
def test_the_run_that_dvc_deletes_is_refused(config):
    with pytest.raises(UserError, match=r"\.file is data/run/model, which DVC deletes before it trains anew: copy it"):
        files_of(config("data/run/model"))
    assert [file.parent.name for file in files_of(config("kept"))] == ["kept"]


def test_settings_without_a_file_are_those_of_older_versions():
    """So that the digests of studies, by which their results are known, stay."""
    for method in ("prefix", "lora"):
        assert "file" not in config_of(method).as_json()["options"][method]
    for config in (going_on("kept"), lora_from("kept")):
        assert config.as_json()["options"][config.method]["file"] == "kept"
        assert config_from(json.loads(json.dumps(config.as_json()))) == config
