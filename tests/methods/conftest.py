"""What the tests of methods share: adaptation by hand, and logits one text at a time."""

import pytest
import torch
from transformers import GPT2LMHeadModel

from bench.compatibility.vocabularies import begins
from stages.models.adaptation import Adaptation
from stages.models.batches import Batch, Example
from stages.models.decoder_only import DecoderOnly
from tests.conftest import ROOT, frozen, tiny_llama

EXAMPLES = [
    Example([5, 300, 700], [4, 8, 15, 16, 2]),
    Example([42, 7, 9, 11, 13, 900], [23, 2]),
    Example([7], [3, 1, 2]),
]


@pytest.fixture
def hidden_of():
    """Hidden states [tokens, width] at the targets of EXAMPLES, in one padded batch."""

    def compute(lm, adaptation=None, runs=(0, 0, 0)):
        return lm.target_hidden(Batch.of(EXAMPLES, list(runs), lm.device), adaptation or Adaptation())

    return compute


@pytest.fixture
def alone():
    """The same of one example in a batch of its own."""

    def compute(lm, number, adaptation=None, run=0):
        return lm.target_hidden(Batch.of([EXAMPLES[number]], [run], lm.device), adaptation or Adaptation())

    return compute


@pytest.fixture
def examples():
    return EXAMPLES


@pytest.fixture
def same():
    return lambda one, two: torch.testing.assert_close(one, two, atol=5e-5, rtol=1e-3)


@pytest.fixture(params=["mini-gpt2", "llama-gqa", "llama-gqa-begins"])
def reader(request, tokenizer) -> DecoderOnly:
    """In 64 bits, so that rounding is no difference; the last one's tokenizer begins every text with a token."""
    if request.param == "mini-gpt2":
        lm = DecoderOnly(frozen(GPT2LMHeadModel.from_pretrained(ROOT / "data/base/mini-gpt2")), tokenizer, "mini-gpt2")
    else:
        lm = tiny_llama(tokenizer if request.param == "llama-gqa" else begins())
    lm.compute_in(torch.float64)
    return lm
