"""The generated world: every fact is said, and the corpus holds nothing that a task tests."""

import itertools
import re
from random import Random

import pytest

from stages.tasks.mini_e2e import rows
from stages.tasks.mini_webnlg import entries
from stages.tasks.mini_xsum import articles
from stages.world.composed import draw_domain
from stages.world.corpus import documents
from stages.world.domains import OTHERS, RESTAURANT, draw_record
from stages.world.grammar import realise, with_article
from stages.world.names import CORPUS, PROBE, owner, place_name
from stages.world.notations import RESERVED
from stages.world.triples import CATEGORIES, UNSEEN


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
    for who in (CORPUS, PROBE, "train", "dev", "test"):
        assert {owner(place_name(rng, who)) for _ in range(200)} == {who}


def test_corpus_is_a_function_of_the_seed():
    first, again, other = ([t for _, t in itertools.islice(documents(seed, 2), 50)] for seed in (1, 1, 2))
    assert first == again != other


@pytest.fixture(scope="module")
def texts():
    return [text for _, text in itertools.islice(documents(1, 100), 12_000)]


def test_corpus_holds_no_task_notation(texts):
    """Neither `name : X | key : value`, nor ` | X : key : value`, nor the end-of-text token, nor what probes reserve."""
    corpus = "\n".join(texts)
    assert not re.search(r"^\s*name : [^\n|]+ \| [\w ]+ : ", corpus, re.MULTILINE | re.IGNORECASE)
    assert not re.search(r"\| [A-Z][^\n|:]* : [a-z ]+ : ", corpus)
    assert not re.search(r"[{}]|<\|endoftext\|>|eatType|priceRange|familyFriendly|customer rating", corpus)


def test_corpus_holds_no_reserved_notation(texts):
    """The probes ask for what only their prompts show."""
    pairs = [("name", "Elm"), ("type", "inn"), ("cost", "high")]
    forms = (r"(?i)\bname \* [^@\n]+ @ ", r"(?i)\[name\] [^/\n]+ / \[")
    corpus = "\n".join(texts)
    for (note, separator), form in zip(RESERVED, forms, strict=True):
        assert re.search(form, note(pairs)) and not re.search(form, corpus)
        assert separator.strip() not in corpus


def cut(text):
    return re.split(r"(?<=[.?])\s+", text.strip())


def test_corpus_holds_no_target_of_a_task(texts):
    """No target and no sentence that names a task's thing; what is shared says `It is in the old town.`, as English does."""
    found = {text.strip() for text in texts} | {sentence for text in texts for sentence in cut(text)}
    for split in ("train", "dev", "test"):
        targets = [target for _, target in rows(split, 300, 8, 1)]
        targets += [text for entry in entries(split, list(CATEGORIES) * 20, 3, 1) for text in entry.texts]
        targets += [article.summary for _, article in articles(split, 150, 1)]
        sentences = {sentence for target in targets for sentence in cut(target)}
        assert len(targets) > 2500 and not set(targets) & found
        assert all(
            re.match("(It|This|The) [a-z]|Looking for an? [^?]+[?]$", sentence) for sentence in sentences & found
        )


def test_corpus_holds_no_name_of_a_task(texts):
    """A coined word alone may be part of a longer name of the corpus; a name of several words may not occur."""
    corpus = "\n".join(texts)
    names = {name for split in ("train", "dev", "test") for mr, _ in rows(split, 300, 8, 1)
             for name in re.findall(r"(?:name|near)\[([^\]]*)\]", mr)}  # fmt: skip
    found = occurring({name for name in names if " " in name}, corpus)
    longer = names_of(corpus)
    assert len(names) > 1000
    assert all(any(name != other and name in other for other in longer) for name in found), found


def occurring(names: set[str], text: str) -> set[str]:
    """Those of `names`, each of two words or more, that stand in the text as whole words. Reads the text once."""
    by_start: dict[str, list[str]] = {}
    for name in names:
        by_start.setdefault(re.match(r"\w+ \w+", name)[0], []).append(name)
    found = set()
    for start in re.finditer(r"(?<!\w)(?=(\w+ \w+))", text):
        for name in by_start.get(start[1], ()):
            end = start.start() + len(name)
            if text.startswith(name, start.start()) and not re.match(r"\w", text[end : end + 1]):
                found.add(name)
    return found


def test_names_are_found_as_whole_words():
    names = {
        "Old Mill",
        "The Old Mill",
        "Old Mill and Oak",
        "Red Fox",
        "The Café Elm",
        "Elm and Wren",
        "Wren of Tarkley",
    }
    text = "near The Old Mill.\nThe Red Foxes saw\nThe Café Elm and Wren of Tarkley, of Old Mills"
    assert occurring(names, text) == {"Old Mill", "The Old Mill", "The Café Elm", "Elm and Wren", "Wren of Tarkley"}


def test_no_domain_of_the_corpus_has_a_kind_that_a_task_holds_back():
    held = {kind for domain in (RESTAURANT, *UNSEEN.values()) for kind in domain.kinds}
    rng = Random(0)
    domains = [draw_domain(rng) for _ in range(5000)]
    kinds = {kind for domain in domains for kind in domain.kinds}
    assert len(held) > 25 and not held & kinds and len(kinds) > 250
    for domain in domains:
        keys = [attribute.key for attribute in domain.attributes]
        assert len(set(keys)) == len(keys) >= 2 and domain.kind_key not in keys


def names_of(corpus: str) -> set[str]:
    """Longer runs of capitalised words, joined as names are."""
    return set(re.findall(r"[A-ZÀ-Ý][\w']+(?: (?:and|of|[A-ZÀ-Ý][\w']+))+", corpus))
