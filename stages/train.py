"""Stage: train the method on data/run/train; the result is data/run/model, the curve metrics/train.{csv,png}."""

from dataclasses import asdict
from pathlib import Path

import torch

from stages import params
from stages.engine import batches
from stages.engine import train as engine
from stages.engine.batches import check_length, encode
from stages.engine.checkpoint import Checkpoint
from stages.engine.curve import write_curve
from stages.engine.model import FrozenLM
from stages.engine.start import open_model
from stages.engine.train import Point, train
from stages.errors import entry_point
from stages.files import write_json
from stages.methods import prefix, saved
from stages.methods.cache import empty_prefix
from stages.tasks.record import read_records

DATA = Path("data/run/train")
OUT = Path("data/run/model")
# A checkpoint of other code is not gone on with.
CODE = [Path(module.__file__) for module in (batches, engine, prefix)]


def train_prefix(chosen: params.Params, lm: FrozenLM) -> tuple[torch.Tensor, list[Point], int]:
    """The trained prefix, the curve, and the number of trained parameters."""
    training = chosen.training
    splits = {split: encode(lm, read_records(DATA / f"{split}.jsonl")) for split in ("train", "dev")}
    for examples in splits.values():
        check_length(lm, examples, training.prefix_len)
    options, length, width = chosen.prefix, training.prefix_len, training.mlp_width
    method = prefix.build(lm, length, width, [chosen.seed], options.dropout, options.init_words)
    settings = [asdict(training), chosen.train.model_dump(), options.model_dump(), chosen.seed, lm.fingerprint()]
    checkpoint = Checkpoint.of(settings, DATA / "train.jsonl", DATA / "dev.jsonl", *CODE)
    result, points = train(lm, method, [splits["train"]], splits["dev"], training, chosen.train, checkpoint)
    return result, points, sum(p.numel() for p in method.parameters())


@entry_point
def main() -> None:
    chosen = params.load()
    lm = open_model(chosen)
    result, points, trained = empty_prefix(lm.shape), [], 0
    if chosen.training is not None:
        result, points, trained = train_prefix(chosen, lm)
    saved.save(OUT, result, lm, chosen.method, asdict(chosen.training) if chosen.training else {})
    title = f"{chosen.method} on {chosen.task}, {chosen.model}"
    write_curve(Path("metrics/train.csv"), Path("metrics/train.png"), points, title)
    write_json(Path("metrics/train.json"), {
        "loss": round(points[-1].loss, 4) if points else None,
        "parameters_trained": trained,
        "parameters_stored": result.numel(),
    })  # fmt: skip


if __name__ == "__main__":
    main()
