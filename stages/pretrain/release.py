"""Put pretrained models where the single run finds them, data/base, each with its card, to be committed with a review.

No stage: a bare `dvc repro` must use the released models and never pretrain one. A model whose probes or losses miss
a bound of params.yaml (`probes.bounds`) is refused, and then nothing is released.
"""

import argparse
import datetime
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stages import params
from stages.core.errors import UserError, entry_point
from stages.core.files import read_json, replacing, sha256, write_text
from stages.models.named import BASE
from stages.pretrain.card import Origin, card
from stages.pretrain.gate import Numbers, misses
from stages.pretrain.made import Made
from stages.pretrain.section import Bounds, Denoise, Pretrain

_FIRST = "run `dvc --cd pretrain repro probes-gpt2 probes-bart` first"


@dataclass(frozen=True)
class Candidate:
    """A pretrained model, what was measured of it and what it must reach."""

    directory: Path
    made: Made
    numbers: Numbers
    bounds: Bounds
    chosen: Pretrain | Denoise


def candidate(name: str, chosen: params.Params) -> Candidate:
    """Read what the stages left. Raises UserError for what is missing, and for probes of other weights."""
    training, probes, section = {
        "mini-gpt2": ("pretrain", "probes_gpt2", chosen.pretrain),
        "mini-bart": ("denoise", "probes_bart", chosen.denoise),
    }[name]
    directory = Path("pretrain/data") / name
    if not (directory / "model.safetensors").exists():
        raise UserError(f"{directory} holds no model: {_FIRST}")
    trained, probed = _metrics(training), _metrics(probes)
    if probed.pop("weights", None) != sha256(directory / "model.safetensors"):
        raise UserError(f"pretrain/metrics/{probes}.json is of other weights than {directory}: {_FIRST}")
    try:
        made = Made(**trained["made"])
    except (KeyError, TypeError) as error:
        raise UserError(
            f"pretrain/metrics/{training}.json does not say how {name} was made ({error}): {_FIRST}"
        ) from error
    return Candidate(directory, made, {**probed, "loss": trained["loss"]}, chosen.probes.bounds[name], section)


def _metrics(name: str) -> dict[str, Any]:
    path = Path(f"pretrain/metrics/{name}.json")
    if not path.exists():
        raise UserError(f"{path} is missing: {_FIRST}")
    return read_json(path)


def check(candidates: list[Candidate]) -> None:
    """Raises UserError that names each bound that is missed, with its value."""
    found = [(one.directory.name, missed) for one in candidates if (missed := misses(one.numbers, one.bounds))]
    if found:
        raise UserError("; ".join(f"{name} is not good enough: {', '.join(missed)}" for name, missed in found))


def origin() -> Origin:
    """Of the working tree. Raises UserError outside a git repository."""
    commit = _git("rev-parse", "HEAD")
    changed = _git("diff", "--name-only", "HEAD", "--", "stages", "params.yaml", "pretrain/dvc.yaml").split()
    changes = f", with changes in {', '.join(changed)}" if changed else ""
    return Origin(commit + changes, datetime.datetime.now(datetime.UTC).date().isoformat())


def _git(*arguments: str) -> str:
    try:
        return subprocess.run(["git", *arguments], check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError) as error:
        raise UserError("a release names its commit, but this is no git repository, or git is missing") from error


def release(one: Candidate, corpus_seed: int, source: Origin) -> None:
    text = card(one.directory, one.made, one.chosen, corpus_seed, one.numbers, one.bounds, source)
    with replacing(BASE / one.directory.name) as released:
        shutil.copytree(one.directory, released)
        write_text(released / "README.md", text)
    print(f"released {BASE / one.directory.name}")


@entry_point
def main() -> None:
    chosen = params.load()
    names = list(chosen.probes.bounds)
    parser = argparse.ArgumentParser(description="Release pretrained models into data/base.")
    parser.add_argument("model", nargs="*", help=f"{' or '.join(names)}; none: all")
    asked = parser.parse_args().model or names
    if unknown := [name for name in asked if name not in names]:
        raise UserError(f"no such model: {unknown[0]}; there are {' and '.join(names)}")
    candidates = [candidate(name, chosen) for name in asked]
    check(candidates)
    source = origin()
    for one in candidates:
        release(one, chosen.pretrain.seed, source)


if __name__ == "__main__":
    main()
