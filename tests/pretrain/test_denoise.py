"""BART's noise: what is masked, what is moved, and that nothing else happens. The primed copying heads."""

import itertools
from pathlib import Path

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from stages import params
from stages.pretrain import denoise

ROOT = Path(__file__).parents[2]
TOKENIZER = PreTrainedTokenizerFast.from_pretrained(ROOT / "data/base/mini-bart")
NOISE = denoise.Noise(TOKENIZER, 0.3)
STOP = TOKENIZER.convert_tokens_to_ids(".")


def is_subsequence(part, whole):
    rest = iter(whole)
    return all(token in rest for token in part)


@given(st.lists(st.integers(20, 2000), min_size=10, max_size=300), st.integers(0, 2**32))
def test_masks_replace_spans(ids, seed):
    damaged = NOISE._masked(ids, np.random.default_rng(seed))
    kept = [token for token in damaged if token != NOISE.mask]
    assert is_subsequence(kept, ids) and len(ids) - len(kept) == round(0.3 * len(ids))
    assert not any(a == b == NOISE.mask for a, b in itertools.pairwise(damaged)), "masks never touch"
    assert damaged[0] != NOISE.mask


def test_spans_are_three_tokens_on_average():
    rng, ids = np.random.default_rng(0), list(range(20, 420))
    masks = [NOISE._masked(ids, rng).count(NOISE.mask) for _ in range(200)]
    assert 2.6 < 0.3 * len(ids) / np.mean(masks) < 3.4


@given(st.lists(st.lists(st.sampled_from([30, 40, 50]), max_size=5), min_size=1, max_size=12), st.integers(0, 2**32))
def test_sentences_are_moved_whole(sentences, seed):
    closed = [[*sentence, STOP] for sentence in sentences]
    moved = NOISE._shuffled([token for sentence in closed for token in sentence], np.random.default_rng(seed))
    cuts = [0, *(i + 1 for i, token in enumerate(moved) if token == STOP)]
    assert sorted(moved[a:b] for a, b in itertools.pairwise(cuts)) == sorted(closed)


def test_a_batch_restores_the_whole_text():
    tokens = np.arange(20, 20 + 84, dtype=np.uint16)
    ids, mask, before, labels = denoise.batch(tokens, TOKENIZER, NOISE, 2, [1, 2])
    start, end = TOKENIZER.bos_token_id, TOKENIZER.eos_token_id
    assert labels.tolist() == [[start, *range(20, 62), end], [start, *range(62, 104), end]]
    assert before[:, 0].tolist() == [end, end] and torch.equal(before[:, 1:], labels[:, :-1])
    assert (ids[:, 0] == start).all() and ((ids != TOKENIZER.pad_token_id) == mask.bool()).all()
    assert (mask.sum(1) < 44).all() and (ids == NOISE.mask).any(1).all()
    again = denoise.batch(tokens, TOKENIZER, NOISE, 2, [1, 2])
    assert all(torch.equal(one, two) for one, two in zip((ids, mask, before, labels), again, strict=True))


def test_the_primed_heads_copy_before_any_training():
    chosen = params.load(ROOT / "params.yaml").denoise.model_copy(update={"width": 256, "layers": 3})
    model = denoise.build(chosen, TOKENIZER).eval()
    ids = torch.randint(300, 2000, (8, 50), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        found = model(input_ids=ids, decoder_input_ids=ids[:, :-1]).logits.argmax(-1)
    assert (found == ids[:, 1:]).float().mean() > 0.6
