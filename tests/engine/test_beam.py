"""Beam search against transformers' own `generate`, which gets the prefix as real tokens before the prompt."""

import pytest
import torch

from stages.engine.beam import Search, beam_search, search_batch
from stages.engine.steering import Steering

PROMPTS = [[5, 300, 700, 9, 1000], [4, 8], [15, 16, 23, 42, 108, 77, 901, 3], [11, 12, 13]]
WORDS = [31, 41, 59]


def steering(lm, *words):
    """As if each of `words` stood before the text of its run."""
    runs = [lm.activations(one) for one in words]
    return Steering({place: torch.stack([run[place] for run in runs]) for place in lm.shapes})


def reference(lm, prompt, search):
    """Ids that `generate` finds behind WORDS + prompt, without the end token."""
    prompt = [*prompt, lm.separator]
    ids = torch.tensor([WORDS + prompt])
    out = lm.model.generate(
        ids, attention_mask=torch.ones_like(ids), num_beams=search.beam, length_penalty=search.length_penalty,
        max_new_tokens=search.max_new_tokens, early_stopping=False, do_sample=False, eos_token_id=search.end,
        pad_token_id=search.end, suppress_tokens=list(search.banned) or None,
    )[0, len(WORDS) + len(prompt) :].tolist()  # fmt: skip
    return out[: out.index(search.end)] if search.end in out else out


def ending(lm, step):
    """A token that the free search puts at `step` of the first sentence: as end token it ends some sentences early."""
    free = Search(1, 1.0, 20, 2047)
    return search_batch(lm, steering(lm, WORDS), [0], PROMPTS[:1], free)[0][step]


@pytest.mark.parametrize(
    ("beam", "penalty", "banned"), [(5, 1.0, ()), (1, 1.0, ()), (4, 0.8, (3, 7)), (3, 2.0, ()), (2, 0.0, ())]
)
@pytest.mark.parametrize("step", [0, 1, 4, 9])
def test_equals_generate(lm, beam, penalty, banned, step):
    search = Search(beam, penalty, 20, ending(lm, step), banned)
    found = search_batch(lm, steering(lm, WORDS), [0] * len(PROMPTS), PROMPTS, search)
    assert found == [reference(lm, prompt, search) for prompt in PROMPTS]


def seq2seq_reference(lm, source, search):
    """Ids that `generate` finds for a source, without start and end."""
    ids = torch.tensor([source])
    out = lm.model.generate(
        ids, attention_mask=torch.ones_like(ids), num_beams=search.beam, length_penalty=search.length_penalty,
        max_new_tokens=search.max_new_tokens, min_new_tokens=search.min_new_tokens, early_stopping=False,
        do_sample=False, eos_token_id=search.end, pad_token_id=search.end, decoder_start_token_id=lm.start,
        suppress_tokens=list(search.banned) or None, forced_eos_token_id=None, forced_bos_token_id=None,
    )[0, 1:].tolist()  # fmt: skip
    return out[: out.index(search.end)] if search.end in out else out


@pytest.mark.parametrize(
    ("beam", "penalty", "banned", "least"), [(6, 0.8, (), 0), (1, 1.0, (), 3), (4, 0.8, (3, 7), 9)]
)
@pytest.mark.parametrize("step", [0, 1, 5])
def test_an_encoder_decoder_equals_generate(seq2seq, beam, penalty, banned, least, step):
    free = search_batch(seq2seq, Steering(), [0], PROMPTS[:1], Search(1, 1.0, 20, 2047))[0]
    search = Search(beam, penalty, 20, free[step], banned, least)
    found = search_batch(seq2seq, Steering(), [0] * len(PROMPTS), PROMPTS, search)
    assert found == [seq2seq_reference(seq2seq, source, search) for source in PROMPTS]
    assert min(map(len, found)) >= least


def test_encoder_decoder_runs_in_one_batch(seq2seq):
    runs = steering(seq2seq, WORDS, [100, 200, 300])
    search = Search(3, 1.0, 10, 17)
    mixed = search_batch(seq2seq, runs, [0, 1, 1, 0], PROMPTS, search)
    assert mixed[0] != search_batch(seq2seq, Steering(), [0], PROMPTS[:1], search)[0]
    for run, prompt, ids in zip([0, 1, 1, 0], PROMPTS, mixed, strict=True):
        assert ids == search_batch(seq2seq, runs.of(run), [0], [prompt], search)[0]


def test_sentences_end_at_different_steps(lm):
    """The test above would pass vacuously if no sentence ever left its batch early."""
    prefix, lengths = steering(lm, WORDS), set()
    for step in (0, 1, 4, 9):
        found = search_batch(lm, prefix, [0] * len(PROMPTS), PROMPTS, Search(1, 1.0, 20, ending(lm, step)))
        lengths |= {len(ids) for ids in found}
    assert len(lengths) > 2


def test_prefixes_of_several_runs_in_one_batch(lm):
    runs = steering(lm, WORDS, [100, 200, 300])
    search = Search(3, 1.0, 10, 17)
    mixed = search_batch(lm, runs, [0, 1, 1, 0], PROMPTS, search)
    for run, prompt, ids in zip([0, 1, 1, 0], PROMPTS, mixed, strict=True):
        assert ids == search_batch(lm, runs.of(run), [0], [prompt], search)[0]


def test_batches_change_nothing_and_skip_what_is_done(lm):
    prefix, search = Steering(), Search(3, 1.0, 10, 17)
    one = dict(pair for part in beam_search(lm, prefix, PROMPTS, search, 4) for pair in zip(*part, strict=True))
    two = dict(pair for part in beam_search(lm, prefix, PROMPTS, search, 2) for pair in zip(*part, strict=True))
    assert one == two and sorted(one) == [0, 1, 2, 3]
    rest = [indices for indices, _ in beam_search(lm, prefix, PROMPTS, search, 2, skip={2})]
    assert rest == [[3, 1]]
