"""Stage: train the method on data/run/train; the result is data/run/model, the curve metrics/train.{csv,png}."""

from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path

import torch

from stages import params
from stages.core.errors import UserError, entry_point
from stages.core.files import write_json
from stages.core.record import read_records, with_source_prefix
from stages.core.scratch import code
from stages.methods import METHODS, build, learn, saved
from stages.models.encode import check_length, encode
from stages.models.model import LM
from stages.models.precision import dtype_of
from stages.open_model import open_model
from stages.training.checkpoint import Checkpoint
from stages.training.curve import write_curve
from stages.training.loop import Point, train
from stages.training.method import Method
from stages.training.recompute import recompute

DATA = Path("data/run/train")


def checkpoint_of(chosen: params.Params, lm: LM, belongs: dict) -> AbstractContextManager[Checkpoint]:
    """Of the run; `belongs` tells the model from others."""
    sections = {"train", "cut", *METHODS[chosen.method].READS}
    read = chosen.model_dump(include={"method", "source_words", "seed", "threads", *sections})
    training = chosen.training and asdict(chosen.training)
    where = [belongs, str(lm.computes_in), lm.device.type]
    files = (DATA / "train.jsonl", DATA / "dev.jsonl", *chosen.given, *code())
    return Checkpoint.of([read, training, asdict(chosen.decoding), *where], *files)


def train_run(
    chosen: params.Params, lm: LM, method: Method, checkpoint: Checkpoint
) -> tuple[dict[str, torch.Tensor], list[Point]]:
    """What the trained run stores, and the curve."""
    if chosen.training is None:
        return method.stored(), []
    decoding = chosen.decoding
    splits = {}
    for split in ("train", "dev"):
        records = with_source_prefix(read_records(DATA / f"{split}.jsonl"), chosen.source_words)
        splits[split] = encode(lm, records, decoding.source_tokens, decoding.target_tokens)
    with torch.no_grad():
        taken = lm.taken(method())
    for examples in splits.values():
        check_length(lm, examples, taken)
    return train(lm, method, [splits["train"]], [splits["dev"]], chosen.training, checkpoint)


@entry_point
def main() -> None:
    chosen = params.load()
    if chosen.prompt.file is not None and "prompt" not in METHODS[chosen.method].READS:
        raise UserError(f"{params.FILE}: prompt.file is given, but method {chosen.method} reads none: set method")
    lm = open_model(chosen)
    belongs = saved.belonging(lm)
    learn(lm, chosen, Path("data/linearized") / chosen.task)
    method = build(lm, chosen, [chosen.seed])
    lm.compute_in(dtype_of(chosen.precision, lm.device, lm.width))
    if chosen.train.activation_checkpointing:
        recompute(lm.blocks())
    trained = sum(p.numel() for p in method.trained())
    title = f"{chosen.method} on {chosen.task}, {chosen.model}"
    with checkpoint_of(chosen, lm, belongs) as checkpoint:
        stored, points = train_run(chosen, lm, method, checkpoint)
        counts = {
            "parameters_trained": trained,
            "parameters_stored": sum(tensor.numel() for tensor in stored.values()),
            "parameters_of_model": sum(p.numel() for p in lm.model.parameters()),
        }
        saved.save(
            params.RUN, chosen.method, stored, belongs, asdict(chosen.training) if chosen.training else {}, lm.labels
        )
        write_curve(Path("metrics/train.csv"), Path("metrics/train.png"), points, title)
        write_json(Path("metrics/train.json"), {"loss": round(points[-1].loss, 4) if points else None, **counts})
    print(f"{title}: " + ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in counts.items()))
    print(f"`recipe` in params.yaml: {chosen.recipe_name or 'none for these'}")


if __name__ == "__main__":
    main()
