"""Samples of training and dev examples (paper, section 6.3). An example is a source with one target."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from random import Random

from stages.core.errors import UserError
from stages.core.record import Record, read_records


def draw(records: Iterable[Record], total: int, size: int, subset: int) -> list[Record]:
    """`size` of the `total` examples, each a record of one target, drawn without replacement.

    A smaller size of the same subset is part of a larger one. Raises UserError if there are not so many.
    """
    if size > total:
        raise UserError(f"params.yaml: train_size asks for {size:,} examples where the task has {total:,}")
    order = list(range(total))
    Random(f"subset {subset}").shuffle(order)
    chosen = set(order[:size])
    examples = (replace(record, targets=[target]) for record in records for target in record.targets)
    drawn = {number: example for number, example in enumerate(examples) if number in chosen}
    return [drawn[number] for number in order[:size]]


def sample(
    linearized: Path,
    split: str,
    size: int | str,
    subset: int,
    dev_share: float,
    groups: Collection[str] | None = None,
) -> Iterable[Record]:
    """The examples of a split for `size` training examples (`full`: all there are), of the `groups` alone if given.

    Dev examples, which select the model, are `dev_share` times as many (footnote 9), if there are so many. Raises
    UserError if there are fewer training examples than `size`.
    """
    if size == "full":
        return records_of(linearized, split, groups)
    total = sum(len(record.targets) for record in records_of(linearized, split, groups))
    wanted = size if split == "train" else min(max(1, round(dev_share * size)), total)
    return draw(records_of(linearized, split, groups), total, wanted, subset)


def records_of(linearized: Path, split: str, groups: Collection[str] | None) -> Iterator[Record]:
    """The records of a split, of the `groups` alone if given."""
    return (r for r in read_records(linearized / f"{split}.jsonl") if groups is None or r.group in groups)
