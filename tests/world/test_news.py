"""Articles: the summary says of the main thing what the article says, in a sentence that the article lacks."""

import re
from random import Random

import pytest

from stages.world.domains import OTHERS
from stages.world.names import owner
from stages.world.news import SENTENCES, TOPICS, WORDS, draw_article, sentences


@pytest.fixture(scope="module")
def articles():
    rng = Random(0)
    return [draw_article(rng, list(TOPICS)[i % len(TOPICS)], "dev") for i in range(800)]


def says(text, fact):
    worded = [w.replace("{v}", fact.value) for ws in fact.attribute.forms_of(fact.value).values() for w in ws]
    return any(w in text or w[0].upper() + w[1:] in text for w in worded)


def test_topics_share_no_kind():
    kinds = [kind for found in TOPICS.values() for kind in found]
    assert len(set(kinds)) == len(kinds)
    assert set(kinds) <= {kind for domain in OTHERS if not domain.person for kind in domain.kinds}


def test_sentences():
    assert sentences('Looking for an inn? Try Elm.\n"Do you like Elm?" asked Ben. Elm costs £8-10.') == [
        "Looking for an inn?",
        "Try Elm.",
        '"Do you like Elm?" asked Ben.',
        "Elm costs £8-10.",
    ]


def test_the_main_thing_is_described_in_two_places(articles):
    first = 0
    for article in articles:
        main, other, paragraphs = article.main, article.other, article.document.split("\n")
        assert len(paragraphs) == 5 and len(main.facts) >= 4 and main.domain is not other.domain
        half = article.held[1]
        start = 0 if all(says(paragraphs[0], fact) for fact in main.facts[:half]) else 2
        first += start == 0
        assert 2 <= half < len(main.facts) and all(main.name in paragraphs[i] for i in (start, 4))
        assert all(says(paragraphs[start], fact) for fact in main.facts[:half])
        assert all(says(paragraphs[4], fact) for fact in main.facts[half:])
        assert all(re.search(rf"\b{main.kind}\b", paragraphs[i]) for i in (start, 4))
        assert all(says(paragraphs[2 - start], fact) for fact in other.facts) and other.name in paragraphs[2 - start]
    assert 0.65 < first / len(articles) < 0.85


def test_the_summary_states_the_first_fact_of_each_half_and_no_other(articles):
    for article in articles:
        main, summary = article.main, article.summary
        assert article.held == (0, (len(main.facts) + 1) // 2)
        assert main.name in summary and re.search(rf"\b{main.kind}\b", summary)
        for i, fact in enumerate(main.facts):
            assert says(summary.replace(main.name, ""), fact) == (i in article.held), (fact, summary)
            assert says(article.document, fact)


def test_the_summary_is_one_sentence_and_not_in_the_article(articles):
    for article in articles:
        assert sentences(article.summary) == [article.summary] and re.fullmatch(r"[A-Z].*[.]", article.summary)
        assert article.summary not in article.document and "{" not in article.document


def test_lengths(articles):
    for article in articles:
        assert len(article.document.split()) in WORDS and len(sentences(article.document)) in SENTENCES
    assert range(80, 161) == WORDS and range(6, 13) == SENTENCES


def test_topics_name_the_main_thing(articles):
    for i, article in enumerate(articles):
        assert (
            article.main.kind in TOPICS[list(TOPICS)[i % len(TOPICS)]]
            and article.main.kind in article.main.domain.kinds
        )
    assert {article.main.kind for article in articles} == {kind for kinds in TOPICS.values() for kind in kinds}


def test_names_belong_to_the_split(articles):
    things = [thing for article in articles for thing in (article.main, article.other)]
    names = {thing.name for thing in things}
    names |= {fact.value for thing in things for fact in thing.facts if not fact.attribute.values}
    assert {owner(name) for name in names} == {"dev"}
