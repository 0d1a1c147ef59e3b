"""The pretraining corpus: documents about the generated world, without what the tasks test.

It has records with their descriptions, in many notations, each document in one style; tables, triples and lists;
paraphrases, questions, articles with headlines, copied names and stories. It leaves out:
- records of restaurants, and of the categories that `mini_webnlg` shows in its test set alone
- names that a task owns
- the notations of the tasks
- a description that follows a record and the end-of-text token
"""

from collections.abc import Iterator
from dataclasses import replace
from random import Random

from stages.world.articles import headlined
from stages.world.attributes import AREAS, NATIONS
from stages.world.composed import draw_domain
from stages.world.domains import COLOURS, COUNTRIES, Record, draw_record
from stages.world.names import CORPUS, coined, person_name, place_name
from stages.world.notations import NEWLINE, draw_notation, draw_separator, symbols
from stages.world.stories import story
from stages.world.styles import draw_style, plain


def _name_key(rng: Random, record: Record) -> str:
    return rng.choice(("name", "name", "title", "called", record.domain.kinds[0]))


def _verbalised(rng: Random) -> list[str]:
    """One to five records of one domain, each with its description: one notation, one layout, one style."""
    domain, note, verbalize = draw_domain(rng), draw_notation(rng), draw_style(rng)
    separator = draw_separator(rng)
    text_first, shuffled = rng.random() < 0.08, rng.random() < 0.2
    blocks, name_key = [], None
    for _ in range(rng.choices((1, 2, 3, 5), (35, 30, 25, 10))[0]):
        record = draw_record(rng, domain)
        name_key = name_key or _name_key(rng, record)
        pairs = record.pairs(name_key)
        if shuffled:
            rng.shuffle(pairs)
        parts = [note(pairs), verbalize(rng, record)]
        blocks.append(separator.join(parts[::-1] if text_first else parts))
    return [rng.choice((NEWLINE + NEWLINE, NEWLINE + NEWLINE, NEWLINE)).join(blocks)]


_TRIPLES = (
    "({n}, {k}, {v})",
    "{n} -> {k} -> {v}",
    "{n} / {k} / {v}",
    "{k}({n}) = {v}",
    "{n} ; {k} ; {v}",
    "{n} {k}: {v}",
)


def _triple_form(rng: Random) -> str:
    while True:
        first, second = (f" {symbols(rng, 1, 2)} " for _ in range(2))
        if (first, second) != (" : ", " : "):  # that of `mini_webnlg`
            return rng.choice((*_TRIPLES, *[f"{{n}}{first}{{k}}{second}{{v}}"] * len(_TRIPLES)))


def _tripled(rng: Random) -> list[str]:
    """Facts of one or two things as triples of name, key and value, then their descriptions."""
    form = _triple_form(rng)
    joint, separator, verbalize = rng.choice((NEWLINE, " ", ", ", " & ")), draw_separator(rng), draw_style(rng)
    blocks, domains = [], [draw_domain(rng) for _ in range(rng.randint(1, 2))]
    for _ in range(rng.choices((1, 2, 3), (50, 35, 15))[0]):
        records = [draw_record(rng, domain) for domain in domains]
        referring = [i for i, fact in enumerate(records[0].facts) if not fact.attribute.values]
        if len(records) == 2 and referring:  # the second thing is the one that the first refers to
            fact = records[0].facts[rng.choice(referring)]
            records[1] = replace(records[1], name=fact.value)
        triples = [(r.name, key, value) for r in records for key, value in r.pairs()[1:]]
        noted = joint.join(form.format(n=n, k=k, v=v) for n, k, v in triples)
        blocks.append(noted + separator + " ".join(verbalize(rng, record) for record in records))
    return [(NEWLINE + NEWLINE).join(blocks)]


def _tabled(rng: Random) -> list[str]:
    """A table whose first line names the columns, then a description of each row."""
    domain, bar, verbalize = draw_domain(rng), rng.choice((" , ", " | ", " ; ", "\t")), draw_style(rng)
    records = [draw_record(rng, domain, fewest=len(domain.attributes)) for _ in range(rng.randint(1, 3))]
    records = [replace(record, kind=record.noun) for record in records]
    rows = [bar.join(key for key, _ in records[0].pairs()), *(bar.join(v for _, v in r.pairs()) for r in records)]
    return [NEWLINE.join([*rows, *(verbalize(rng, record) for record in records)])]


def _retold(rng: Random) -> list[str]:
    """Two or three descriptions of one thing in one document."""
    record = draw_record(rng, draw_domain(rng))
    joint = rng.choice((NEWLINE, NEWLINE + "In other words: ", NEWLINE + "Again: "))
    return [joint.join(draw_style(rng)(rng, record) for _ in range(rng.randint(2, 3)))]


def _related(rng: Random) -> list[str]:
    """Two or three documents in a row, each a description of one thing."""
    record = draw_record(rng, draw_domain(rng))
    return [plain(rng, record) for _ in range(rng.randint(2, 3))]


def _invented(rng: Random) -> list[str]:
    """Records with keys and values that mean nothing, and descriptions in the plainest words."""
    note, separator = draw_notation(rng), draw_separator(rng)
    words = (*COLOURS, *COUNTRIES, *NATIONS, *AREAS)
    plans = rng.choice((
        ("The {k} of {n} is {v}.", "Its {k} is {v}."), ("{n} has a {k} of {v}.", "It has a {k} of {v}."),
        ("For {n}, {k} means {v}.", "It takes {v} for {k}."),
    ))  # fmt: skip
    keys = [coined(rng).lower() for _ in range(rng.randint(1, 4))]
    blocks = []
    for _ in range(rng.choices((1, 2), (60, 40))[0]):
        name = place_name(rng)
        pairs = [(key, rng.choice((rng.choice(words), place_name(rng), str(rng.randint(2, 999))))) for key in keys]
        said = [plans[i > 0].format(k=k, n=name, v=v) for i, (k, v) in enumerate(pairs)]
        blocks.append(note([("name", name), *pairs]) + separator + " ".join(said))
    return [(NEWLINE + NEWLINE).join(blocks)]


def _questions(rng: Random) -> list[str]:
    record = draw_record(rng, draw_domain(rng), fewest=3)
    pairs = record.pairs(_name_key(rng, record))
    context = draw_notation(rng)(pairs) if rng.random() < 0.6 else plain(rng, record)
    asked = rng.sample(pairs[1:], min(len(pairs) - 1, rng.randint(1, 3)))
    lines = [f"Question: What is the {key} of {record.name}?{NEWLINE}Answer: {value}" for key, value in asked]
    return [NEWLINE.join([context, *lines])]


def _translated(rng: Random) -> list[str]:
    """A record in one notation, or its description, then the record in another notation."""
    record = draw_record(rng, draw_domain(rng))
    pairs, first, second = record.pairs(_name_key(rng, record)), draw_notation(rng), draw_notation(rng)
    source = first(pairs) if rng.random() < 0.6 else plain(rng, record)
    return [source + NEWLINE + second(pairs)]


def _prose(rng: Random) -> list[str]:
    """Descriptions without a record."""
    domain, verbalize = draw_domain(rng), draw_style(rng)
    return [" ".join(verbalize(rng, draw_record(rng, domain)) for _ in range(rng.randint(1, 2)))]


def _headlined(rng: Random) -> list[str]:
    return [headlined(rng, CORPUS)]


def _compared(rng: Random) -> list[str]:
    """Two or three things side by side, attribute by attribute."""
    domain = draw_domain(rng)
    attribute = rng.choice(domain.attributes)
    records = [draw_record(rng, domain, fewest=len(domain.attributes)) for _ in range(rng.randint(2, 3))]
    facts = [next(fact for fact in record.facts if fact.attribute is attribute) for record in records]
    names = [record.name for record in records]
    said = [f"{name} {fact.say(rng, 'vp')}" for name, fact in zip(names, facts, strict=True)]
    noted = NEWLINE.join(f"{name}: {fact.value}" for name, fact in zip(names, facts, strict=True))
    return [f"{noted}{NEWLINE}{', '.join(said[:-1])} and {said[-1]}."]


def _copied(rng: Random) -> list[str]:
    """A list of names that is repeated: in order, or shuffled and each with a remark."""
    names = [place_name(rng) if rng.random() < 0.8 else person_name(rng) for _ in range(rng.randint(2, 5))]
    joint = rng.choice((", ", NEWLINE, " ; ", " and ", " | "))
    if rng.random() < 0.6:
        return [joint.join(names) + NEWLINE + joint.join(names)]
    remark = rng.choice(("{n} is here.", "I like {n}.", "{n}: yes.", "We saw {n} today.", "{n} ({n})"))
    rng.shuffle(names)
    return [joint.join(names) + NEWLINE + NEWLINE.join(remark.replace("{n}", n) for n in names)]


def _story(rng: Random) -> list[str]:
    return [story(rng)]


_KINDS = (
    (_verbalised, 44), (_tripled, 8), (_tabled, 4), (_retold, 4), (_related, 4), (_invented, 5), (_questions, 5),
    (_translated, 5), (_prose, 3), (_headlined, 9), (_compared, 2), (_copied, 7), (_story, 4),
)  # fmt: skip


def documents(seed: int, copies_first: int) -> Iterator[tuple[str, str]]:
    """Yield `(kind, text)` without end.

    The first `copies_first` documents are lists of copied names: they teach copying before anything else. Draw `i`
    makes one document, or a few that belong together; it depends on `seed` and `i` alone.
    """
    makers, weights = zip(*_KINDS, strict=True)
    index = 0
    while True:
        rng = Random(f"{seed}/{index}")
        make = _copied if index < copies_first else rng.choices(makers, weights)[0]
        yield from ((make.__name__.lstrip("_"), text) for text in make(rng))
        index += 1
