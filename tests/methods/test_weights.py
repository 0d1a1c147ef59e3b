"""Methods that move the model's own weights, or stand among its layers, against plain references."""

import pytest
import torch
from torch.nn import functional as F
from transformers import GPT2Config, GPT2LMHeadModel

from stages.core.errors import UserError
from stages.decoding.beam import Search, search_sources
from stages.methods import apt, check_fits, finetune, ft_top2, module_of, none
from stages.methods.adapter import Adapters
from stages.methods.apt import AdaptivePrefix
from stages.methods.embedding_only import EmbeddingOnly
from stages.methods.infix import InfixTuning
from stages.methods.lora import LoRA, layers_of
from stages.methods.parts import saved
from stages.methods.prefix import Prefix
from stages.methods.prompt_projection import PromptProjection
from stages.models.adaptation import Adaptation
from stages.models.attached import adapted
from stages.models.decoder_only import DecoderOnly
from stages.models.identity import base_model_id
from tests.conftest import config_of


@pytest.mark.parametrize("layout", ["lin", "houlsby"])
def test_an_adapter_that_adds_nothing_is_the_base_model(any_lm, hidden_of, layout):
    if layout == "houlsby" and any_lm.name == "tiny-t5":
        with pytest.raises(UserError, match="houlsby does not know the parts of tiny-t5's blocks; lin fits any model"):
            Adapters(any_lm, 3, layout, 0.02, [1])
        return
    plain = hidden_of(any_lm)
    method = Adapters(any_lm, 3, layout, 0.02, [1])
    assert (hidden_of(any_lm, method()) - plain).abs().max() > 1e-4
    torch.testing.assert_close(hidden_of(any_lm), plain, atol=0, rtol=0)  # nothing of it is left in the model
    for name, weight in method.weights.items():
        if name.endswith("up/weight"):
            torch.nn.init.zeros_(weight)
    torch.testing.assert_close(hidden_of(any_lm, method()), plain, atol=0, rtol=0)


@pytest.mark.parametrize("layout", ["lin", "houlsby"])
def test_rows_pass_the_adapters_of_their_runs(any_lm, hidden_of, alone, layout, same):
    """One batch with three runs' adapters equals each row alone with its own."""
    if layout == "houlsby" and any_lm.name == "tiny-t5":
        pytest.skip("tiny-t5's blocks have other parts")
    method, runs = Adapters(any_lm, 3, layout, 0.02, [1, 2, 3]), (2, 0, 1)
    with torch.no_grad():
        for number, weight in enumerate(method.trainable_parameters()):
            weight += 0.3 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(number))
    adaptation = method()
    together = hidden_of(any_lm, adaptation, runs)
    one_by_one = [alone(any_lm, row, adaptation.of(run)) for row, run in enumerate(runs)]
    same(together, torch.cat(one_by_one))
    assert (alone(any_lm, 0, adaptation.of(0)) - one_by_one[0]).abs().max() > 1e-3, "the runs differ"


def test_a_beam_search_with_adapters_of_several_runs(any_lm):
    """Sentences of three runs under way at a time, in places that others leave."""
    method, search = Adapters(any_lm, 3, "lin", 0.02, [1, 2, 3]), Search(3, 1.0, 8, any_lm.end)
    with torch.no_grad():
        for number, weight in enumerate(method.trainable_parameters()):
            weight += 0.5 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(number))
    adaptation, sources, runs = method(), [[5, 300, 700], [42, 7], [9, 11, 13, 900], [7], [8, 8]], [2, 0, 1, 1, 0]
    together = dict(search_sources(any_lm, adaptation, runs, sources, search, 2))
    for number, (source, run) in enumerate(zip(sources, runs, strict=True)):
        [(_, expected)] = search_sources(any_lm, adaptation.of(run), [0], [source], search, 1)
        assert together[number] == expected


def test_an_adapter_equals_the_block_and_its_formula(tokenizer):
    """GPT-2, block by block: h + up(relu(down(LayerNorm(h)))) of each block's output."""
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=3072, n_positions=64, n_embd=32, n_layer=3, n_head=4)
    lm = DecoderOnly(GPT2LMHeadModel(config).requires_grad_(False).eval(), tokenizer, "tiny")
    ids = torch.tensor([[5, 6, 7, 8]])
    states = lm.model.transformer.wte(ids) + lm.model.transformer.wpe(torch.arange(4))
    method = Adapters(lm, 3, "lin", 0.02, [1])
    torch.nn.init.normal_(method.weights["1/norm/weight"])
    with adapted(method(), torch.tensor([0])):
        ours = lm.model.base_model(ids).last_hidden_state
    for number, block in enumerate(lm.model.transformer.h):
        one = {name: method.weights[f"{number}/{name}"][0]
               for name in ("norm/weight", "norm/bias", "down/weight", "down/bias", "up/weight", "up/bias")}  # fmt: skip
        out = block(states)
        out = out[0] if isinstance(out, tuple) else out
        normed = F.layer_norm(out, (32,), one["norm/weight"], one["norm/bias"])
        inner = F.relu(normed @ one["down/weight"].T + one["down/bias"])
        states = out + inner @ one["up/weight"].T + one["up/bias"]
    torch.testing.assert_close(ours, lm.model.transformer.ln_f(states), atol=1e-5, rtol=1e-4)


def test_finetune_moves_everything(any_lm):
    method = finetune.build(any_lm, config_of("finetune"), [1])
    assert {id(p) for p in method.trainable_parameters()} == {id(p) for p in any_lm.model.parameters()}
    assert method().prefixes == {} and method().infix is None


def moved(lm):
    return set(ft_top2.build(lm, config_of("ft_top2"), [1]).names)


def test_ft_top2_moves_the_last_two_blocks_and_what_follows(any_lm):
    last = {"tiny-gpt2": ("transformer.h.1.", "transformer.h.2.", "transformer.ln_f."),
            "tiny-llama": ("model.layers.1.", "model.layers.2.", "model.norm."),
            "tiny-bart": ("model.decoder.layers.1.", "model.decoder.layers.2."),
            "tiny-t5": ("decoder.block.0.", "decoder.block.1.", "decoder.final_layer_norm.")}[any_lm.name]  # fmt: skip
    expected = {name for name, _ in any_lm.model.named_parameters() if name.startswith(last)}
    assert moved(any_lm) == expected and all(any(n.startswith(one) for n in expected) for one in last)


def test_ft_top2_moves_an_encoders_pooler(encoder):
    """Through which its head reads a class."""
    expected = {
        name for name, _ in encoder.model.named_parameters()
        if name.startswith(("encoder.layer.1.", "encoder.layer.2.", "pooler."))
    }  # fmt: skip
    assert moved(encoder) == expected
    assert any(name.startswith("pooler.") for name in expected) == encoder.name.endswith(("-bert", "-roberta"))


@pytest.mark.parametrize("method", ["finetune", "ft_top2", "adapter", "adapter_small"])
def test_a_saved_run_has_the_effect_of_the_trained_one(any_lm, hidden_of, tmp_path, method, same):
    before = {name: p.clone() for name, p in any_lm.model.named_parameters()}
    identity, plain, config = base_model_id(any_lm), hidden_of(any_lm), config_of(method)
    run = module_of(method).build(any_lm, config, [1])
    with torch.no_grad():
        for p in run.trainable_parameters():
            p += 0.05 * torch.randn(p.shape, generator=torch.Generator().manual_seed(len(p)))
    tuned = hidden_of(any_lm, run()).detach()
    assert (tuned - plain).abs().max() > 1e-2
    saved.save(tmp_path / "model", config, run.state(), identity)
    with torch.no_grad():
        for name, p in any_lm.model.named_parameters():
            p.copy_(before[name])
    same(hidden_of(any_lm), plain)
    same(hidden_of(any_lm, saved.load(tmp_path / "model", any_lm)), tuned)


def test_one_run_at_a_time(any_lm):
    for method in ("finetune", "ft_top2"):
        with pytest.raises(ValueError, match="one run only"):
            module_of(method).build(any_lm, config_of(method), [1, 2])


def test_a_method_that_does_not_fit_names_those_that_do(lm, seq2seq):
    check_fits("infix", lm.family, lm.name)
    with pytest.raises(UserError) as error:
        check_fits("infix", seq2seq.family, seq2seq.name)
    assert str(error.value) == (
        f"params.yaml: method infix is not for encoder-decoder models such as {seq2seq.name}; "
        "adapter, adapter_small, finetune, ft_top2, lora, none, prefix, prompt_projection, prompt_tuning are"
    )


def test_the_untuned_model(any_lm, hidden_of):
    method = none.build(any_lm, config_of("none"), [1])
    assert method.trainable_parameters() == [] and method.state() == {} and method() == Adaptation()
    torch.testing.assert_close(hidden_of(any_lm, none.load(any_lm, {})), hidden_of(any_lm), atol=0, rtol=0)


@pytest.fixture
def medium(tokenizer):
    """GPT-2 medium without weights."""
    with torch.device("meta"):
        model = GPT2LMHeadModel(GPT2Config(n_layer=24, n_embd=1024, n_head=16))
    return DecoderOnly(model.requires_grad_(False), tokenizer, "gpt2-medium")


def counts(method):
    """Parameters trained, and stored."""
    return sum(p.numel() for p in method.trainable_parameters()), sum(t.numel() for t in method.state().values())


def test_published_parameter_counts(medium):
    """Footnote 7 (250K, 500K), Table 1's 3% and 0.1%, and LoRA's 0.37M, 11.09M and 25.19M for the same systems."""
    assert counts(Prefix(medium, 5, 512, [0])) == (25_744_896, 245_760)
    assert counts(Prefix(medium, 10, 512, [0]))[1] == 491_520
    for bottleneck, expected in ((6, 368_784), (224, 11_089_152)):
        method = Adapters(medium, bottleneck, "lin", 0.02, [0])
        assert counts(method) == (expected, expected)
    method = LoRA(medium, 4, 32.0, layers_of(medium, None), [0])  # the paper's own 0.35M: Table 3 of Hu et al. 2021
    assert counts(method) == (393_216, 393_216)
    assert counts(ft_top2.build(medium, config_of("ft_top2"), [0])) == (25_194_496, 25_194_496)
    assert counts(InfixTuning(medium, 5, 512, [0])) == (25_750_016, 250_880)
    assert counts(EmbeddingOnly(medium, 5, 512, [0])) == (1_055_232, 5_120)


def test_counts_of_the_systems_that_followed(medium):
    """APT adds len * width + 1 a layer (methods C); a prompt of gpt2's, 100 vectors of 768, is projected to GPT-2 medium's."""
    gates = 24 * (1024 * 5 + 1)
    method = AdaptivePrefix(
        medium,
        Prefix(medium, 5, 512, [0]),
        5,
        apt.Options(token_gate="hidden", layer_gate=True, pooling="mean", gate_std=0.02),
    )
    assert counts(method) == (25_744_896 + gates, 245_760 + gates) == (25_867_800, 368_664)
    method = PromptProjection(medium, torch.zeros(100, 768), 100, 256, [0])
    assert counts(method) == (45_979_904, 46_082_304)


def test_counts_of_the_rest(medium, tokenizer):
    whole = sum(p.numel() for p in medium.model.parameters())
    assert counts(finetune.build(medium, config_of("finetune"), [0])) == (whole, whole) == (354_823_168, 354_823_168)
    with torch.device("cpu"):
        config = GPT2Config(vocab_size=3072, n_positions=64, n_embd=32, n_layer=3, n_head=4)
        tiny = DecoderOnly(GPT2LMHeadModel(config).requires_grad_(False).eval(), tokenizer, "tiny")
    assert counts(Prefix(tiny, 5, None, [0])) == (5 * 3 * 2 * 32,) * 2
    assert counts(EmbeddingOnly(tiny, 5, None, [0])) == (5 * 32,) * 2
    assert counts(InfixTuning(tiny, 5, None, [0])) == (5 * 32 + 5 * 3 * 2 * 32,) * 2
    assert counts(Prefix(tiny, 5, 7, [0, 1]))[0] == 2 * (5 * 32 + (32 * 7 + 7) + (7 + 1) * 3 * 2 * 32)
