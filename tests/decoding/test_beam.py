"""Beam search against transformers' own `generate`, which gets the prefix as real tokens before the prompt."""

import pytest
import torch

from stages.decoding.beam import Search, pieces_by_length, search_sources
from stages.models.adaptation import Adaptation
from stages.models.caches import Beams
from stages.models.model import Shape

PROMPTS = [[5, 300, 700, 9, 1000], [4, 8], [15, 16, 23, 42, 108, 77, 901, 3], [11, 12, 13]]
WORDS = [31, 41, 59]


def search_batch(lm, adaptation, runs, sources, search, batch_size=8):
    found = dict(search_sources(lm, adaptation, runs, sources, search, batch_size))
    return [found[i] for i in range(len(sources))]


def adaptation(lm, *words):
    """As if each of `words` stood before the text of its run."""
    runs = [lm.activations(one) for one in words]
    return Adaptation({place: torch.stack([run[place] for run in runs]) for place in lm.shapes})


def reference(lm, prompt, search):
    """Ids that `generate` finds behind WORDS + prompt, without the end token."""
    prompt = [*prompt, lm.separator]
    ids = torch.tensor([WORDS + prompt])
    out = lm.model.generate(
        ids, attention_mask=torch.ones_like(ids), num_beams=search.beam, length_penalty=search.length_penalty,
        max_new_tokens=search.max_new_tokens, early_stopping=search.early_stopping, do_sample=False, eos_token_id=search.end,
        pad_token_id=search.end, suppress_tokens=list(search.banned) or None,
    )[0, len(WORDS) + len(prompt) :].tolist()  # fmt: skip
    return out[: out.index(search.end)] if search.end in out else out


def ending(lm, step):
    """A token that the free search puts at `step` of the first sentence: as end token it ends some sentences early."""
    free = Search(1, 1.0, 20, 3071)
    return search_batch(lm, adaptation(lm, WORDS), [0], PROMPTS[:1], free)[0][step]


@pytest.mark.parametrize(
    ("beam", "penalty", "banned"), [(5, 1.0, ()), (1, 1.0, ()), (4, 0.8, (3, 7)), (3, 2.0, ()), (2, 0.0, ())]
)
@pytest.mark.parametrize("step", [0, 1, 4, 9])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_equals_generate(lm, beam, penalty, banned, step, early_stopping):
    search = Search(beam, penalty, 20, ending(lm, step), banned, early_stopping=early_stopping)
    found = search_batch(lm, adaptation(lm, WORDS), [0] * len(PROMPTS), PROMPTS, search)
    assert found == [reference(lm, prompt, search) for prompt in PROMPTS]


def seq2seq_reference(lm, source, search):
    """Ids that `generate` finds for a source, without start and end."""
    ids = torch.tensor([source])
    out = lm.model.generate(
        ids, attention_mask=torch.ones_like(ids), num_beams=search.beam, length_penalty=search.length_penalty,
        max_new_tokens=search.max_new_tokens, min_new_tokens=search.min_new_tokens,
        early_stopping=search.early_stopping, do_sample=False, eos_token_id=search.end, pad_token_id=search.end,
        decoder_start_token_id=lm.start,
        suppress_tokens=list(search.banned) or None, forced_eos_token_id=None, forced_bos_token_id=None,
    )[0, 1:].tolist()  # fmt: skip
    return out[: out.index(search.end)] if search.end in out else out


@pytest.mark.parametrize(
    ("beam", "penalty", "banned", "least"), [(6, 0.8, (), 0), (1, 1.0, (), 3), (4, 0.8, (3, 7), 9)]
)
@pytest.mark.parametrize("step", [0, 1, 5])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_an_encoder_decoder_equals_generate(seq2seq, beam, penalty, banned, least, step, early_stopping):
    free = search_batch(seq2seq, Adaptation(), [0], PROMPTS[:1], Search(1, 1.0, 20, 3071))[0]
    search = Search(beam, penalty, 20, free[step], banned, least, early_stopping)
    found = search_batch(seq2seq, Adaptation(), [0] * len(PROMPTS), PROMPTS, search)
    assert found == [seq2seq_reference(seq2seq, source, search) for source in PROMPTS]
    assert min(map(len, found)) >= least


def test_encoder_decoder_runs_in_one_batch(seq2seq):
    runs = adaptation(seq2seq, WORDS, [100, 200, 300])
    search = Search(3, 1.0, 10, 17)
    mixed = search_batch(seq2seq, runs, [0, 1, 1, 0], PROMPTS, search)
    assert mixed[0] != search_batch(seq2seq, Adaptation(), [0], PROMPTS[:1], search)[0]
    for run, prompt, ids in zip([0, 1, 1, 0], PROMPTS, mixed, strict=True):
        assert ids == search_batch(seq2seq, runs.of(run), [0], [prompt], search)[0]


def test_sentences_end_at_different_steps(lm):
    """The test above would pass vacuously if no sentence ever left its batch early."""
    prefix, lengths = adaptation(lm, WORDS), set()
    for step in (0, 1, 4, 9):
        found = search_batch(lm, prefix, [0] * len(PROMPTS), PROMPTS, Search(1, 1.0, 20, ending(lm, step)))
        lengths |= {len(ids) for ids in found}
    assert len(lengths) > 2


def test_prefixes_of_several_runs_in_one_batch(lm):
    runs = adaptation(lm, WORDS, [100, 200, 300])
    search = Search(3, 1.0, 10, 17)
    mixed = search_batch(lm, runs, [0, 1, 1, 0], PROMPTS, search)
    for run, prompt, ids in zip([0, 1, 1, 0], PROMPTS, mixed, strict=True):
        assert ids == search_batch(lm, runs.of(run), [0], [prompt], search)[0]


@pytest.mark.parametrize("batch_size", [1, 2, 3])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_sentences_that_enter_later_are_searched_as_the_others(any_lm, batch_size, early_stopping):
    """One after another into the places that become free, among sentences at other steps; runs and lengths mixed."""
    runs = adaptation(any_lm, WORDS, [100, 200, 300])
    sources = [*PROMPTS, *([number, 7, 8 * number][: 1 + number % 3] for number in range(1, 8))]
    which = [number % 2 for number in range(len(sources))]
    free = search_batch(any_lm, runs, which, sources, Search(3, 1.0, 12, 3071))
    places = {token: {ids.index(token) for ids in free if token in ids[2:]} for ids in free for token in ids}
    end = max(places, key=lambda token: (len(places[token]), token))  # written early here and late there
    search = Search(3, 1.0, 12, end, min_new_tokens=2, early_stopping=early_stopping)
    found = search_batch(any_lm, runs, which, sources, search, batch_size)
    assert found == [
        search_batch(any_lm, runs.of(run), [0], [s], search)[0] for run, s in zip(which, sources, strict=True)
    ]
    assert len({len(ids) for ids in found}) > 1, "they end at different steps"


def test_prefixes_of_different_lengths_in_one_batch(any_lm):
    alone = [adaptation(any_lm, [31, 41, 59, 26, 5][:length]) for length in (3, 5, 1)]
    joined, search = Adaptation.joined(alone), Search(3, 1.0, 10, 17)
    runs = [0, 1, 2, 1]
    found = search_batch(any_lm, joined, runs, PROMPTS, search, 2)
    assert found == [
        search_batch(any_lm, alone[run], [0], [p], search)[0] for run, p in zip(runs, PROMPTS, strict=True)
    ]
    assert found == [
        search_batch(any_lm, joined.of(run), [0], [p], search)[0] for run, p in zip(runs, PROMPTS, strict=True)
    ]


def test_pieces_cover_all_and_begin_with_the_longest():
    lengths = [1 + number % 7 for number in range(100)]
    pieces = pieces_by_length(lengths, 3)
    ordered = [i for piece in pieces for i in piece]
    assert sorted(ordered) == list(range(100)) and [lengths[i] for i in ordered] == sorted(lengths)[::-1]
    assert {len(piece) for piece in pieces[:-1]} == {24}


def test_columns_that_no_beam_goes_back_to_are_written_over():
    """Of steps whose beams all go on from one, what is left is that one's path."""
    beams = Beams(Shape(1, 1, 2), 3, torch.float32, torch.device("cpu"))
    read = torch.zeros(2, 1, 4, 2)
    beams.prefill(
        [(read, read)], torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]]).bool(), torch.arange(4).expand(2, 4), [4, 2]
    )
    for step in range(1, 21):
        # The other sentence's beams never part with a column.
        beams.advance(torch.tensor([[1, 1, 1], [0, 1, 2]]), torch.tensor([3 + step, 1 + step]))
        keys = torch.full((2, 1, 3, 2), float(step))
        found, _ = beams.update(keys, keys, 0)
        for place, entered in ((0, 4), (1, 2)):
            for beam in range(3):
                seen = found[place, 0, beams.mask()[place, 0, beam], 0].tolist()
                assert sorted(seen) == [0.0] * entered + list(range(1, step + 1))
                stand = beams.columns_at()[place, beams.mask()[place, 0, beam]].tolist()
                assert sorted(stand) == list(range(entered + step))
    assert beams.counts == [4 + 20 + 2, 2 + 20 * 3]
