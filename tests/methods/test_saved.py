"""A trained run on disk is the run, and belongs to one model."""

import hashlib
import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from stages.core.errors import UserError
from stages.methods.embedding_only import EmbeddingOnly
from stages.methods.infix import InfixTuning
from stages.methods.parts import saved
from stages.methods.prefix import Prefix
from stages.models.identity import base_model_id
from tests.conftest import config_of


def save(lm, method, name, directory):
    saved.save(directory / "model", config_of(name), method.state(), base_model_id(lm))
    return directory / "model"


def test_a_saved_prefix_is_the_prefix(any_lm, tmp_path):
    method = Prefix(any_lm, 5, 8, [1, 2])
    directory = save(any_lm, method, "prefix", tmp_path)
    assert sorted(p.name for p in directory.iterdir()) == ["config.json", "prefix.safetensors"]
    loaded = saved.load(directory, any_lm)
    assert set(loaded.prefixes) == set(any_lm.shapes)
    assert all(torch.equal(loaded.prefixes[place], prefix) for place, prefix in method().prefixes.items())


@pytest.mark.parametrize(("kind", "name"), [(EmbeddingOnly, "embedding_only"), (InfixTuning, "infix")])
def test_the_other_steerings(lm, tmp_path, hidden_of, kind, name):
    method = kind(lm, 5, 8, [1])
    loaded = saved.load(save(lm, method, name, tmp_path), lm)
    torch.testing.assert_close(hidden_of(lm, loaded), hidden_of(lm, method()), atol=1e-6, rtol=1e-6)


def test_of_another_model_it_is_refused(any_lm, tmp_path):
    directory = save(any_lm, Prefix(any_lm, 5, 8, [1]), "prefix", tmp_path)
    with torch.no_grad():
        any_lm.model.get_input_embeddings().weight += 0.1
    with pytest.raises(UserError, match="is of another model: its base_model_fingerprint is"):
        saved.load(directory, any_lm)


def test_the_config_describes_the_tensor_file(lm, tmp_path):
    directory = save(lm, Prefix(lm, 5, 8, [1]), "prefix", tmp_path)
    config, shape = json.loads((directory / "config.json").read_text()), lm.shapes["decoder"]
    size = [1, shape.layers, 2, shape.kv_heads, 5, shape.head_dim]
    assert config["tensors"] == {"decoder": {"dtype": "float32", "shape": size}}
    assert config["sha256"] == hashlib.sha256((directory / "prefix.safetensors").read_bytes()).hexdigest()
    assert list(config) == [
        "method", "base_model", "base_model_fingerprint", "shapes", "task", "revision", "prefix_len", "source_words",
        "precision", "training", "options", "cut", "labels", "tensors", "sha256",
    ]  # fmt: skip
    assert (config["task"], config["cut"]) == ("mini_e2e", {"source_tokens": None, "target_tokens": None})


def test_one_flipped_bit_is_found(lm, tmp_path):
    directory = save(lm, Prefix(lm, 5, 8, [1]), "prefix", tmp_path)
    file = directory / "prefix.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with pytest.raises(UserError) as error:
        saved.load(directory, lm)
    found, said = hashlib.sha256(data).hexdigest(), json.loads((directory / "config.json").read_text())["sha256"]
    assert str(error.value) == (
        f"{file} is not the file that was written: its sha256 is {found}, config.json says {said}: copy the run again, or "
        "train it again"
    )


def test_a_run_of_an_older_version_is_refused(lm, tmp_path):
    directory = save(lm, Prefix(lm, 5, 8, [1]), "prefix", tmp_path)
    config = json.loads((directory / "config.json").read_text())
    del config["sha256"]
    (directory / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError) as error:
        saved.load(directory, lm)
    assert str(error.value) == (
        f"{directory}/config.json has no sha256: an older version wrote this run, and its numbers cannot be checked: "
        "train it again"
    )


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_numbers_that_are_not_finite_are_refused(lm, tmp_path, number):
    state = Prefix(lm, 5, 8, [1]).state()
    state["decoder"][0, 0, 0, 0, 0, 0] = number
    saved.save(tmp_path / "model", config_of("prefix"), state, base_model_id(lm))
    with pytest.raises(UserError) as error:
        saved.load(tmp_path / "model", lm)
    assert str(error.value) == (
        f"{tmp_path}/model/prefix.safetensors: tensor 'decoder' has numbers that are NaN or infinite: train it again"
    )


def test_another_dtype_is_refused(lm, tmp_path):
    """Though the checksum is right: config and file were changed together."""
    directory = save(lm, Prefix(lm, 5, 8, [1]), "prefix", tmp_path)
    file = directory / "prefix.safetensors"
    save_file({"decoder": load_file(file)["decoder"].to(torch.int8)}, file)
    config = json.loads((directory / "config.json").read_text())
    config["sha256"] = hashlib.sha256(file.read_bytes()).hexdigest()
    (directory / "config.json").write_text(json.dumps(config))
    with pytest.raises(
        UserError, match=r"safetensors: tensor 'decoder' is .*'int8', .*, config\.json says .*'float32', "
    ):
        saved.load(directory, lm)


@pytest.mark.parametrize("method", ["../prefix", "prefix/../prefix", None, 7, ["prefix"], "no_such"])
def test_a_config_that_names_no_method_is_refused(lm, tmp_path, method):
    directory = save(lm, Prefix(lm, 5, 8, [1]), "prefix", tmp_path)
    config = json.loads((directory / "config.json").read_text()) | {"method": method}
    (directory / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError) as error:
        saved.load(directory, lm)
    assert str(error.value) == f"{directory} holds no trained run (config.json: method is {method!r})"


@pytest.mark.parametrize("damage", ["no tensors", "other shape", "no method"])
def test_what_is_no_run_is_refused(lm, tmp_path, damage):
    directory = save(lm, Prefix(lm, 5, 8, [1]), "prefix", tmp_path)
    config = json.loads((directory / "config.json").read_text())
    if damage == "no tensors":
        (directory / "prefix.safetensors").unlink()
    if damage == "other shape":
        config["tensors"]["decoder"]["shape"][4] = 6
    if damage == "no method":
        del config["method"]
    (directory / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError) as error:
        saved.load(directory, lm)
    assert str(directory) in str(error.value) and "\n" not in str(error.value)


def test_fingerprint_sees_a_small_change(any_lm):
    before = any_lm.fingerprint()
    assert before == any_lm.fingerprint()
    with torch.no_grad():
        next(p for n, p in any_lm.model.named_parameters() if "norm" in n or "ln_" in n)[0] += 1e-3
    assert any_lm.fingerprint() != before
