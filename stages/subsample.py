"""Stage: choose the training examples of the run, data/run/train/{train,dev}.jsonl (paper, section 6.3).

`train_size: full` keeps all examples; a number draws that many at random, and `dev_share` times as many dev examples.
"""

from pathlib import Path

from stages import params
from stages.core.errors import entry_point
from stages.core.files import replacing
from stages.core.record import write_records
from stages.core.sampling import sample
from stages.core.stage_costs import write_stage_cost

OUT = Path("data/run/train")


@entry_point
def main() -> None:
    chosen = params.load()
    linearized = Path("data/linearized") / chosen.task
    with replacing(OUT) as out:
        out.mkdir()
        for split in ("train", "dev"):
            examples = sample(linearized, split, chosen.train_size, chosen.subset, chosen.dev_share)
            write_records(out / f"{split}.jsonl", examples)
    write_stage_cost("subsample", OUT)


if __name__ == "__main__":
    main()
