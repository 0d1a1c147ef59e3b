"""T5's objectives: nothing of a text is lost, spans and sentinels stand as they should; batches and the loss."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from stages import params
from stages.pretrain import t5
from stages.pretrain.loss import IGNORED
from stages.pretrain.objectives import prefix_lm, span_corruption

ROOT = Path(__file__).parents[2]
SENTINELS = np.arange(5000, 5100)
SPANS = span_corruption(SENTINELS, 0.15, 3.0)
CHOSEN = params.load(ROOT / "params.yaml").span.model_copy(
    update={"width": 32, "layers": 2, "heads": 2, "feed_forward": 64}
)


def put_together(source, target):
    """The text again: each sentinel of the source replaced by what the target has behind it."""
    hidden, current = {}, None
    for token in target:
        if token >= 5000:
            current = hidden.setdefault(token, [])
        else:
            current.append(token)
    return [token for part in ([t] if t < 5000 else hidden[t] for t in source) for token in part]


TEXTS = st.lists(st.integers(1, 2000), min_size=2, max_size=400)


@given(TEXTS, st.integers(0, 2**32))
def test_spans_and_the_rest_make_the_text(ids, seed):
    source, target = SPANS(np.array(ids), np.random.default_rng(seed))
    assert put_together(source.tolist(), target.tolist()) == ids
    marks = [t for t in source if t >= 5000]
    assert marks == [t for t in target if t >= 5000] == list(range(5000, 5000 + len(marks)))
    assert source[0] < 5000 and source[-1] >= 5000 and target[0] == 5000
    hidden = sum(t < 5000 for t in target)
    assert hidden == min(max(round(0.15 * len(ids)), 1), len(ids) - 1)


def test_spans_have_three_tokens_on_average():
    rng = np.random.default_rng(0)
    counts = [(SPANS(np.arange(1, 401), rng)[0] >= 5000).sum() for _ in range(50)]
    assert set(counts) == {20}  # 60 tokens
    lengths = np.diff(np.flatnonzero(SPANS(np.arange(1, 401), rng)[1] >= 5000))
    assert len(set(lengths)) > 2


@given(TEXTS, st.integers(0, 2**32))
def test_a_text_is_cut_in_two(ids, seed):
    source, target = prefix_lm(np.array(ids), np.random.default_rng(seed))
    assert [*source, *target] == ids and len(source) and len(target)


def test_cuts_are_everywhere():
    rng = np.random.default_rng(0)
    assert {len(prefix_lm(np.arange(5), rng)[0]) for _ in range(100)} == {1, 2, 3, 4}


@pytest.fixture
def tokenizer(tmp_path) -> PreTrainedTokenizerFast:
    PreTrainedTokenizerFast.from_pretrained(ROOT / "data/base/mini-gpt2").save_pretrained(tmp_path / "tokenizer")
    return t5.tokenizer_of(tmp_path)


def test_the_tokenizer_closes_a_text_and_has_sentinels(tokenizer):
    ids = tokenizer("the old town")["input_ids"]
    assert (
        ids[-1] == tokenizer.eos_token_id and tokenizer.decode(ids, skip_special_tokens=True).strip() == "the old town"
    )
    assert len(set(t5.sentinels_of(tokenizer))) == 100 and tokenizer.bos_token is None
    again = tokenizer("<extra_id_0> town")["input_ids"]
    assert again[0] == t5.sentinels_of(tokenizer)[0]


def test_the_loss_is_transformers_own(tokenizer):
    torch.manual_seed(0)
    model = t5.build(CHOSEN, tokenizer).eval()
    objective = span_corruption(t5.sentinels_of(tokenizer), 0.15, 3.0)
    texts = [np.arange(10, 60), np.arange(100, 120)]
    ids, mask, decoder_ids, labels = t5.batch(texts, tokenizer, objective, [1, 2])
    assert ids.shape == mask.shape and decoder_ids.shape == labels.shape
    assert (decoder_ids[:, 0] == tokenizer.pad_token_id).all() and labels[1, -1] == IGNORED
    assert torch.equal(decoder_ids[0, 1:], labels[0, :-1])
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        theirs = model(input_ids=ids, attention_mask=mask, labels=labels).loss
        assert t5.loss_of(model, ids, mask, decoder_ids, labels).item() == pytest.approx(theirs.item(), rel=1e-2)
