"""The model card of a trained run, README.md of an export: what it is, what it was trained on, what it scores.

Only what is recorded is said; what is not known is said to be not known. Data and scores are those of DVC's lock file,
and only if that is of this very run: it names the run's checksum.
"""

import hashlib
import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import yaml
from huggingface_hub import ModelCardData

from stages.core.errors import UserError
from stages.core.files import read_json, read_text
from stages.methods.parts.given import RUN
from stages.methods.parts.saved import weights_of
from stages.models.identity import CONFIG
from stages.models.named import is_embedded, is_gguf

LOCK = Path("dvc.lock")
UNKNOWN = "not known"
_PREDICTIONS, _SCORES = "data/run/predictions.jsonl", "metrics/scores.json"
_ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Lock:
    """What DVC recorded of the run: for each stage, its deps and outs by path with their md5, and its parameters."""

    path: Path
    stages: Mapping[str, Any]

    @classmethod
    def of(cls, run: Path, path: Path) -> Self | None:
        """The lock file's content; None if there is none, or if it is of another run than the one in `run`."""
        if not path.is_file():
            return None
        try:
            found = cls(path, yaml.safe_load(read_text(path))["stages"])
            same = found.md5("train", "outs", str(RUN)) == directory_md5(run)
        except (yaml.YAMLError, AttributeError, KeyError, TypeError) as error:
            raise UserError(f"{path} is no lock file of DVC ({error.__class__.__name__})") from error
        return found if same else None

    def md5(self, stage: str, kind: str, path: str) -> str | None:
        """The recorded md5 of a path among the `deps` or `outs` of a stage."""
        entries = self.stages.get(stage, {}).get(kind, [])
        return next((entry["md5"] for entry in entries if entry["path"] == path), None)

    def params(self, stage: str) -> Mapping[str, Any]:
        """The recorded parameters of a stage."""
        return self.stages.get(stage, {}).get("params", {}).get("params.yaml", {})

    def scored(self, metrics: Path) -> bool:
        """Whether the file holds the scores of this run, as the stages `decode` and `score` wrote them."""
        chain = [
            (self.md5("decode", "deps", str(RUN)), self.md5("train", "outs", str(RUN))),
            (self.md5("score", "deps", _PREDICTIONS), self.md5("decode", "outs", _PREDICTIONS)),
            (self.md5("score", "outs", _SCORES), hashlib.md5(metrics.read_bytes()).hexdigest()),
        ]
        return all(one is not None and one == other for one, other in chain)


def directory_md5(directory: Path) -> str:
    """DVC's md5 of a directory without subdirectories: that of the list of its files with their md5."""
    files = sorted(path for path in directory.iterdir() if path.is_file())
    entries = [{"md5": hashlib.md5(path.read_bytes()).hexdigest(), "relpath": path.name} for path in files]
    return hashlib.md5(json.dumps(entries, sort_keys=True).encode()).hexdigest() + ".dir"


def card(
    run: Path, usage: str = "", lock: Path = LOCK, metrics: Path | None = None, license: str | None = None,
    library: str | None = None, base: str | None = None,
) -> str:  # fmt: skip
    """The card of the trained run in a directory, with the front matter that the hub reads.

    - `usage`: a section on how to use it.
    - `lock`: DVC's lock file; `metrics`: a JSON file of scores, None: that of the lock file.
    - `license`: the identifier of the run's licence; None: not known.
    - `library`: which one loads it; `base`: the base model's name, None: that of the run.

    Raises UserError if a file cannot be read.
    """
    config, recorded = read_json(run / CONFIG), Lock.of(run, lock)
    base = base or config["base_model"]
    title = f"# {config['method']} on {config.get('task') or 'a task that is not known'}, {base}\n"
    sections = [
        _front_matter(config, recorded, base, license, library),
        title,
        usage,
        "## The run\n",
        _table(_facts(run, config, base)),
        "## Data\n",
        _data(config, recorded),
        "## Settings\n",
        _settings(config, recorded),
        "## Scores\n",
        _scores(recorded, metrics),
        "## Licence\n",
        f"Of the run: {license or UNKNOWN}. The base model and the data have their own.\n",
        "## Origin\n",
        f"Written by the prefix-tuning pipeline, commit {commit()}.\n",
    ]
    return "\n".join(section for section in sections if section)


def _front_matter(
    config: Mapping[str, Any], recorded: Lock | None, base: str, license: str | None, library: str | None
) -> str:
    data = ModelCardData(
        base_model=base if _is_on_hub(base) else None, library_name=library, license=license or "unknown",
        tags=["prefix-tuning-pipeline", config["method"].replace("_", "-")], datasets=_datasets(config, recorded),
    )  # fmt: skip
    return f"---\n{data.to_yaml()}\n---\n"


def _is_on_hub(base: str) -> bool:
    """Whether a base model's name may be an id of the hub. The embedded models and files are none."""
    return not is_embedded(base) and not is_gguf(base) and not Path(base).is_dir() and base.count("/") <= 1


def _datasets(config: Mapping[str, Any], recorded: Lock | None) -> list[str] | None:
    """The hub's id of the task's data set, if it came from there."""
    if recorded is None:
        return None
    source = recorded.params("download").get("sources", {}).get(config.get("task")) or {}
    return [source["dataset"]] if source.get("dataset") and not source.get("root") else None


def _facts(run: Path, config: Mapping[str, Any], base: str) -> list[tuple[str, str]]:
    tensors, file = config["tensors"].values(), weights_of(run)
    numbers = sum(_product(tensor["shape"]) for tensor in tensors)
    imported = config.get("imported")
    return [
        ("base model", f"{base}, revision {config.get('revision') or UNKNOWN}" if _is_on_hub(base) else base),
        ("fingerprint of its weights", config["base_model_fingerprint"]),
        ("method", config["method"] + (f", imported from PEFT's {imported['peft_type']}" if imported else "")),
        ("task", config.get("task") or UNKNOWN),
        ("virtual tokens", str(config["prefix_len"] or "none")),
        ("size", f"{numbers:,} numbers, {file.stat().st_size:,} bytes"),
        ("dtype", ", ".join(sorted({tensor["dtype"] for tensor in tensors})) or "none"),
        (f"sha256 of the run's {file.name}", config.get("sha256", UNKNOWN)),
    ]  # fmt: skip


def _product(shape: Sequence[int]) -> int:
    numbers = 1
    for size in shape:
        numbers *= size
    return numbers


def _data(config: Mapping[str, Any], recorded: Lock | None) -> str:
    task = config.get("task")
    if recorded is None or task is None:
        return f"Checksums of the data: {UNKNOWN}.\n"
    paths = [
        ("download", "outs", f"data/raw/{task}"),
        ("train", "deps", f"data/linearized/{task}"),
        ("train", "deps", "data/run/train"),
    ]
    rows = [(f"`{path}`", recorded.md5(stage, kind, path) or UNKNOWN) for stage, kind, path in paths]
    return _table(rows, ("md5, as DVC computes it",))


def _settings(config: Mapping[str, Any], recorded: Lock | None) -> str:
    own = {key: config.get(key) for key in ("prefix_len", "source_words", "precision", "cut", "training", "options")}
    if recorded is not None:
        own |= {"seed": recorded.params("train").get("seed"), **recorded.params("subsample")}
    unknown = "" if config.get("training") is not None else f"How it was trained: {UNKNOWN}.\n\n"
    return f"{unknown}```json\n{json.dumps(own, indent=2)}\n```\n"


def _scores(recorded: Lock | None, metrics: Path | None) -> str:
    own = recorded is not None and recorded.path.parent / _SCORES
    file = metrics or own
    if not file or (metrics is None and not (file.is_file() and recorded.scored(file))):
        return f"Scores: {UNKNOWN}.\n"
    scores = read_json(file)
    if not isinstance(scores, dict):
        raise UserError(f"{file}: not a JSON object of scores by name")
    rows = [(name, "none" if value is None else str(value)) for name, value in scores.items()]
    proven = recorded is not None and recorded.scored(file)
    said = "By `dvc repro` (stages decode and score) on the test split." if proven else (
        f"As {file} gives them. Nothing that is recorded shows that they are of this run."
    )  # fmt: skip
    return f"{said}\n\n{_table(rows, ('score',))}"


def _table(rows: Sequence[tuple[str, str]], heads: tuple[str] = ("",)) -> str:
    return "\n".join([f"| | {heads[0]} |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)]) + "\n"


def commit() -> str:
    """The commit of the project's working tree, and whether its code is changed; that it is not known outside git."""
    try:
        head = _git("rev-parse", "HEAD")
        changed = _git("status", "--porcelain", "--", "stages", "params.yaml")
    except (OSError, subprocess.CalledProcessError):
        return UNKNOWN
    return head + (", with changes that are not committed" if changed else "")


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=_ROOT, check=True, capture_output=True, text=True).stdout.strip()
