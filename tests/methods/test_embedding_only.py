"""Embedding-only equals feeding the vectors in front of the words."""

import pytest
import torch

from stages.methods import embedding_only
from stages.methods.embedding_only import EmbeddingOnly
from tests.conftest import config_of


@pytest.mark.parametrize("number", range(3))
def test_equals_feeding_embeddings(lm, alone, number, same, examples):
    method = EmbeddingOnly(lm, 4, 8, [1, 2])
    vectors = method.state()["embeddings"]
    example = examples[number]
    text = [*example.source, lm.separator, *example.target[:-1]]
    inputs = torch.cat([vectors[1], lm.embed(text)])[None]
    whole = lm.model.base_model(inputs_embeds=inputs).last_hidden_state[0]
    same(alone(lm, number, method(), run=1), whole[4 + len(example.source) :])
    same(alone(lm, number, embedding_only.load(lm, {"embeddings": vectors}), run=1), whole[4 + len(example.source) :])


def test_padding_changes_nothing(lm, hidden_of, alone, same):
    adaptation = EmbeddingOnly(lm, 4, None, [1])()
    same(hidden_of(lm, adaptation), torch.cat([alone(lm, i, adaptation) for i in range(3)]))


def test_starts_from_words_as_if_they_were_there(lm):
    options = {"prefix": {"mlp": False, "init": "words", "init_words": "name of the place"}}
    method = embedding_only.build(lm, config_of("embedding_only", prefix_len=4, methods=options), [1])
    ids = lm.tokenizer(" name of the place", add_special_tokens=False)["input_ids"]
    assert torch.equal(method.state()["embeddings"][0], lm.embed(ids))


def test_every_parameter_learns(lm, hidden_of):
    method = EmbeddingOnly(lm, 4, 8, [1])
    hidden_of(lm, method()).square().sum().backward()
    assert all((p.grad != 0).any() for p in method.trainable_parameters())
