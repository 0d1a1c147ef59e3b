"""A trained run on disk is the run, and belongs to one model."""

import json

import pytest
import torch

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


@pytest.mark.parametrize("damage", ["no tensors", "other shape", "no method"])
def test_what_is_no_run_is_refused(lm, tmp_path, damage):
    directory = save(lm, Prefix(lm, 5, 8, [1]), "prefix", tmp_path)
    config = json.loads((directory / "config.json").read_text())
    if damage == "no tensors":
        (directory / "prefix.safetensors").unlink()
    if damage == "other shape":
        config["tensors"]["decoder"][4] = 6
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
