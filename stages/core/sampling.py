"""Samples of training and dev examples (paper, section 6.3). An example is a source with one target."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from random import Random

from stages.core.errors import UserError
from stages.core.record import Record, read_records


def draw(records: Iterable[Record], total: int, size: int, subset: int) -> list[Record]:
    """Draw `size` of the `total` examples without replacement; each is a record with one target.

    `subset` seeds the random order. A smaller sample of the same subset is the beginning of a larger one.
    Raises UserError if `size` is above `total`.
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
    """The examples of a split (`train` or `dev`) for a run with `size` training examples; `full`: all examples.

    There are `dev_share` times as many dev examples (footnote 9), or as many as the split has. `groups` restricts the
    examples to these groups. Raises UserError if there are fewer training examples than `size`.
    """
    if size == "full":
        return records_of(linearized, split, groups)
    total = sum(len(record.targets) for record in records_of(linearized, split, groups))
    wanted = size if split == "train" else min(max(1, round(dev_share * size)), total)
    return draw(records_of(linearized, split, groups), total, wanted, subset)


def records_of(linearized: Path, split: str, groups: Collection[str] | None) -> Iterator[Record]:
    """The records of a split; of these groups only if `groups` is not None."""
    return (r for r in read_records(linearized / f"{split}.jsonl") if groups is None or r.group in groups)
