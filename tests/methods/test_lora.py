"""LoRA against PEFT's: the start, the logits, the gradients of several steps, names and counts of what is stored."""

import math
from copy import copy, deepcopy

import pytest
import torch
from peft import LoraConfig, get_peft_model, set_peft_model_state_dict
from torch.nn import functional as F

from stages.core.errors import UserError
from stages.decoding.beam import Search, search_sources
from stages.methods import lora
from stages.methods.lora import LoRA, layers_of
from stages.methods.parts import head, saved
from stages.models.adaptation import Adaptation, LowRankUpdate
from stages.models.batches import Batch
from stages.models.identity import base_model_id
from stages.models.load import load
from stages.training.recompute import recompute
from tests.conftest import ROOT, bare_encoder, config_of, project_params

RANK, ALPHA = 3, 6.0
TEXTS = [[5, 300, 700, 8], [42, 7, 9]]


def lora_of(lm, *seeds, rank=RANK, names=None, std=0.0):
    """Runs of LoRA; `std`: the deviation of random numbers added to B, so that the change is not zero."""
    method = LoRA(lm, rank, ALPHA, layers_of(lm, names), list(seeds))
    with torch.no_grad():
        for number, b in enumerate(method.b):
            b += std * torch.randn(b.shape, generator=torch.Generator().manual_seed(number))
    return method


def peft_of(model, method, names=None):
    """PEFT's model with the parameters of `method`'s only run; without `names`, by PEFT's table of architectures."""
    peft = get_peft_model(model, LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=names))
    theirs = {name: p for name, p in peft.named_parameters() if p.requires_grad}
    ours = {}
    for layer, a, b in zip(method.layers, method.a, method.b, strict=True):
        ours |= {f"{layer}.lora_A": a, f"{layer}.lora_B": b}
    assert {f"base_model.model.{name}.default.weight" for name in ours} == set(theirs)
    with torch.no_grad():
        for name, p in ours.items():
            theirs[f"base_model.model.{name}.default.weight"].copy_(p[0])
    return peft.eval(), [theirs[f"base_model.model.{name}.default.weight"] for name in ours], list(ours.values())


def close(one, two, tolerance=1e-5):
    torch.testing.assert_close(one, two, atol=tolerance, rtol=tolerance)


def trained_alike(ours_loss, ours, theirs_loss, theirs, tolerance=1e-5):
    """Five steps of AdamW on both sides: equal losses, gradients and parameters."""
    steps = [(loss, ps, torch.optim.AdamW(ps, lr=1e-3)) for loss, ps in ((ours_loss, ours), (theirs_loss, theirs))]
    for _ in range(5):
        losses = []
        for loss, _, optimizer in steps:
            optimizer.zero_grad()
            losses.append(loss())
            losses[-1].backward()
        close(*losses, tolerance)
        for one, two in zip(ours, theirs, strict=True):
            close(one.grad[0], two.grad, tolerance)
        for _, _, optimizer in steps:
            optimizer.step()
    for one, two in zip(ours, theirs, strict=True):
        close(one[0], two, tolerance)


def losses_of(lm, peft, method, examples):
    """The mean loss by our side and by theirs, as functions; and the logits of all examples on both sides."""
    batch = Batch.of(examples, [0] * len(examples), lm.device)
    reference = copy(lm)
    reference.model = peft

    def ours():
        return lm.logits(lm.target_hidden(batch, method()))

    def theirs():
        return torch.cat([reference.own_logits(example) for example in examples])

    labels = torch.tensor([token for example in examples for token in example.target])
    return lambda: F.cross_entropy(ours(), labels), lambda: F.cross_entropy(theirs(), labels), ours, theirs


def equals_peft(lm, names, examples, std):
    method = lora_of(lm, 7, names=names, std=std)
    peft, theirs, ours = peft_of(deepcopy(lm.model), method, names)
    our_loss, their_loss, our_logits, their_logits = losses_of(lm, peft, method, examples)
    tolerance = 2e-4 if lm.name == "tiny-t5" else 1e-5  # T5 does not scale its scores: rounding grows
    close(our_logits(), their_logits(), tolerance)
    plain = lm.logits(lm.target_hidden(Batch.of(examples, [0] * len(examples), lm.device), Adaptation()))
    assert (our_logits() - plain).abs().max() > 1e-2
    counts = {sum(p.numel() for p in side) for side in (ours, theirs, method.state().values())}
    assert counts == {peft.get_nb_trainable_parameters()[0]}
    trained_alike(our_loss, ours, their_loss, theirs, tolerance)
    assert all(p.grad.any() for p in ours)


LAYERS = {
    "tiny-gpt2": ["c_attn", "c_fc", "attn.c_proj"], "tiny-llama": ["k_proj", "o_proj", "down_proj"],
    "tiny-bart": ["k_proj", "fc1", "encoder_attn.out_proj"], "tiny-t5": ["k", "wi", "EncDecAttention.o"],
}  # fmt: skip


@pytest.mark.parametrize("default", [True, False])
def test_equals_peft(any_lm, examples, default):
    """On GPT-2's transposed weights, grouped queries and both encoder-decoders; by default, the layers of PEFT's table."""
    equals_peft(any_lm, None if default else LAYERS[any_lm.name], examples, 0.02)


def test_equals_peft_on_the_embedded_model(examples):
    """Whose products are oneDNN's."""
    equals_peft(load(str(ROOT / "data/base/mini-gpt2"), "mini-gpt2", "main"), None, examples, 0.02)


def test_equals_peft_on_an_encoder(encoder, word_pieces):
    """Its hidden states; the table of PEFT has its architecture."""
    method = lora_of(encoder, 7, std=0.02)
    kind = encoder.name.removeprefix("tiny-")
    peft, theirs, ours = peft_of(bare_encoder(kind, len(word_pieces)), method)

    def our_states():
        return torch.cat([encoder.read([ids], method(), torch.tensor([0]))[0][0, : len(ids)] for ids in TEXTS])

    def their_states():
        return torch.cat([peft(input_ids=torch.tensor([ids])).last_hidden_state[0] for ids in TEXTS])

    weights = torch.randn(len(TEXTS[0]) + len(TEXTS[1]), encoder.width, generator=torch.Generator().manual_seed(1))
    plain = torch.cat([encoder.read([ids], Adaptation(), torch.tensor([0]))[0][0, : len(ids)] for ids in TEXTS])
    assert (our_states() - plain).abs().max() > 1e-2
    close(our_states(), their_states())
    trained_alike(lambda: (our_states() * weights).mean(), ours, lambda: (their_states() * weights).mean(), theirs)


def test_runs_together_on_encoders(encoder):
    """Each text with its run's change; where all texts share a layer's input (DeBERTa-v2), one line."""
    adaptation, runs = lora_of(encoder, 1, 2, std=0.1)(), torch.tensor([1, 0])
    if encoder.name.startswith("tiny-deberta-v2"):
        with pytest.raises(UserError, match=r"set cells\.runs_per_batch to 1$"):
            encoder.read(TEXTS, adaptation, runs)
        return
    together = encoder.read(TEXTS, adaptation, runs)[0]
    for row, (ids, run) in enumerate(zip(TEXTS, runs.tolist(), strict=True)):
        alone = encoder.read([ids], adaptation.of(run), torch.tensor([0]))[0]
        torch.testing.assert_close(together[row, : len(ids)], alone[0, : len(ids)], atol=5e-5, rtol=1e-3)


def test_the_start_is_peft_s(any_lm, hidden_of):
    """B is zero, so the model is as it was; A is uniform within 1 / sqrt(in), and a seed's own."""
    method = lora_of(any_lm, 1, 2)
    torch.testing.assert_close(hidden_of(any_lm, method(), (0, 1, 0)), hidden_of(any_lm), atol=0, rtol=0)
    torch.testing.assert_close(hidden_of(any_lm, method().of(1)), hidden_of(any_lm), atol=0, rtol=0)
    for a in method.a:
        bound = 1 / math.sqrt(a.shape[2])
        assert 0.9 * bound < a.abs().max() <= bound
    alone = lora_of(any_lm, 2).state()
    assert all(torch.equal(tensor[1:], alone[name]) for name, tensor in method.state().items())
    assert not torch.equal(method.a[0][0], method.a[0][1])


def test_rows_have_the_changes_of_their_runs(any_lm, hidden_of, alone, same):
    adaptation, runs = lora_of(any_lm, 1, 2, 3, std=0.1)(), (2, 0, 1)
    together = hidden_of(any_lm, adaptation, runs)
    one_by_one = [alone(any_lm, row, adaptation.of(run)) for row, run in enumerate(runs)]
    same(together, torch.cat(one_by_one))
    assert (alone(any_lm, 0, adaptation.of(0)) - one_by_one[0]).abs().max() > 1e-3, "the runs differ"
    plain = hidden_of(any_lm)
    torch.testing.assert_close(hidden_of(any_lm), plain, atol=0, rtol=0)  # nothing of it is left in the model


def test_runs_of_several_trainings_decode_together(any_lm):
    """Of several ranks, sentences of three runs under way at a time."""
    adaptations = [lora_of(any_lm, seed, rank=seed, std=0.3)() for seed in (1, 2, 4)]
    assert all(one.joinable for one in adaptations)
    joined, search = Adaptation.joined(adaptations), Search(3, 1.0, 8, any_lm.end)
    assert joined.runs == 3 and joined.length == 0
    sources, runs = [[5, 300, 700], [42, 7], [9, 11, 13, 900], [7], [8, 8]], [2, 0, 1, 1, 0]
    together = dict(search_sources(any_lm, joined, runs, sources, search, 2))
    for number, (source, run) in enumerate(zip(sources, runs, strict=True)):
        [(_, expected)] = search_sources(any_lm, adaptations[run], [0], [source], search, 1)
        assert together[number] == expected


def test_a_saved_run_has_the_effect_of_the_trained_one(any_lm, hidden_of, tmp_path):
    config, method = config_of("lora"), lora_of(any_lm, 1, std=0.1)
    saved.save(tmp_path / "model", config, method.state(), base_model_id(any_lm))
    assert sorted(file.name for file in (tmp_path / "model").iterdir()) == ["config.json", "lora.safetensors"]
    trained = hidden_of(any_lm, method()).detach()
    assert (trained - hidden_of(any_lm)).abs().max() > 1e-2
    torch.testing.assert_close(hidden_of(any_lm, saved.load(tmp_path / "model", any_lm)), trained, atol=0, rtol=0)


def test_peft_reads_what_is_stored(lm, examples):
    """With an alpha that equals the rank."""
    method = lora_of(lm, 1, std=0.1)
    peft = get_peft_model(deepcopy(lm.model), LoraConfig(r=RANK, lora_alpha=RANK)).eval()
    stored = {f"base_model.model.{name}": tensor[0] for name, tensor in method.state().items()}
    assert set_peft_model_state_dict(peft, stored).unexpected_keys == []
    *_, ours, theirs = losses_of(lm, peft, method, examples)
    close(ours(), theirs())


def test_an_encoder_s_run_has_its_head(encoder):
    method = head.build(encoder, config_of("lora", "minilm", "mini_conll2003"), [1, 2])
    assert {"head.weight", "head.bias"} < set(method.state())
    adaptation = head.load("lora", encoder, method.state())
    assert adaptation.head.weight.shape == (2, 3, 32) and adaptation.low_rank and not adaptation.joinable


def test_recomputed_blocks_have_the_changes(lm, examples):
    def gradients():
        method = lora_of(lm, 1, 2, std=0.1)
        lm.target_hidden(Batch.of(examples, [0, 1, 0], lm.device), method()).square().sum().backward()
        return [p.grad for p in method.trainable_parameters()]

    plain = gradients()
    recompute(lm.blocks())
    for one, two in zip(plain, gradients(), strict=True):
        assert torch.equal(one, two) and one.any()


def test_the_change_stays_in_fp32(lm, hidden_of):
    method = lora_of(lm, 1, std=0.1)
    exact = hidden_of(lm, method())
    lm.compute_in(torch.bfloat16)
    found = hidden_of(lm, method())
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), exact, rtol=0.1, atol=0.1)
    found.float().square().sum().backward()
    assert all(p.grad.dtype == torch.float32 and p.grad.any() for p in method.trainable_parameters())


def test_layers_are_named_by_their_ends(lm):
    names = ["1.attn.c_proj"] if lm.name == "tiny-gpt2" else ["1.mlp.up_proj"]
    expected = {"tiny-gpt2": "transformer.h.1.attn.c_proj", "tiny-llama": "model.layers.1.mlp.up_proj"}[lm.name]
    assert list(layers_of(lm, names)) == [expected]
    assert list(lora_of(lm, 1, names=names).state()) == [f"{expected}.lora_A.weight", f"{expected}.lora_B.weight"]


def test_all_linear_layers_are_those_of_peft(lm):
    method = lora_of(lm, 1, names="all-linear")
    peft_of(lm.model, method, "all-linear")  # compares the names


def test_a_layer_that_there_is_not(any_lm):
    there = {
        "tiny-gpt2": "c_attn, c_fc, c_proj",
        "tiny-llama": "down_proj, gate_proj, k_proj, o_proj, q_proj, up_proj, v_proj",
        "tiny-bart": "fc1, fc2, k_proj, out_proj, q_proj, v_proj", "tiny-t5": "k, o, q, v, wi, wo",
    }[any_lm.name]  # fmt: skip
    for wanted in ("proj", "lm_head"):
        with pytest.raises(UserError) as error:
            lora.build(any_lm, config_of("lora", methods={"lora": {"target_modules": [wanted]}}), [1])
        assert str(error.value) == (
            f"params.yaml: methods.lora.target_modules: {any_lm.name} has no linear layer {wanted!r}; it has {there}"
        )


def test_names_that_are_not_known(lm, monkeypatch):
    monkeypatch.setattr(lora, "_QUERIES_AND_VALUES", (("c_attn", "v_proj"),))
    there = "c_attn, c_fc" if lm.name == "tiny-gpt2" else "down_proj, gate_proj"
    with pytest.raises(UserError, match="^params.yaml: methods.lora.target_modules: tiny-[a-z0-9]+ has query and value "
                       f"layers of unknown names: name layers; it has {there}, "):  # fmt: skip
        layers_of(lm, None)


def test_layers_by_recipe():
    """A list where the recipe has one; else the attention's queries and values."""
    for given, expected in (({}, None), ({"target_modules": ["c_attn", "c_fc"]}, ["c_attn", "c_fc"])):
        recipe = {
            "embedded": {
                "mini-gpt2": {"lora": {**project_params()["recipes"]["embedded"]["mini-gpt2"]["lora"], **given}}
            }
        }
        assert config_of("lora", recipes=recipe).options["lora"].target_modules == expected


@pytest.mark.parametrize("wrong", ["q_proj", [], [1], [" "]])
def test_what_is_no_list_of_layers(wrong):
    with pytest.raises(UserError) as error:
        config_of("lora", methods={"lora": {"target_modules": wrong}})
    assert str(error.value) == (
        "params.yaml: methods.lora.target_modules: must be a list of layers such as [q_proj, v_proj], or all-linear, recipe, or empty, "
        f"not {wrong!r}"
    )


def test_a_layer_that_reads_no_row_per_text():
    """As the queries of DeBERTa's distances, which all texts share."""
    change = LowRankUpdate(torch.zeros(2, 1, 4), torch.zeros(2, 5, 1))
    with pytest.raises(UserError) as error:
        change(torch.zeros(1, 6, 4), torch.zeros(1, 6, 5), torch.tensor([0, 1, 1]))
    assert str(error.value) == (
        "params.yaml: methods.lora.target_modules: a layer reads a tensor of shape [1, 6, 4] for 3 texts, so it "
        "cannot have an update per run: set cells.runs_per_batch to 1"
    )
