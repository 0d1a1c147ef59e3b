"""Stage: choose the training examples of the run, data/run/train/{train,dev}.jsonl (paper, section 6.3).

An example is a source with one target. `train_size: full` keeps all of them; a number draws that many
at random, and 30% as many dev examples, which select the model (footnote 9).
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from random import Random

from stages import params
from stages.core.errors import UserError, entry_point
from stages.core.files import replacing
from stages.core.record import Record, read_records, write_records

DEV_SHARE = 0.3


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
    linearized: Path, split: str, size: int | str, subset: int, groups: Collection[str] | None = None
) -> Iterable[Record]:
    """The examples of a split for `size` training examples (`full`: all there are), of the `groups` alone if given."""

    def records() -> Iterator[Record]:
        return (r for r in read_records(linearized / f"{split}.jsonl") if groups is None or r.group in groups)

    if size == "full":
        return records()
    total = sum(len(record.targets) for record in records())
    return draw(records(), total, size if split == "train" else min(max(1, round(DEV_SHARE * size)), total), subset)


@entry_point
def main() -> None:
    chosen = params.load()
    linearized = Path("data/linearized") / chosen.task
    with replacing(Path("data/run/train")) as out:
        out.mkdir()
        for split in ("train", "dev"):
            write_records(out / f"{split}.jsonl", sample(linearized, split, chosen.train_size, chosen.subset))


if __name__ == "__main__":
    main()
