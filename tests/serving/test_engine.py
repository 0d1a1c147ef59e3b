"""Requests for many prefixes in one batch: the tokens of each are those of it alone, whoever comes and goes beside it."""

import re
import threading
from dataclasses import replace

import pytest
import torch

from stages.core.errors import UserError
from stages.decoding.beam import Search, search_sources
from stages.decoding.sampling import Sampling, drawn
from stages.methods.parts import saved
from stages.models.adaptation import Adaptation
from stages.models.identity import base_model_id
from stages.serving.bank import PrefixBank
from stages.serving.engine import Engine, Request, run_all
from tests.conftest import config_of

PROMPTS = ["name : The Oak", "name : Elm | food : Thai | area : riverside", "a pub", "food : Thai", "near : Café Tarno"]


def prefixes_of(lm, lengths):
    """Random prefixes of these lengths, each at all sites of the model."""
    for seed, length in enumerate(lengths):
        g = torch.Generator().manual_seed(seed)
        yield {
            site: torch.randn(1, shape.layers, 2, shape.kv_heads, length, shape.head_dim, generator=g)
            for site, shape in lm.shapes.items()
        }


def filled(lm, directory, lengths=(1, 5, 12)):
    """A bank of prefixes `p0`, `p1`, ... of these lengths, and prompts `v0` and `v1` of 3 and 4 vectors."""
    bank = PrefixBank(directory, lm, 2**30)
    for number, state in enumerate(prefixes_of(lm, lengths)):
        saved.save(directory.with_name("run"), config_of("prefix"), state, base_model_id(lm))
        bank.add(f"p{number}", directory.with_name("run"))
    for number, length in enumerate((3, 4)):
        vectors = torch.randn(1, length, lm.embedding_width, generator=torch.Generator().manual_seed(90 + number))
        saved.save(directory.with_name("run"), config_of("prompt_tuning"), {"embeddings": vectors}, base_model_id(lm))
        bank.add(f"v{number}", directory.with_name("run"))
    return bank


@pytest.fixture
def bank(any_lm, tmp_path):
    return filled(any_lm, tmp_path / "bank")


def alone(lm, adaptation, prompt, search):
    [(_, ids)] = search_sources(lm, adaptation, [0], lm.source_ids([prompt], None), search, 1)
    return ids


def requests(bank, search, count):
    names = [*bank.names(), bank.lm.name]
    for number in range(count):
        # every third has another limit
        limited = replace(search, max_new_tokens=search.max_new_tokens - 4 * (number % 3 == 0))
        yield Request(names[number % len(names)], PROMPTS[number % len(PROMPTS)], limited)


@pytest.mark.parametrize("beam", [pytest.param(1, marks=pytest.mark.slow), 3])
def test_a_mixed_batch_writes_what_each_writes_alone(any_lm, bank, beam):
    """Prefixes of three lengths, prompts of two and the base model; sentences of two limits enter as others end."""
    search = Search(beam, 0.8, 8, any_lm.end)
    asked = list(requests(bank, search, 12))
    found = {index: ids for index, ids, _ in run_all(Engine(any_lm, bank, 3 * beam + 2, 16), asked)}
    assert len(found) == 12
    for index, request in enumerate(asked):
        one = Adaptation() if request.model == any_lm.name else bank.get(request.model)
        assert found[index] == alone(any_lm, one, request.prompt, request.options), (index, request.model)


def test_greedy_and_sampled_texts_beside_beams(lm, tmp_path):
    """A beam of one is greedy search; a sampled text depends on its seed alone, not on what is beside it."""
    bank = filled(lm, tmp_path / "bank")
    beams, greedy = Search(1, 1.0, 9, lm.end), Sampling(9)
    asked = [Request(name, prompt, greedy) for name in bank.names() for prompt in PROMPTS[:2]]
    drawn_ = [Request("p1", PROMPTS[1], Sampling(9, 1.5, 0.9, seed)) for seed in (1, 2, 1)]
    mixed = [*asked, *drawn_, Request("p2", PROMPTS[0], Search(3, 1.0, 9, lm.end))]
    found = {index: ids for index, ids, _ in run_all(Engine(lm, bank, 8, 16), mixed)}
    for index, request in enumerate(asked):
        assert found[index] == alone(lm, bank.get(request.model), request.prompt, beams)
    one, two, again = (found[len(asked) + number] for number in range(3))
    assert one == again != two
    [(_, ids, done)] = run_all(Engine(lm, bank, 8, 16), drawn_[:1])
    assert ids == one and done in ("end", "length")


def test_a_sentence_that_is_cancelled_leaves_the_others_as_they_are(lm, tmp_path):
    bank, search = filled(lm, tmp_path / "bank"), Search(2, 1.0, 10, lm.end)
    engine = Engine(lm, bank, 6, 16)
    numbers = [engine.submit(Request(f"p{i % 3}", prompt, search)) for i, prompt in enumerate(PROMPTS)]
    sampled = engine.submit(Request("p0", PROMPTS[0], Sampling(10)))
    events = engine.step()
    engine.cancel(numbers[0])  # under way
    engine.cancel(numbers[4])  # waiting
    engine.cancel(sampled)
    engine.cancel(999)
    while engine:
        events += engine.step()
    found = {event.number: event.tokens for event in events if event.done}
    assert sorted(found) == numbers[1:4] and engine.limits == {} and engine.rows == 0
    for i in (1, 2, 3):
        assert found[numbers[i]] == alone(lm, bank.get(f"p{i % 3}"), PROMPTS[i], search)


def test_a_request_that_is_slow_to_come_holds_up_no_other(lm, tmp_path):
    """The second one comes only after the result of the first."""
    bank, answered = filled(lm, tmp_path / "bank"), threading.Event()

    def slow():
        yield Request("p0", PROMPTS[0], Sampling(3))
        assert answered.wait(60)
        yield Request("p1", PROMPTS[1], Sampling(3))
        raise UserError("the pipe broke")

    results = run_all(Engine(lm, bank, 8, 16), slow())
    assert next(results)[0] == 0
    answered.set()
    with pytest.raises(UserError, match="the pipe broke"):
        assert next(results)[0] == 1
        next(results)


def test_an_entry_that_is_replaced_or_deleted_changes_nothing_under_way(lm, tmp_path):
    bank, search = filled(lm, tmp_path / "bank"), Search(2, 1.0, 10, lm.end)
    before = alone(lm, bank.get("p1"), PROMPTS[1], search)
    engine = Engine(lm, bank, 2, 16)
    numbers = [engine.submit(Request("p1", PROMPTS[1], search)) for _ in range(2)]  # one must wait
    bank.add("p1", bank.path_of("p2"))
    later = engine.submit(Request("p1", PROMPTS[1], search))
    bank.remove("p1")
    with pytest.raises(UserError, match="has no prefix p1"):
        engine.submit(Request("p1", PROMPTS[1], search))
    found = {}
    while engine:
        found |= {event.number: event.tokens for event in engine.step()}
    assert [found[number] for number in numbers] == [before, before]
    assert found[later] == alone(lm, bank.get("p2"), PROMPTS[1], search) != before


def test_tokens_come_one_at_a_time_with_the_reason_of_the_end(lm, tmp_path):
    engine = Engine(lm, filled(lm, tmp_path / "bank"), 8, 16)
    engine.submit(Request("p0", PROMPTS[0], Sampling(3)))
    events = [event for _ in range(3) for event in engine.step()]
    assert [(len(event.tokens), event.done) for event in events] == [(1, None), (1, None), (1, "length")]
    assert not engine and engine.step() == []
    ended = Engine(lm, engine.bank, 8, 16, banned=tuple(i for i in range(lm.vocabulary) if i != lm.end))
    ended.submit(Request("p0", PROMPTS[0], Sampling(5)))
    assert [(event.tokens, event.done) for event in ended.step()] == [([], "end")]


def test_what_cannot_be_answered_is_refused_at_once(lm, tmp_path):
    engine = Engine(lm, filled(lm, tmp_path / "bank"), 8, 16)
    for request, said in (
        (Request("nobody", "a", Sampling(4)), "has no prefix nobody"),
        (Request("../p0", "a", Sampling(4)), "'../p0' is no name of a prefix"),
        (Request("p0", "a", Search(9, 1.0, 4, 0)), "9 beams are more than the 8 rows of the batch"),
        (Request("p0", "a", Sampling(17)), "17 tokens are more than the 16 that a text may have here"),
        (Request("p0", "a " * 400, Sampling(4)), "exceed the 256 positions of tiny-"),
    ):
        with pytest.raises(UserError, match=re.escape(said)):
            engine.submit(request)
    assert not engine


def test_sampling_draws_from_the_nucleus():
    """Of probabilities 0.5, 0.3, 0.15 and 0.05, those of top_p 0.7 are the first two, 5 to 3."""
    logits = torch.tensor([0.15, 0.5, 0.05, 0.3]).log()
    generator = torch.Generator().manual_seed(0)
    found = [drawn(logits, Sampling(1, 1.0, 0.7), generator) for _ in range(2000)]
    assert set(found) == {1, 3} and found.count(1) / 2000 == pytest.approx(0.625, abs=0.04)
    assert {drawn(logits, Sampling(1, 1.0, 0.5), generator) for _ in range(50)} == {1}, "the first always counts"
    assert {drawn(logits, Sampling(1, 0.01, 1.0), generator) for _ in range(50)} == {1}
    hot = [drawn(logits, Sampling(1, 2.0, 1.0), generator) for _ in range(4000)]
    wanted = torch.tensor([0.15, 0.5, 0.05, 0.3]).sqrt()
    assert [hot.count(i) / 4000 for i in range(4)] == pytest.approx((wanted / wanted.sum()).tolist(), abs=0.04)


def test_no_end_before_the_shortest_length(lm, tmp_path):
    engine = Engine(lm, filled(lm, tmp_path / "bank"), 8, 16, banned=tuple(set(range(lm.vocabulary)) - {lm.end, 7}))
    engine.submit(Request("p0", PROMPTS[0], Sampling(4, min_new_tokens=2, temperature=5.0)))
    found = []
    while engine:
        found += engine.step()
    assert [event.tokens for event in found[:2]] == [[7], [7]]
