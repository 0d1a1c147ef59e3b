"""BART's noise: what is masked, what is moved, and that nothing else happens. Batches, their masks, the loss."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F
from transformers import PreTrainedTokenizerFast

from stages import params
from stages.core.errors import UserError
from stages.pretrain import denoise
from stages.pretrain.loss import IGNORED
from stages.pretrain.noise import Noise

ROOT = Path(__file__).parents[2]
TOKENIZER = PreTrainedTokenizerFast.from_pretrained(ROOT / "data/base/mini-bart")
NOISE = Noise(TOKENIZER, 0.3, 0.3)
STOP, NEWLINE, CLOSING = TOKENIZER.convert_tokens_to_ids([".", "Ċ", "<|endoftext|>"])
MASK = TOKENIZER.mask_token_id
CHOSEN = params.load(ROOT / "params.yaml").denoise.model_copy(
    update={"width": 32, "layers": 2, "heads": 2, "positions": 64, "step_tokens": 128, "documents": 40}
)


def is_subsequence(part, whole):
    rest = iter(whole)
    return all(token in rest for token in part)


@given(st.lists(st.integers(20, 2000), max_size=300), st.integers(0, 2**32))
def test_masks_replace_spans(ids, seed):
    damaged = NOISE.masked(np.array(ids, dtype=np.int64), np.random.default_rng(seed)).tolist()
    kept = [token for token in damaged if token != MASK]
    assert is_subsequence(kept, ids) and len(ids) - len(kept) == round(0.3 * len(ids))
    assert not any(a == b == MASK for a, b in itertools.pairwise(damaged)), "masks never touch"
    assert (MASK in damaged) == (len(ids) > 1) and damaged[:1] != [MASK]


def test_spans_are_three_tokens_on_average():
    rng, ids = np.random.default_rng(0), np.arange(20, 420)
    masks = [(NOISE.masked(ids, rng) == MASK).sum() for _ in range(200)]
    assert 2.6 < 0.3 * len(ids) / np.mean(masks) < 3.4


@given(st.lists(st.lists(st.sampled_from([30, 40, 50]), max_size=5), min_size=1, max_size=12), st.integers(0, 2**32))
def test_sentences_are_moved_whole(sentences, seed):
    closed = [[*sentence, STOP] for sentence in sentences]
    ids = np.array([token for sentence in closed for token in sentence])
    moved = NOISE.shuffled(ids, np.random.default_rng(seed)).tolist()
    cuts = [0, *(i + 1 for i, token in enumerate(moved) if token == STOP)]
    assert sorted(moved[a:b] for a, b in itertools.pairwise(cuts)) == sorted(closed)


def test_half_of_the_texts_are_shuffled():
    ids, rng = np.array([30, STOP, 31, STOP, 32, STOP, 33, STOP, 34, STOP]), np.random.default_rng(0)
    noise = Noise(TOKENIZER, 0.01, 0.0)  # of ten tokens none is masked
    moved = [noise.damage(ids, rng).tolist() != ids.tolist() for _ in range(2000)]
    assert abs(np.mean(moved) - 0.5 * (1 - 1 / 120)) < 0.04


def losses_of_a_line(ids):
    """Every text that comes of `ids` by the loss of a line."""
    rng = np.random.default_rng(0)
    return {tuple(NOISE.without_lines(np.array(ids), rng).tolist()) for _ in range(60)}


def test_one_line_is_masked_whole():
    found = losses_of_a_line([30, 31, NEWLINE, 40, NEWLINE, 50, 51, 52])
    assert found == {
        (MASK, NEWLINE, 40, NEWLINE, 50, 51, 52),
        (30, 31, NEWLINE, MASK, NEWLINE, 50, 51, 52),
        (30, 31, NEWLINE, 40, NEWLINE, MASK),
    }


@pytest.mark.parametrize("ids", [[30, 31], [30, CLOSING, 31], [30, NEWLINE], [NEWLINE], [30, NEWLINE, CLOSING, 40]])
def test_a_line_alone_stays(ids):
    assert losses_of_a_line(ids) == {tuple(ids)}


def test_lines_are_those_of_documents_with_others():
    found = losses_of_a_line([30, CLOSING, 40, NEWLINE, NEWLINE, 41, CLOSING, 50])
    assert found == {
        (30, CLOSING, MASK, NEWLINE, NEWLINE, 41, CLOSING, 50),
        (30, CLOSING, 40, NEWLINE, NEWLINE, MASK, CLOSING, 50),
    }


def test_as_many_texts_lose_a_line_as_asked():
    """Spans mask no first token; a first line of one token is masked by the loss of a line only."""
    ids, rng = np.array([30, NEWLINE, *range(40, 60)]), np.random.default_rng(0)
    always, never, some = (Noise(TOKENIZER, 0.3, share) for share in (1.0, 0.0, 0.3))

    def share(noise):
        return np.mean([noise.damage(ids, rng)[0] == MASK for _ in range(2000)])

    assert abs(share(always) - 0.5) < 0.05 and share(never) == 0 and abs(share(some) - 0.15) < 0.03


def test_a_batch_restores_the_whole_texts():
    texts = [np.arange(20, 62, dtype=np.uint16), np.arange(62, 92, dtype=np.uint16)]
    ids, mask, before, labels = denoise.batch(texts, TOKENIZER, NOISE, [1, 2])
    start, end, pad = TOKENIZER.bos_token_id, TOKENIZER.eos_token_id, TOKENIZER.pad_token_id
    assert labels.tolist() == [[start, *range(20, 62), end], [start, *range(62, 92), end, *12 * [IGNORED]]]
    assert before.tolist() == [[end, start, *range(20, 62)], [end, start, *range(62, 92), *12 * [pad]]]
    assert (ids[:, 0] == start).all() and torch.equal(ids != pad, mask.bool())
    for row, length in zip(ids.tolist(), mask.sum(1).tolist(), strict=True):
        assert row[length - 1] == end and set(row[length:]) <= {pad} and MASK in row
    again = denoise.batch(texts, TOKENIZER, NOISE, [1, 2])
    assert all(torch.equal(one, two) for one, two in zip((ids, mask, before, labels), again, strict=True))


def test_the_loss_is_of_the_labels_and_padding_moves_nothing():
    model = denoise.build(CHOSEN, TOKENIZER).eval()
    texts = [np.arange(20, 62, dtype=np.uint16), np.arange(62, 92, dtype=np.uint16)]
    ids, mask, before, labels = denoise.batch(texts, TOKENIZER, NOISE, [0])
    with torch.no_grad():
        found = denoise.loss_of(model, ids, mask, before, labels).item()
        losses = []
        for row, seen, previous, wanted in zip(ids, mask.bool(), before, labels, strict=True):
            known = wanted != IGNORED
            logits = model(input_ids=row[seen][None], decoder_input_ids=previous[known][None]).logits[0]
            losses.append(F.cross_entropy(logits, wanted[known], reduction="none"))
    assert abs(found - torch.cat(losses).mean().item()) < 0.02


def test_every_document_is_read_once(tmp_path):
    tokens = np.concatenate([[*range(20 + i, 30 + 2 * i), CLOSING] for i in range(50)]).astype(np.uint16)
    steps = denoise.steps_of(tokens, CLOSING, CHOSEN)
    read = sorted(tuple(row) for step in steps for row in step.tolist())
    assert read[0][0] == 0 and read[-1][1] == np.flatnonzero(tokens == CLOSING)[39]
    assert max(end - begin for begin, end in read) <= 62
    with pytest.raises(UserError, match=r"denoise.documents asks for more than the corpus's 50 documents"):
        denoise.steps_of(tokens, CLOSING, CHOSEN.model_copy(update={"documents": 51}))
