"""What a prefix starts from: worked examples of the run's own training data, or values of zero."""

from dataclasses import replace

import pytest
import torch
from peft import PrefixTuningConfig, TaskType, get_peft_model

from stages.core.errors import UserError
from stages.core.record import Record
from stages.methods.parts.head import build
from stages.methods.parts.worked_examples import last_ids, worked_examples
from stages.models.adaptation import Adaptation
from stages.models.batches import Batch, Example
from stages.models.encode import Examples, encode
from stages.models.encoder import Encoder
from stages.training import loop as engine
from stages.training.checkpoint import Checkpoint
from stages.training.loop import train
from tests.conftest import bare_encoder, config_of, tiny_bart
from tests.training.conftest import TRAINING

RECORDS = [
    Record(str(i), f"name : {name} | area : {area}", [f"{name} is near the {area}.", f"Go to {name}."])
    for i, (name, area) in enumerate([("Oak", "park"), ("Mill", "river"), ("Sea", "town"), ("Old House", "hotel")])
]


@pytest.fixture
def sample(reader, project) -> Examples:
    return encode(reader, RECORDS, None, None)


def prefix_of(lm, seeds, method="prefix", length=30, **options):
    options = {"mlp": False, "mlp_width": 8, "init": "examples"} | options
    return build(lm, config_of(method, prefix_len=length, methods={"prefix": options}), seeds)


def logits_after(lm, adaptation, example):
    with torch.no_grad():
        return lm.logits(lm.target_hidden(Batch.of([example], [0], lm.device), adaptation))


def logits_of_text(lm, ids, example):
    """The model's own, for ids between the begin token and the source."""
    first = len(lm.begin)
    with torch.no_grad(), lm.own_attention():
        return lm.own_logits(Example([*lm.begin, *ids, *example.source[first:]], example.target))


def test_worked_examples_are_encoded_as_in_training(reader, sample):
    found = list(worked_examples(reader, sample, 1))
    assert len(found) == len(sample) == 8 and found != list(worked_examples(reader, sample, 2))
    plain = [
        reader.tokens([reader.space + record.source], add_special_tokens=False)[0]
        + [reader.separator]
        + reader.tokens([target], add_special_tokens=False)[0]
        + [reader.end]
        for record in RECORDS
        for target in record.targets
    ]
    assert sorted(found) == sorted(plain)


def test_the_first_examples_lose_their_beginning(reader, sample):
    first, second = list(worked_examples(reader, sample, 1))[:2]
    assert last_ids(reader, sample, 1, len(first)) == first
    assert last_ids(reader, sample, 1, len(first) - 2) == first[2:]
    assert last_ids(reader, sample, 1, len(first) + 1) == [*first, *second][-len(first) - 1 :]


@pytest.mark.parametrize("method", ["prefix", "embedding_only"])
def test_without_training_it_is_as_if_the_examples_stood_before_the_text(reader, sample, method):
    started = prefix_of(reader, [1], method)
    started.init_from_data([sample])
    ids, example = last_ids(reader, sample, 1, 30), sample[0]
    found, expected = logits_after(reader, started(), example), logits_of_text(reader, ids, example)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    assert (found - logits_after(reader, Adaptation(), example)).abs().max() > 0.1


def test_apt_with_open_gates_starts_likewise(reader, sample):
    options = {"prefix": {"mlp": False, "init": "examples"}, "apt": {"token_gate": False, "layer_gate": True}}
    gated = build(reader, config_of("apt", prefix_len=30, methods=options), [1])
    gated.init_from_data([sample])
    expected = logits_of_text(reader, last_ids(reader, sample, 1, 30), sample[0])
    torch.testing.assert_close(logits_after(reader, gated(), sample[0]), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("method", ["prefix", "embedding_only"])
@pytest.mark.parametrize("mlp", [True, False])
def test_a_run_starts_from_its_own_examples_alone(lm, project, method, mlp):
    samples = {seed: encode(lm, RECORDS[seed:], None, None) for seed in (1, 2)}
    together, at_random = (prefix_of(lm, [1, 2], method, mlp=mlp, init=init) for init in ("examples", "random"))
    together.init_from_data(samples.values())
    for run, seed in enumerate(samples):
        alone = prefix_of(lm, [seed], method, mlp=mlp)
        alone.init_from_data([samples[seed]])
        for name, tensor in alone.state().items():
            found = together.state()[name][run]
            torch.testing.assert_close(found, tensor[0], atol=1e-5 if mlp else 0, rtol=0)
            assert (found - at_random.state()[name][run]).abs().max() > 0.01


def test_an_mlp_is_fitted_to_the_examples(lm, project):
    sample = encode(lm, RECORDS, None, None)
    expected = lm.activations(last_ids(lm, sample, 1, 30))["decoder"]
    distances = []
    for method in (
        prefix_of(lm, [1], mlp=True, mlp_width=64),
        prefix_of(lm, [1], mlp=True, mlp_width=64, init="random"),
    ):
        method.init_from_data([sample])
        distances.append((method.state()["decoder"][0] - expected).square().mean())
    assert distances[0] < 0.9 * distances[1]


@pytest.mark.parametrize("mlp", [pytest.param(True, marks=pytest.mark.slow), False])
def test_training_that_was_interrupted_becomes_what_it_becomes_without(lm, project, monkeypatch, mlp):
    sample = encode(lm, RECORDS, None, None)
    training = replace(TRAINING, steps=4, lr=1e-3)

    def trained(name):
        method = prefix_of(lm, [1], mlp=mlp, length=9)
        method.init_from_data([sample])
        return train(lm, method, [sample], [sample], training, Checkpoint(project / name / "checkpoint.safetensors"))[0]

    expected = trained("straight")
    monkeypatch.setattr(engine, "CHECKPOINT_SECONDS", -1)
    monkeypatch.setattr(engine, "CHECKPOINT_SHARE", float("inf"))
    steps = []

    def killed(*given):
        steps.append(None)
        if len(steps) == 3:
            raise KeyboardInterrupt
        return backward(*given)

    backward = engine.backward
    monkeypatch.setattr(engine, "backward", killed)
    with pytest.raises(KeyboardInterrupt):
        trained("killed")
    found = trained("killed")
    assert len(steps) == 5, "two steps were kept"
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


def test_too_few_examples_are_named(lm, project):
    sample = encode(lm, RECORDS[:1], None, None)
    tokens = sum(len(ids) for ids in worked_examples(lm, sample, 1))
    prefix_of(lm, [1], length=tokens).init_from_data([sample])
    with pytest.raises(UserError) as error:
        prefix_of(lm, [1], length=tokens + 1).init_from_data([sample])
    assert str(error.value) == (
        "params.yaml: methods.prefix.init is examples, but the 2 training examples of the run have "
        f"{tokens} tokens: prefix_len is {tokens + 1}, and can be {tokens} at most"
    )


def test_a_model_that_reads_no_examples_is_refused(bart_tokenizer):
    with pytest.raises(UserError) as error:
        prefix_of(tiny_bart(bart_tokenizer), [1])
    assert str(error.value) == (
        "params.yaml: methods.prefix.init is examples, but tiny-bart is no decoder-only model: set random, words or zero"
    )


@pytest.mark.parametrize("init", ["examples", "zero"])
def test_an_infix_starts_from_random_numbers_or_words(lm, init):
    with pytest.raises(UserError) as error:
        prefix_of(lm, [1], "infix", init=init)
    assert str(error.value) == (
        f"params.yaml: methods.prefix.init is {init}, but infix starts from random or words: set one"
    )


def test_an_encoders_head_hands_the_examples_on(encoder, project):
    given = []
    headed = build(encoder, config_of("linear_probe", "minilm", "mini_rte"), [1])
    headed.method.init_from_data = given.append
    headed.init_from_data(["sample"])
    assert given == [["sample"]]


@pytest.mark.parametrize("mlp", [True, False])
def test_values_start_from_zero_and_keys_at_random(any_lm, hidden_of, mlp):
    zero, random = (prefix_of(any_lm, [1, 2], length=4, mlp=mlp, init=init) for init in ("zero", "random"))
    hidden_of(any_lm, zero(), (0, 1, 0)).square().sum().backward()
    assert all((p.grad != 0).any() for p in zero.trainable_parameters())
    for site, prefix in zero.state().items():
        assert torch.equal(prefix[:, :, 0], random.state()[site][:, :, 0])
        assert not prefix[:, :, 1].any() and random.state()[site][:, :, 1].all()


def test_random_keys_set_the_positions_apart(lm, hidden_of):
    """PEFT's start, keys of zero too, gives all positions one gradient."""
    apart = []
    for keys_too in (False, True):
        method = prefix_of(lm, [1], length=4, init="zero")
        matrix = method.encoders["decoder"].matrix
        if keys_too:
            torch.nn.init.zeros_(matrix)
        hidden_of(lm, method()).square().sum().backward()
        apart.append((matrix.grad[0] - matrix.grad[0, :1]).abs().max() / matrix.grad.abs().max())
    assert apart[0] > 0.1 and apart[1] < 1e-5
    config = PrefixTuningConfig(task_type=TaskType.CAUSAL_LM, num_virtual_tokens=4, init_weights="zero")
    assert not get_peft_model(lm.model, config).prompt_encoder["default"].embedding.weight.any()


@pytest.mark.parametrize("mlp", [True, False])
def test_embeddings_start_from_zero(lm, hidden_of, mlp):
    method = prefix_of(lm, [1, 2], "embedding_only", length=4, mlp=mlp, init="zero")
    assert not method.state()["embeddings"].any()
    hidden_of(lm, method(), (0, 1, 0)).square().sum().backward()
    assert any((p.grad != 0).any() for p in method.trainable_parameters())


def test_an_encoders_prefix_starts_from_values_of_zero(word_pieces):
    lm = Encoder(bare_encoder("bert", len(word_pieces)), word_pieces, "tiny-bert")
    lm.labels = ["no", "yes"]
    options = {"prefix": {"mlp": False, "init": "zero"}}
    state = build(lm, config_of("prefix", "minilm", "mini_rte", prefix_len=4, methods=options), [1]).state()
    assert state["encoder"][:, :, 0].all() and not state["encoder"][:, :, 1].any()
