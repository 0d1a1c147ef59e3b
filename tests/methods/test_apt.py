"""Adaptive Prefix Tuning: its gates against the equations written out, with none P-tuning v2, and through a file."""

from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F
from transformers.models.llama.modeling_llama import LlamaRMSNorm

from stages.core.errors import UserError
from stages.core.record import Record
from stages.decoding.beam import Search, search_sources
from stages.methods import apt, prefix
from stages.methods.apt import Options
from stages.methods.parts import saved
from stages.methods.parts.head import build
from stages.models.adaptation import ENCODER
from stages.models.attached import PREFIX
from stages.models.batches import Batch
from stages.models.encode import encode
from stages.models.gates import Gates, RecordingGate
from stages.models.identity import base_model_id
from stages.training.recompute import recompute
from tests.conftest import config_of

pytestmark = pytest.mark.usefixtures("project")  # token ids go to .scratch of the current directory

ON = Options(token_gate="hidden", layer_gate=True, pooling="mean", gate_std=0.02)
OFF = Options(token_gate=False, layer_gate=False, pooling="mean", gate_std=0.02)
FREE = Options(token_gate="free", layer_gate=True, pooling="mean", gate_std=0.02)
FIRST = Options(token_gate="hidden", layer_gate=False, pooling="first", gate_std=0.02)
RECORDS = [
    Record("0", " a hotel near the river", ["yes"], parts=[["a hotel near the river"]]),
    Record("1", " the price is low", ["no"], parts=[["the price is low", "it is cheap indeed"]]),
]


def method_of(lm, options, seeds=(1,), length=4):
    return apt.AdaptivePrefix(lm, prefix.Prefix(lm, length, None, list(seeds)), length, options)


def moved(method):
    """As if it had been trained: no gate is what it starts from."""
    torch.manual_seed(5)
    with torch.no_grad():
        for gate in method.gates.values():
            gate.add_(torch.randn_like(gate))
    return method


def apt_config(model="minilm", task="rte", **options):
    return config_of("apt", model, task, prefix_len=4, methods={"prefix": {"mlp": False}, "apt": options})


def headed(lm, config, seeds=(1,)):
    torch.manual_seed(0)
    return build(lm, config, list(seeds))


def scores(lm, adaptation, records=RECORDS, runs=None):
    batch = Batch.of(list(encode(lm, records, None, None)), runs or [0] * len(records), lm.device)
    return lm.target_hidden(batch, adaptation)


@torch.no_grad()
def test_with_both_gates_off_it_is_p_tuning_v2(encoder):
    """The prefix without the MLP: the same run from the same seed, the same scores."""
    adaptive = headed(encoder, apt_config(**OFF.model_dump()))
    plain = headed(encoder, config_of("prefix", "minilm", "rte", prefix_len=4))
    assert adaptive().gate is None
    assert all(torch.equal(adaptive.state()[name], tensor) for name, tensor in plain.state().items())
    torch.testing.assert_close(scores(encoder, adaptive()), scores(encoder, plain()), atol=1e-6, rtol=0)


@torch.no_grad()
def test_of_a_decoder_too(lm):
    plain, adaptive = prefix.Prefix(lm, 4, None, [1]), method_of(lm, OFF)
    torch.testing.assert_close(scores(lm, adaptive()), scores(lm, plain()), atol=1e-6, rtol=0)


@torch.no_grad()
def test_gates_of_one_change_nothing(encoder):
    """lambda 1 and a sigmoid of 1: the scores of the prefix alone, to 1e-6."""
    run = headed(encoder, apt_config())
    run.method.gates["token"].zero_()
    run.method.gates["layer"].fill_(2.0)  # sigmoid(0) is a half
    adaptation = run()
    torch.testing.assert_close(
        scores(encoder, adaptation), scores(encoder, replace(adaptation, gate=None)), atol=1e-6, rtol=1e-6
    )


@torch.no_grad()
@pytest.mark.parametrize("options", [ON, FREE, FIRST], ids=["hidden", "free", "first"])
def test_factors_are_those_of_the_equations(encoder, options):
    """lambda_i * sigmoid(h_{i-1} W_i), h as transformers gives it, of each text alone."""
    run = headed(encoder, apt_config(**options.model_dump()))
    moved(run.method)
    adaptation, seen = run(), []
    scores(encoder, replace(adaptation, gate=RecordingGate(adaptation.gate, seen)))
    assert [layer for layer, _ in seen] == [0, 1, 2]
    hidden, gate = [], adaptation.gate
    hooks = [block.register_forward_pre_hook(lambda _m, a: hidden.append(a[0])) for block in encoder.blocks()]
    for row, record in enumerate(RECORDS):
        hidden.clear()
        [example] = encode(encoder, [record], None, None)
        encoder.read([example.source[1:]], adaptation, torch.zeros(1, dtype=torch.long))
        for layer, factors in seen:
            h = hidden[layer][0, : len(example.source) - 1]
            expected = torch.ones(4)
            if gate.token is not None:
                expected = torch.sigmoid((h[0] if options is FIRST else h.mean(0)) @ gate.token[0, layer])
            if gate.free is not None:
                expected = torch.sigmoid(gate.free[0, layer])
            if gate.layer is not None:
                expected = expected * gate.layer[0, layer]
            torch.testing.assert_close(factors[row], expected, atol=1e-4, rtol=1e-4)
    for hook in hooks:
        hook.remove()


@torch.no_grad()
def test_keys_and_values_are_multiplied(encoder):
    run, held = headed(encoder, apt_config()), []
    moved(run.method)
    adaptation, seen = run(), []
    module = encoder.sites[ENCODER][1]
    hook = module.register_forward_pre_hook(lambda m, _a: held.append(m.__dict__[PREFIX][0]))
    scores(encoder, replace(adaptation, gate=RecordingGate(adaptation.gate, seen)))
    hook.remove()
    wanted = adaptation.prefixes[ENCODER][:, 1] * seen[1][1][:, None, None, :, None]
    torch.testing.assert_close(held[0], wanted)


@torch.no_grad()
def test_rows_take_the_gates_of_their_run(encoder):
    run = headed(encoder, apt_config(), seeds=(1, 2))
    moved(run.method)
    together = scores(encoder, run(), runs=[1, 0])
    for row, number in enumerate((1, 0)):
        alone = scores(encoder, run().of(number), RECORDS[row : row + 1])
        torch.testing.assert_close(together[row : row + 1], alone, atol=1e-5, rtol=1e-5)


def check_gradients(model, options, monkeypatch):
    """Central differences of the loss against the gradients of some numbers of each gate, all of it in fp64."""
    # The norms of Llama and of DeBERTa's first version compute in fp32 whatever the weights.
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)
    monkeypatch.setattr(
        LlamaRMSNorm, "forward", lambda norm, x: F.rms_norm(x, x.shape[-1:], norm.weight, norm.variance_epsilon)
    )
    step = 1e-5
    model.model.double()
    config = apt_config("minilm" if model.family == "encoder" else "mini-gpt2", **options.model_dump())
    run = headed(model, config).double()
    with torch.no_grad():
        # An encoder's prefix and head are so small at the start that its gates move nothing.
        for parameter in run.parameters():
            parameter.mul_(50 if model.family == "encoder" else 1)
    gates = moved(getattr(run, "method", run)).gates
    batch = Batch.of(list(encode(model, RECORDS, None, None)), [0] * len(RECORDS), model.device)

    def loss():
        return F.cross_entropy(model.logits(model.target_hidden(batch, run())), batch.labels, reduction="sum")

    loss().backward()
    for name, gate in gates.items():
        flat, gradient, largest = gate.data.view(-1), gate.grad.view(-1), 0.0
        for index in (0, len(flat) // 2, len(flat) - 1):
            kept, values = flat[index].item(), []
            for change in (step, -step):
                flat[index] = kept + change
                with torch.no_grad():
                    values.append(loss().item())
            flat[index] = kept
            expected = (values[0] - values[1]) / (2 * step)
            assert gradient[index].item() == pytest.approx(expected, rel=1e-5, abs=1e-8), (name, index)
            largest = max(largest, abs(expected))
        assert largest > 1e-6, f"{name}: gradients of zero would pass"


@pytest.mark.parametrize("options", [ON, FREE], ids=["hidden", "free"])
def test_gradients_of_an_encoders_gates_are_those_of_finite_differences(encoder, options, monkeypatch):
    check_gradients(encoder, options, monkeypatch)


@pytest.mark.parametrize("options", [ON, FREE], ids=["hidden", "free"])
def test_gradients_of_a_decoders_gates_are_those_of_finite_differences(lm, options, monkeypatch):
    check_gradients(lm, options, monkeypatch)


@torch.no_grad()
def test_a_decoders_gates_are_of_the_source_alone(lm):
    """Another target changes no factor; in a beam search they are those of training."""
    method = moved(method_of(lm, ON))
    adaptation = method()
    found = []
    for target in ("yes", "no , it is not"):
        seen = []
        records = [replace(record, targets=[target]) for record in RECORDS]
        scores(lm, replace(adaptation, gate=RecordingGate(adaptation.gate, seen)), records)
        found.append(torch.stack([factors for _, factors in seen]))
    torch.testing.assert_close(*found, atol=1e-5, rtol=1e-5)
    seen = []
    sources = [example.source for example in encode(lm, RECORDS, None, None)]
    watched = replace(adaptation, gate=RecordingGate(adaptation.gate, seen))
    list(search_sources(lm, watched, [0, 0], sources, Search(2, 1.0, 4, lm.end), 2))
    assert len(seen) == 3  # once a layer, not at each step
    torch.testing.assert_close(torch.stack([factors for _, factors in seen]), found[0], atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_a_decoder_writes_what_training_says_is_likeliest(lm):
    """Greedy tokens of the search are those that the training's hidden states predict, step by step."""
    adaptation = moved(method_of(lm, ON))()
    [example] = encode(lm, RECORDS[:1], None, None)
    [(_, written)] = search_sources(lm, adaptation, [0], [example.source], Search(1, 1.0, 6, lm.end), 1)
    for length in range(1, len(written) + 1):
        target = replace(example, target=[*written[: length - 1], lm.end])
        hidden = lm.target_hidden(Batch.of([target], [0], lm.device), adaptation)
        assert lm.logits(hidden[-1]).argmax().item() == written[length - 1]


@pytest.mark.parametrize("options", [ON, OFF, FREE, FIRST], ids=["hidden", "off", "free", "first"])
def test_a_saved_run_is_the_run(encoder, project, options):
    config = apt_config(**options.model_dump())
    run = headed(encoder, config)
    moved(run.method)
    with torch.no_grad():
        run.weight.normal_()
        saved.save(project / "model", config, run.state(), base_model_id(encoder), encoder.labels)
        before, labels = scores(encoder, run()), encoder.labels
        encoder.labels = []
        loaded = saved.load(project / "model", encoder)
        assert encoder.labels == labels
        assert torch.equal(scores(encoder, loaded), before)
        assert isinstance(loaded.gate, Gates) or options is OFF


def test_an_encoder_decoder_has_no_such_gates(seq2seq):
    with pytest.raises(UserError, match="method apt is not for encoder-decoder models"):
        build(seq2seq, apt_config("mini-bart"), [1])


def gradients_of(model, recomputed):
    run = headed(model, apt_config("minilm" if model.family == "encoder" else "mini-gpt2"))
    gates = moved(getattr(run, "method", run)).gates
    if recomputed:
        recompute(model.blocks())
    batch = Batch.of(list(encode(model, RECORDS, None, None)), [0] * len(RECORDS), model.device)
    F.cross_entropy(model.logits(model.target_hidden(batch, run())), batch.labels).backward()
    return {name: gate.grad for name, gate in gates.items()}


def test_activation_checkpointing_changes_no_gradient_of_an_encoders_gates(encoder):
    kept = gradients_of(encoder, recomputed=False)
    again = gradients_of(encoder, recomputed=True)
    assert all(torch.allclose(kept[name], again[name], atol=1e-6) and kept[name].any() for name in kept)


def test_nor_of_a_decoders(lm):
    kept, again = gradients_of(lm, False), gradients_of(lm, True)
    assert all(torch.allclose(kept[name], again[name], atol=1e-6) and kept[name].any() for name in kept)


def test_the_first_token_of_a_causal_model_is_no_gate(lm):
    """It sees nothing of the text: the gate would be the same for all."""
    for gate in ("free", False):
        build(lm, apt_config("mini-gpt2", "mini_rte", token_gate=gate, pooling="first"), [1])
    with pytest.raises(
        UserError, match=r"methods\.apt\.pooling is first, but the first token of .* sees nothing of the text"
    ):
        build(lm, apt_config("mini-gpt2", "mini_rte", pooling="first"), [1])
