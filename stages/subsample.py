"""Stage: choose the training examples of the run, data/run/train/{train,dev}.jsonl (paper, section 6.3).

An example is a source with one target. `train_size: full` keeps all of them; a number draws that many
at random, and 30% as many dev examples, which select the model (footnote 9).
"""

from collections.abc import Iterable
from pathlib import Path
from random import Random

from stages import params
from stages.errors import UserError, entry_point
from stages.files import replacing
from stages.tasks.record import Record, read_records, write_records

DEV_SHARE = 0.3


def draw(records: Iterable[Record], total: int, size: int, seed: str) -> list[Record]:
    """`size` of the `total` examples, each a record of one target, drawn without replacement.

    A smaller size with the same seed is a subset of a larger one.
    """
    if size > total:
        raise UserError(f"params.yaml: train_size asks for {size:,} examples where the task has {total:,}")
    order = list(range(total))
    Random(seed).shuffle(order)
    chosen = set(order[:size])
    examples = (Record(r.id, r.source, [target], r.group, r.name) for r in records for target in r.targets)
    drawn = {number: example for number, example in enumerate(examples) if number in chosen}
    return [drawn[number] for number in order[:size]]


@entry_point
def main() -> None:
    chosen = params.load()
    linearized = Path("data/linearized") / chosen.task
    with replacing(Path("data/run/train")) as out:
        out.mkdir()
        for split in ("train", "dev"):
            file, size = linearized / f"{split}.jsonl", chosen.train_size
            records = read_records(file)
            if size != "full":
                total = sum(len(record.targets) for record in read_records(file))
                size = size if split == "train" else min(max(1, round(DEV_SHARE * size)), total)
                records = draw(records, total, size, f"subset {chosen.subset}")
            write_records(out / f"{split}.jsonl", records)


if __name__ == "__main__":
    main()
