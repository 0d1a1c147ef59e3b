"""Stage: train the method on data/run/train; the result is data/run/model, the curve metrics/train.{csv,png}."""

from dataclasses import asdict
from pathlib import Path

import torch

from stages import params
from stages.engine import model
from stages.engine.batches import check_length, encode
from stages.engine.checkpoint import Checkpoint
from stages.engine.curve import write_curve
from stages.engine.determinism import settle
from stages.engine.train import Point, train
from stages.errors import entry_point
from stages.files import write_json
from stages.methods import prefix, saved
from stages.methods.cache import empty_prefix
from stages.progress import quiet_unless_terminal
from stages.tasks.record import read_records

DATA = Path("data/run/train")
OUT = Path("data/run/model")


def train_prefix(chosen: params.Params, lm: model.FrozenLM, points: list[Point]) -> tuple[torch.Tensor, int]:
    """The trained prefix and the number of trained parameters."""
    training = chosen.training
    splits = {split: encode(lm, read_records(DATA / f"{split}.jsonl")) for split in ("train", "dev")}
    for examples in splits.values():
        check_length(lm, examples, training.prefix_len)
    options = chosen.prefix
    method = prefix.build(
        lm, training.prefix_len, training.mlp_width, [chosen.seed], options.dropout, options.init_words
    )
    settings = [
        asdict(training),
        chosen.train.model_dump(),
        options.model_dump(),
        chosen.seed,
        lm.name,
        lm.fingerprint(),
    ]
    checkpoint = Checkpoint.of(settings, DATA / "train.jsonl", DATA / "dev.jsonl")
    result = train(lm, method, [splits["train"]], splits["dev"], training, chosen.train, checkpoint, points.append)
    return result, sum(p.numel() for p in method.parameters())


@entry_point
def main() -> None:
    chosen = params.load()
    settle(chosen.threads)
    quiet_unless_terminal()
    lm = model.load(chosen.model_directory, chosen.model, chosen.revision)
    points: list[Point] = []
    trained, result = 0, empty_prefix(lm.shape)
    if chosen.training is not None:
        result, trained = train_prefix(chosen, lm, points)
    saved.save(OUT, result, lm, chosen.method, asdict(chosen.training) if chosen.training else {})
    write_curve(
        Path("metrics/train.csv"),
        Path("metrics/train.png"),
        points,
        f"{chosen.method} on {chosen.task}, {chosen.model}",
    )
    write_json(Path("metrics/train.json"), {
        "loss": round(points[-1].loss, 4) if points else None,
        "parameters_trained": trained,
        "parameters_stored": result.numel(),
    })  # fmt: skip


if __name__ == "__main__":
    main()
