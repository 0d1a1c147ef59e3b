"""The embedded counterpart of RTE: a generated description, and a sentence that follows from it or does not.

The sentence says one fact of the described thing in other words of the grammar, or another value in its place. No name
is shared between the splits, nor with the pretraining corpus.
"""

from dataclasses import replace
from pathlib import Path
from random import Random

from stages.core.files import replacing, write_jsonl
from stages.tasks.common.generated import Generated
from stages.tasks.superglue import TASKS as SUPERGLUE
from stages.world.domains import OTHERS, Record, draw_record
from stages.world.grammar import Fact
from stages.world.names import place_name
from stages.world.verbalize import verbalize

# People have no names of their own in a split.
THINGS = tuple(domain for domain in OTHERS if not domain.person)
# Yes or no is said in two ways that follow from each other in this world alone (busy: needs an appointment).
_FLAG = ("yes", "no")


def _changed(rng: Random, fact: Fact, who: str) -> Fact:
    """The fact with another value: one that the attribute lists, or another thing's name."""
    while True:
        value = rng.choice(fact.attribute.values) if fact.attribute.values else place_name(rng, who)
        if value != fact.value:
            return Fact(fact.attribute, value)


def _pair(rng: Random, record: Record, follows: bool, who: str) -> tuple[str, str] | None:
    """Premise and hypothesis, told apart; None for a thing of which there is nothing to ask."""
    asked = [fact for fact in record.facts if fact.attribute.values != _FLAG]
    if not asked:
        return None
    fact = rng.choice(asked)
    said = fact if follows else _changed(rng, fact, who)
    return verbalize(rng, record), verbalize(rng, replace(record, facts=[said]))


def rows(split: str, count: int, seed: int) -> list[dict]:
    """As many rows, every other one of which follows; no two with the same premise."""
    rng, made = Random(f"{seed}/rte/{split}"), {}
    while len(made) < count:
        follows = len(made) % 2 == 0
        pair = _pair(rng, draw_record(rng, rng.choice(THINGS), split, fewest=3), follows, split)
        if pair is not None and pair[0] not in made:
            label = "entailment" if follows else "not_entailment"
            made[pair[0]] = {"premise": pair[0], "hypothesis": pair[1], "label": label, "idx": len(made)}
    return list(made.values())


def download(source: Generated, out: Path) -> None:
    """Write train, dev and test.jsonl into the directory `out`."""
    with replacing(out) as directory:
        directory.mkdir()
        for split in ("train", "dev", "test"):
            write_jsonl(directory / f"{split}.jsonl", rows(split, getattr(source, split), source.seed))


TASKS = {"mini_rte": replace(SUPERGLUE["rte"], source=Generated, download=download, recipe="rte", section=None)}
