"""The generated world: every fact is said, and the corpus holds nothing that a task tests."""

import itertools
import re
from random import Random

import pytest

from stages.tasks.mini_e2e import rows
from stages.world.corpus import documents
from stages.world.domains import OTHERS, RESTAURANT, draw_record
from stages.world.grammar import realise, with_article
from stages.world.names import CORPUS, owner, place_name


@pytest.mark.parametrize("domain", [RESTAURANT, *OTHERS], ids=lambda d: d.kinds[0].replace(" ", "-"))
def test_every_wording_of_every_fact_says_it(domain):
    rng = Random(0)
    for _ in range(200):
        record = draw_record(rng, domain, who="train")
        text = realise(rng, record.name, record.noun, record.facts, domain.pronoun)
        assert record.name in text and re.fullmatch(r"[A-Z].*[.]", text) and "{" not in text
        for fact in record.facts:
            worded = [w.replace("{v}", fact.value) for ws in fact.attribute.forms_of(fact.value).values() for w in ws]
            assert any(w in text or w.capitalize() in text or w[0].upper() + w[1:] in text for w in worded), (
                fact,
                text,
            )


def test_each_fact_is_said_once():
    rng = Random(1)
    for _ in range(300):
        record = draw_record(rng, RESTAURANT, who="test")
        text = realise(rng, record.name, record.noun, record.facts)
        for fact in record.facts:
            if fact.attribute.key == "near":
                assert text.count(fact.value) == 1 + (fact.value in record.name)


def test_articles():
    assert [with_article(w) for w in ("old pub", "Italian pub", "cheap pub")] == [
        "an old pub",
        "an Italian pub",
        "a cheap pub",
    ]


def test_names_have_one_owner():
    rng = Random(0)
    for who in (CORPUS, "train", "dev", "test"):
        assert {owner(place_name(rng, who)) for _ in range(200)} == {who}


def test_corpus_is_a_function_of_the_seed():
    first, again, other = ([t for _, t in itertools.islice(documents(seed, 2), 50)] for seed in (1, 1, 2))
    assert first == again != other


def test_corpus_holds_no_task():
    """No name of a task, no sentence about one, no record in the tasks' notation, no end-of-text token."""
    texts = [text for _, text in itertools.islice(documents(1, 100), 6000)]
    corpus = "\n".join(texts)
    assert not re.search(r"^\s*name : [^\n|]+ \| \w+ : ", corpus, re.MULTILINE) and "<|endoftext|>" not in corpus
    assert "eatType" not in corpus and "priceRange" not in corpus and "familyFriendly" not in corpus
    sentences = {s for text in texts for s in re.split(r"(?<=[.?])\s+", text)}
    targets = {target for split in ("train", "dev", "test") for _, target in rows(split, 300, 8, 1)}
    assert not targets & sentences and not targets & {text.strip() for text in texts}
    names = {
        re.match(r"name\[([^\]]*)\]", mr).group(1)
        for split in ("train", "dev", "test")
        for mr, _ in rows(split, 300, 8, 1)
    }
    # A coined word alone may be part of a longer name of the corpus; a name of several words may not occur.
    found = [name for name in names if " " in name and re.search(rf"(?<!\w){re.escape(name)}(?!\w)", corpus)]
    assert all(any(name != other and name in other for other in _names_of(corpus)) for name in found), found


def _names_of(corpus: str) -> set[str]:
    """Longer runs of capitalised words, joined as names are."""
    return set(re.findall(r"[A-ZÀ-Ý][\w']+(?: (?:and|of|[A-ZÀ-Ý][\w']+))+", corpus))
