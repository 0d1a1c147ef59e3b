"""Stage: choose the training examples of the run, data/run/train/{train,dev}.jsonl (paper, section 6.3).

An example is a source with one target. `train_size: full` keeps all of them; a number draws that many
at random, and 30% as many dev examples, which select the model (footnote 9).
"""

from pathlib import Path
from random import Random

from stages import params
from stages.errors import UserError, entry_point
from stages.files import replacing
from stages.tasks.record import Record, read_records, write_records

DEV_SHARE = 0.3


def draw(records: list[Record], size: int, seed: str) -> list[Record]:
    """`size` examples, each a record of one target, drawn without replacement.

    A smaller size with the same seed is a subset of a larger one.
    """
    examples = [Record(r.id, r.source, [target], r.group, r.name) for r in records for target in r.targets]
    if size > len(examples):
        raise UserError(f"params.yaml: train_size asks for {size:,} examples where the task has {len(examples):,}")
    Random(seed).shuffle(examples)
    return examples[:size]


@entry_point
def main() -> None:
    chosen = params.load()
    linearized = Path("data/linearized") / chosen.task
    splits = {split: read_records(linearized / f"{split}.jsonl") for split in ("train", "dev")}
    if chosen.train_size != "full":
        seed = f"subset {chosen.subset}"
        dev_size = min(max(1, round(DEV_SHARE * chosen.train_size)), sum(len(r.targets) for r in splits["dev"]))
        splits = {"train": draw(splits["train"], chosen.train_size, seed), "dev": draw(splits["dev"], dev_size, seed)}
    with replacing(Path("data/run/train")) as out:
        out.mkdir()
        for split, records in splits.items():
            write_records(out / f"{split}.jsonl", records)


if __name__ == "__main__":
    main()
