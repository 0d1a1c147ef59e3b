"""Stage: train the method on data/run/train; the result is data/run/model, the curve metrics/train.{csv,png}."""

from dataclasses import asdict
from pathlib import Path

import torch

from stages import params
from stages.engine.checkpoint import Checkpoint, code
from stages.engine.curve import write_curve
from stages.engine.encode import check_length, encode
from stages.engine.model import LM
from stages.engine.precision import dtype_of
from stages.engine.recompute import recompute
from stages.engine.start import open_model
from stages.engine.train import Point, train
from stages.errors import entry_point
from stages.files import write_json
from stages.methods import build, learn, saved
from stages.methods.method import Method
from stages.tasks.record import prefaced, read_records

DATA = Path("data/run/train")
OUT = Path("data/run/model")


def train_run(
    chosen: params.Params, lm: LM, method: Method, belongs: dict
) -> tuple[dict[str, torch.Tensor], list[Point]]:
    """What the trained run stores, and the curve; `belongs` tells the model from others."""
    training, decoding = chosen.training, chosen.decoding
    splits = {}
    for split in ("train", "dev"):
        records = prefaced(read_records(DATA / f"{split}.jsonl"), chosen.source_words)
        splits[split] = encode(lm, records, decoding.source_tokens, decoding.target_tokens)
    with torch.no_grad():
        taken = lm.taken(method())
    for examples in splits.values():
        check_length(lm, examples, taken)
    sections = {"train", "prefix", "prompt", "projector", "apt", "adapter", "ft_top2", "cut"}
    settings = chosen.model_dump(include={"method", "source_words", "seed", "threads", *sections})
    files = (DATA / "train.jsonl", DATA / "dev.jsonl", *chosen.given, *code())
    checkpoint = Checkpoint.of([settings, asdict(training), asdict(decoding), belongs, str(lm.computes_in)], *files)
    return train(lm, method, [splits["train"]], [splits["dev"]], training, checkpoint)


@entry_point
def main() -> None:
    chosen = params.load()
    lm = open_model(chosen)
    belongs = saved.belonging(lm)
    learn(lm, chosen, Path("data/linearized") / chosen.task)
    method = build(lm, chosen, [chosen.seed])
    lm.compute_in(dtype_of(chosen.precision, lm.device, lm.width))
    if chosen.train.activation_checkpointing:
        recompute(lm.blocks())
    trained = sum(p.numel() for p in method.trained())
    stored, points = train_run(chosen, lm, method, belongs) if chosen.training else (method.stored(), [])
    saved.save(OUT, chosen.method, stored, belongs, asdict(chosen.training) if chosen.training else {}, lm.labels)
    title = f"{chosen.method} on {chosen.task}, {chosen.model}"
    write_curve(Path("metrics/train.csv"), Path("metrics/train.png"), points, title)
    counts = {
        "parameters_trained": trained,
        "parameters_stored": sum(tensor.numel() for tensor in stored.values()),
        "parameters_of_model": sum(p.numel() for p in lm.model.parameters()),
    }
    print(f"{title}: " + ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in counts.items()))
    print(f"`recipe` in params.yaml: {chosen.recipe_name or 'none for these'}")
    write_json(Path("metrics/train.json"), {"loss": round(points[-1].loss, 4) if points else None, **counts})


if __name__ == "__main__":
    main()
