"""One training of one method on one sample of a task, and what becomes of it on the test set."""

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import torch

from bench.strength.restaurants import restaurant_measures
from stages import params, subsample
from stages.core.files import read_text, replacing, sha256, write_json
from stages.core.record import Record, read_records, write_records
from stages.core.scratch import code
from stages.decode import hypotheses_of
from stages.methods import apply, build, learn, saved
from stages.models.encode import Examples, encode
from stages.models.linear import pack
from stages.models.model import LM
from stages.models.precision import dtype_of
from stages.open_model import open_model
from stages.score import scores_of
from stages.subsample import DEV_SHARE
from stages.tasks import source_of, task_of
from stages.training.checkpoint import Checkpoint
from stages.training.loop import dev_loss, train

KEPT = Path(".bench/strength")
DEV_OF_FULL = 300  # examples of the dev split that judge a training on the full data
EVAL_BATCH = 16


@dataclass(frozen=True)
class Unit:
    """A point of a grid. `given` are (key of params.yaml, value), over those of the file."""

    task: str
    model: str
    method: str
    size: int | str
    seed: int
    given: tuple[tuple[str, object], ...]

    @cached_property
    def chosen(self) -> params.Params:
        """The parameters of this training: the subset goes with the seed, the CPU is not shared."""
        raw = params.read()
        own = {"task": self.task, "model": self.model, "method": self.method, "train_size": self.size,
               "subset": self.seed, "seed": 101 + self.seed, "threads": 1, **dict(self.given)}  # fmt: skip
        for key, value in own.items():
            *sections, last = key.split(".")
            part = raw
            for section in sections:
                part = part[section]
            part[last] = value
        return params.check(raw)

    @cached_property
    def directory(self) -> Path:
        """Where its results are kept: another place with other parameters, data, model or code."""
        chosen = self.chosen
        used = chosen.model_dump(include={"task", "method", "train_size", "subset", "seed", "precision", "linearize",
                                          "train", "optimizers", "prefix", "prompt", "projector", "apt", "adapter", "ft_top2", "cut",
                                          "decode"})  # fmt: skip
        source = source_of(self.task, chosen.sources).model_dump()
        weights = Path(chosen.model_directory) / "model.safetensors"
        settings = [used, source, asdict(chosen.training), asdict(chosen.decoding), sha256(weights)]
        digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
        for file in code():
            digest.update(file.read_bytes())
        return KEPT / "units" / digest.hexdigest()[:16]


def linearized(chosen: params.Params) -> Path:
    """The task's data as the stages make them, kept for all units."""
    source = source_of(chosen.task, chosen.sources)
    settings = [chosen.task, source.model_dump(), chosen.linearize.model_dump()]
    name = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]
    out = KEPT / "data" / f"{chosen.task}-{name}"
    if not out.exists():
        raw = out.with_name(f"{out.name}.raw")
        task_of(chosen.task).download(source, raw)
        with replacing(out) as directory:
            directory.mkdir()
            for split, records in task_of(chosen.task).linearize(raw, chosen.linearize).items():
                write_records(directory / f"{split}.jsonl", records)
    return out


def sample(unit: Unit, split: str) -> list[Record]:
    """The unit's training or dev examples, as the stage `subsample` draws them; of all, `DEV_OF_FULL` dev examples."""
    size = round(DEV_OF_FULL / DEV_SHARE) if split == "dev" and unit.size == "full" else unit.size
    return list(subsample.sample(linearized(unit.chosen), split, size, unit.seed))


def opened(unit: Unit) -> tuple[LM, dict]:
    lm = open_model(unit.chosen)
    belongs = saved.belonging(lm)
    lm.compute_in(dtype_of(unit.chosen.precision, lm.device, lm.width))
    return lm, belongs


def train_unit(unit: Unit) -> float:
    """Train it if that was not done; its loss on its dev examples."""
    result = unit.directory / "trained.json"
    if not result.exists():
        lm, belongs = opened(unit)
        chosen = unit.chosen
        learn(lm, chosen, linearized(chosen))
        cut = chosen.decoding.source_tokens, chosen.decoding.target_tokens
        examples, dev = (encode(lm, sample(unit, split), *cut) for split in ("train", "dev"))
        checkpoint = Checkpoint(unit.directory / "checkpoint" / "checkpoint.safetensors")
        method = build(lm, chosen, [chosen.seed])
        stored, _ = train(lm, method, [examples], [dev], chosen.training, checkpoint)
        loss = _loss(lm, apply(unit.method, lm, stored), dev)
        saved.save(unit.directory / "model", unit.method, stored, belongs, asdict(chosen.training), lm.labels)
        write_json(result, {"unit": asdict(unit), "loss": round(loss, 4)})
        checkpoint.remove()
    return json.loads(read_text(result))["loss"]


def _loss(lm: LM, steering, dev: Examples) -> float:
    with torch.no_grad():
        return dev_loss(lm, steering, [dev], EVAL_BATCH).item()


def test_unit(unit: Unit) -> dict[str, float]:
    """The official scores of a trained unit on the test set, with what is measured of restaurants."""
    result = unit.directory / "scores.json"
    if not result.exists():
        train_unit(unit)
        lm, _ = opened(unit)
        steering = saved.load(unit.directory / "model", lm)
        pack(lm.model)
        records = list(read_records(linearized(unit.chosen) / "test.jsonl"))
        hypotheses = hypotheses_of(lm, steering, records, unit.chosen, unit.directory / "predictions.jsonl")
        with task_of(unit.task).metrics.scorer() as measure:
            scores = dict(scores_of(unit.task, measure, hypotheses, records).metrics)
        if unit.task == "mini_e2e":
            scores |= restaurant_measures([record.source for record in records], hypotheses)
        write_json(result, scores)
    return json.loads(read_text(result))
