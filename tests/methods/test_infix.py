"""The infix against a stepwise reference; it changes only what follows it."""

import pytest
import torch
from transformers import DynamicCache

from stages.decoding.beam import Search, search_sources
from stages.methods import infix
from stages.methods.infix import InfixTuning
from stages.models.adaptation import Adaptation, Infix
from tests.conftest import config_of


def stepwise(lm, adaptation, example):
    """One token at a time: the source, each vector, offsets added at the end, then separator and target."""
    infix, cache, position = adaptation.infix, DynamicCache(), 0

    def read(**inputs):
        nonlocal position
        out = lm.model.base_model(
            **inputs, past_key_values=cache, position_ids=torch.tensor([[position]]), use_cache=True
        ).last_hidden_state[0]
        position += 1
        return out

    for token in example.source:
        read(input_ids=torch.tensor([[token]]))
    for vector in infix.embeddings[0]:
        read(inputs_embeds=vector[None, None])
    for layer, (keys, values) in zip(cache.layers, infix.offsets[0], strict=True):
        layer.keys[0, :, len(example.source) :] += keys
        layer.values[0, :, len(example.source) :] += values
    return torch.cat([read(input_ids=torch.tensor([[t]])) for t in [lm.separator, *example.target[:-1]]])


@pytest.mark.parametrize("number", range(3))
def test_equals_a_stepwise_reference(lm, alone, number, same, examples):
    with torch.no_grad():
        adaptation = InfixTuning(lm, 4, 8, [1])()
        same(alone(lm, number, adaptation), stepwise(lm, adaptation, examples[number]))


def test_padding_changes_nothing(lm, hidden_of, alone, same):
    adaptation = InfixTuning(lm, 4, 8, [1, 2])()
    rows = [alone(lm, i, adaptation, run) for i, run in enumerate((0, 1, 0))]
    same(hidden_of(lm, adaptation, runs=(0, 1, 0)), torch.cat(rows))


def test_changes_only_what_follows_it(lm, examples):
    """Keys and values of the source are bit for bit those without an infix; those behind it are not."""
    adaptation, runs = InfixTuning(lm, 4, 8, [1])(), torch.zeros(1, dtype=torch.long)
    source = examples[1].source
    with torch.no_grad():
        moved = Adaptation(infix=Infix(adaptation.infix.embeddings + 1, adaptation.infix.offsets - 1))
        (_, one), (_, two) = (lm.past([source], each, runs) for each in (adaptation, moved))
    assert one.following.tolist() == [len(source) + 4] and one.visible.sum() == len(source) + 4
    assert torch.equal(one.keys_values[..., : len(source), :], two.keys_values[..., : len(source), :])
    behind = one.keys_values[..., -4:, :] != two.keys_values[..., -4:, :]
    assert behind.flatten(2).any(2).all(), "in every layer"


def test_decodes_as_it_trains(lm, examples):
    """The greedy path has the log-probabilities that training sees."""
    adaptation = InfixTuning(lm, 4, 8, [1])()
    search = Search(1, 1.0, 6, 3071)
    together = dict(search_sources(lm, adaptation, [0, 0, 0], [e.source for e in examples], search, 2))
    for number, example in enumerate(examples):
        ids = []
        for _ in range(6):
            step = type(example)(example.source, [*ids, 0])
            ids.append(lm.logits(stepwise(lm, adaptation, step)[-1]).argmax().item())
        assert together[number] == ids


def test_starts_as_if_the_words_stood_there(lm):
    options = {"prefix": {"mlp": False, "init": "words", "init_words": "name of the place"}}
    method = infix.build(lm, config_of("infix", prefix_len=4, methods=options), [1])
    ids = lm.tokenizer(" name of the place", add_special_tokens=False)["input_ids"]
    stored = method.state()
    assert torch.equal(stored["embeddings"][0], lm.embed(ids)) and not stored["offsets"].any()


def test_every_parameter_learns(lm, hidden_of):
    method = InfixTuning(lm, 4, 8, [1])
    hidden_of(lm, method()).square().sum().backward()
    assert all((p.grad != 0).any() for p in method.trainable_parameters())
