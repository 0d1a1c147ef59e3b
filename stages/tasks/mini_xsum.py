"""The embedded counterpart of XSum: generated articles with one-sentence summaries, in xsum's jsonl.

No name of a thing is shared between the splits, nor with the pretraining corpus; first names of people are.
"""

from pathlib import Path
from random import Random

from stages.core.files import replacing, write_jsonl
from stages.scoring.xsum import XSUM
from stages.tasks import Task
from stages.tasks.common.generated import Generated
from stages.tasks.xsum import SHOWN, SPLITS, linearize
from stages.world.news import TOPICS, Article, draw_article


def articles(split: str, count: int, seed: int) -> list[tuple[str, Article]]:
    """`count` distinct articles of a split, each with its topic; the topics take turns."""
    rng = Random(f"{seed}/xsum/{split}")
    made: dict[str, tuple[str, Article]] = {}
    while len(made) < count:
        topic = list(TOPICS)[len(made) % len(TOPICS)]
        article = draw_article(rng, topic, who=split)
        made[article.document] = (topic, article)
    return list(made.values())


def download(source: Generated, out: Path) -> None:
    """Write train, dev and test.jsonl into the directory `out`."""
    with replacing(out) as directory:
        directory.mkdir()
        for part, split in enumerate(SPLITS, start=1):
            write_jsonl(directory / f"{split}.jsonl", _rows(split, part, getattr(source, split), source.seed))


def _rows(split: str, part: int, count: int, seed: int) -> list[dict]:
    return [
        {
            "id": f"{split}-{index:05d}",
            "url": f"https://news.example/{topic}/{part}{index:05d}",
            "document": article.document,
            "summary": article.summary,
        }
        for index, (topic, article) in enumerate(articles(split, count, seed))
    ]


TASKS = {"mini_xsum": Task(Generated, download, linearize, metrics=XSUM, shown=SHOWN, recipe="xsum")}
