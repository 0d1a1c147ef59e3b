"""A projector makes a model's prompt of another's, by the formula, and is taken along to other tasks."""

import pytest
import torch
from torch.nn import functional as F

from stages.core.errors import UserError
from stages.methods.parts import saved
from stages.methods.parts.head import build
from stages.methods.prompt_projection import PromptProjection
from stages.methods.prompt_tuning import PromptTuning
from stages.models.identity import base_model_id
from tests.conftest import config_of


def projection_config(**options):
    return config_of("prompt_projection", "t5", "rte", prefix_len=4, methods={"prompt_projection": options})


@pytest.fixture
def kept(seq2seq, project):
    """Another model's prompt: of other length and width."""
    method = PromptTuning(seq2seq, lambda g: torch.randn(3, 20, generator=g), [7])
    saved.save(project / "kept", config_of("prompt_tuning"), method.state(), base_model_id(seq2seq))
    return method.vectors.detach()[0]


@torch.no_grad()
def test_each_run_projects_by_the_formula(seq2seq, kept):
    method = PromptProjection(seq2seq, kept, 4, 8, [1, 2])
    for weight in method.weights.values():
        weight.add_(torch.randn_like(weight) * 0.1)
    assert method.vectors().shape == (2, 4, 32)
    for run in range(2):
        own = {name: weight[run] for name, weight in method.weights.items()}
        flat = torch.tanh(kept.flatten() @ own["down"] + own["down_bias"]) @ own["up"] + own["up_bias"]
        wanted = F.layer_norm(flat.view(4, 32), (32,), own["scale"][0], own["shift"][0])
        torch.testing.assert_close(method.vectors()[run], wanted, atol=1e-5, rtol=1e-5)


def test_every_part_learns(seq2seq, kept, hidden_of):
    method = PromptProjection(seq2seq, kept, 4, 8, [1])
    hidden_of(seq2seq, method()).square().sum().backward()
    assert all((p.grad != 0).any() for p in method.trainable_parameters()) and len(method.trainable_parameters()) == 6


@torch.no_grad()
def test_a_trained_projector_is_taken(seq2seq, kept, project, hidden_of):
    first = build(seq2seq, projection_config(source=str(project / "kept")), [1])
    saved.save(project / "first", projection_config(), first.state(), base_model_id(seq2seq))
    loaded = saved.load(project / "first", seq2seq)
    torch.testing.assert_close(hidden_of(seq2seq, loaded), hidden_of(seq2seq, first()))
    again = build(seq2seq, projection_config(source=str(project / "kept"), trained=str(project / "first")), [5])
    assert torch.equal(again.vectors(), first.vectors())


def test_what_does_not_fit_is_named(seq2seq, kept, project):
    with pytest.raises(
        UserError, match=r"give methods\.prompt_projection\.source, the directory of another model's prompt"
    ):
        build(seq2seq, projection_config(), [1])
    with pytest.raises(UserError, match=r"^cannot read nowhere/config\.json: No such file"):
        build(seq2seq, projection_config(source="nowhere"), [1])
    first = build(seq2seq, projection_config(source=str(project / "kept")), [1])
    saved.save(project / "first", projection_config(), first.state(), base_model_id(seq2seq))
    with torch.no_grad():
        seq2seq.model.get_input_embeddings().weight += 0.1
    with pytest.raises(UserError, match=r"first is of another model: its base_model_fingerprint is"):
        build(seq2seq, projection_config(source=str(project / "kept"), trained=str(project / "first")), [1])
    first = build(seq2seq, projection_config(source=str(project / "kept"), hidden=5), [1])
    saved.save(project / "first", projection_config(), first.state(), base_model_id(seq2seq))
    with pytest.raises(
        UserError, match=r"methods\.prompt_projection\.trained: .* has for down \[60, 5\], not \[60, 256\]"
    ):
        build(seq2seq, projection_config(source=str(project / "kept"), trained=str(project / "first")), [1])
