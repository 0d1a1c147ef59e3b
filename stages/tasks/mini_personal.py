"""Restaurants described by several users, each in a style of his own: generated, for a prefix per user (section 8.1).

A user's style is how he opens a description and goes on, how much a sentence holds, and what he ends with. He has his own
restaurants: no name is in the data of two users, nor in two splits.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from random import Random

from stages.core.files import read_jsonl, replacing, write_jsonl
from stages.core.record import Record
from stages.core.sections import Count, Section, Whole
from stages.scoring.e2e import E2E
from stages.tasks import Linearize, Task
from stages.tasks.e2e import SHOWN, linearize_mr
from stages.world.domains import RESTAURANT, draw_record
from stages.world.grammar import PLANS, SUBJECTS, Manner, realise

SPLITS = ("train", "dev", "test")
CLOSINGS = (
    "Do drop in!", "Well worth a visit.", "I go there often.", "Book ahead.", "Tell them I sent you.", "You will like it.",
    "Not bad at all.", "Ask for the window table.", "Bring a friend.", "My favourite by far.", "Give it a try.",
    "Go early.", "Everyone should know it.", "See you there!", "It never disappoints.", "Take the bus.",
)  # fmt: skip


class Users(Section):
    """The section of `sources`: `users` with `fewest` to `most` training examples each, and `dev` and `test` records."""

    seed: Whole
    users: Count
    fewest: Count
    most: Count
    dev: Count
    test: Count


@dataclass(frozen=True)
class Style:
    """How a user writes."""

    manner: Manner
    closing: str

    @classmethod
    def of(cls, user: int, seed: int) -> "Style":
        """The style of a user: no two of the first 16 end alike."""
        rng = Random(f"{seed}/style {user}")
        plan, subject = user % len(PLANS), rng.randrange(len(SUBJECTS))
        return cls(
            Manner(
                plans=tuple(float(i == plan) for i in range(len(PLANS))),
                subjects=tuple(float(i == subject) for i in range(len(SUBJECTS))),
                shuffled=0.0, packed=rng.choice((0, 1, 2, 3)), most=rng.choice((1, 2, 3)),
            ),
            CLOSINGS[user % len(CLOSINGS)],
        )  # fmt: skip


def name_of(user: int) -> str:
    return f"user_{user:02d}"


def rows(source: Users, split: str) -> list[dict]:
    """`user`, meaning representation and text of each record of a split."""
    found, taken = [], set()
    for user in range(source.users):
        rng, style = Random(f"{source.seed}/{split}/{user}"), Style.of(user, source.seed)
        count = getattr(source, split) if split != "train" else rng.randint(source.fewest, source.most)
        own = 0
        while own < count:
            record = draw_record(rng, RESTAURANT, who=split)
            if record.name in taken:
                continue
            taken.add(record.name)
            text = realise(rng, record.name, record.noun, record.facts, manner=style.manner)
            found.append({"user": name_of(user), "mr": dict(record.pairs()), "text": f"{text} {style.closing}"})
            own += 1
    return found


def download(source: Users, out: Path) -> None:
    """Write train, dev and test.jsonl into the directory `out`."""
    with replacing(out) as directory:
        directory.mkdir()
        for split in SPLITS:
            write_jsonl(directory / f"{split}.jsonl", rows(source, split))


def linearize(raw: Path, _: Linearize) -> dict[str, Iterable[Record]]:
    """Records by split, in the order of the users; a record's group is its user."""
    return {
        split: [
            Record(f"{split}-{number:05d}", linearize_mr(row["mr"]), [row["text"]], row["user"], row["mr"]["name"])
            for number, row in enumerate(read_jsonl(raw / f"{split}.jsonl"))
        ]
        for split in SPLITS
    }


TASKS = {"mini_personal": Task(Users, download, linearize, metrics=E2E, shown=SHOWN, recipe="e2e")}
