"""Exports a trained run: `python -m stages.export RUN_DIR OUT --format peft|kv`.

`peft`: a directory that PEFT loads; `kv`: keys and values for transformers' cache. Each has a model card, README.md,
which says how to use it (docs/peft.md).
"""

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stages.core.startup import model_imports

with model_imports():
    import torch
    from huggingface_hub import HfApi

    from stages.card import LOCK, card
    from stages.core.errors import UserError, entry_point
    from stages.core.files import read_json, replacing, write_json
    from stages.core.tensors import write_tensors
    from stages.exchange import hub, inputs, keys_values, peft_write
    from stages.exchange.outputs import check_new
    from stages.methods.parts import saved
    from stages.models.adaptation import Adaptation
    from stages.models.identity import CONFIG, check_belongs
    from stages.models.load import load
    from stages.models.model import LM
    from stages.models.named import is_embedded, path_of
    from stages.models.progress import quiet_unless_terminal


@dataclass(frozen=True)
class Run:
    """A trained run with its model: the base model's name for others, its config, its tensors and its adaptation."""

    lm: LM
    base: str
    config: Mapping[str, Any]
    state: Mapping[str, torch.Tensor]
    adaptation: Adaptation

    @classmethod
    def read(cls, directory: Path, lm: LM, base: str | None = None) -> "Run":
        """Read a run. Raises UserError as `saved.load`."""
        config = check_belongs(directory, lm)
        return cls(lm, base or config["base_model"], config, saved.state_of(directory), saved.load(directory, lm))

    @property
    def revision(self) -> str | None:
        """The base model's revision on the hub; None for a local model."""
        local = is_embedded(self.base) or Path(self.base).exists()
        return None if local else self.config["revision"]


def _peft(run: Run, out: Path) -> str:
    """Write what PEFT reads into `out`, and return how it is used."""
    adapter = peft_write.adapter_of(run.lm, run.config["method"], run.adaptation, run.state)
    about = {"base_model_name_or_path": run.base, "revision": run.revision}
    write_json(out / peft_write.CONFIG, adapter.config | about)
    write_tensors(out / peft_write.WEIGHTS, adapter.tensors, {"format": "pt"})
    write_json(out / peft_write.ORIGIN, {key: run.config[key] for key in ("base_model", peft_write.FINGERPRINT)})
    opening = inputs.opening(run.lm, run.base, run.revision, ["from peft import PeftModel"])
    return _usage(
        run,
        opening + "model = PeftModel.from_pretrained(base, here)\n",
        inputs.ids_of_source(run.lm, run.config, adapter.reads_begin),
        inputs.generating(run.lm, "model"),
    )


def _kv(run: Run, out: Path) -> str:
    """Write keys and values into `out`, and return how they are used."""
    found = keys_values.keys_values_of(run.lm, run.adaptation, run.config["method"])
    about = {"base_model": run.base, "base_model_fingerprint": run.config["base_model_fingerprint"],
             "begin_tokens": len(run.lm.begin)}  # fmt: skip
    keys_values.write(out, found, about)
    return _usage(
        run,
        inputs.opening(run.lm, run.base, run.revision, keys_values.IMPORTS),
        inputs.ids_of_source(run.lm, run.config, begin=False) + keys_values.USE,
        inputs.generating(run.lm, "base", "whole", past_key_values="cache"),
    )


def _usage(run: Run, *code: str) -> str:
    """The section of the card that says how the export is used, with pieces of code."""
    said = "The run was trained on these ids of a source, and on no others.\n"
    if "imported" in run.config:
        said = (
            "The pipeline reads a source so. Which ids the adapter was trained on, before its import, is not known.\n"
        )
    said += "Length, beams and their penalty are yours.\n"
    if is_embedded(run.base):
        command = f"python -c \"from stages.models.named import path_of; print(path_of('{run.base}'))\""
        said += f"\n`{run.base}` is a model of the pipeline's repository. There, `{command}` prints its directory.\n"
    joined = "\n".join(code)
    return f"## Use\n\n{said}\n```python\n{joined}```\n"


@dataclass(frozen=True)
class Format:
    """A form of an export: what writes it and returns its section `Use`, and the library that reads it."""

    write: Callable[[Run, Path], str]
    library: str


FORMATS = {"peft": Format(_peft, "peft"), "kv": Format(_kv, "transformers")}


def export(
    directory: Path, out: Path, kind: str, lm: LM, *, base: str | None = None, lock: Path = LOCK,
    metrics: Path | None = None, license: str | None = None,
) -> None:  # fmt: skip
    """Write the run in `directory` to the directory `out` in a format of `FORMATS`, completely or not at all.

    `base`: the base model's name for others, None: that of the run; the rest is as in `card`. Raises UserError if the
    run cannot travel in this format, if it is not whole, or if `out` exists or cannot be written.
    """
    check_new(out)
    run = Run.read(directory, lm, base)
    with replacing(out) as written:
        written.mkdir()
        usage = FORMATS[kind].write(run, written)
        text = card(directory, usage, lock, metrics, license, FORMATS[kind].library, run.base)
        (written / "README.md").write_text(text, encoding="utf-8", newline="\n")


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m stages.export", description=__doc__.splitlines()[0])
    parser.add_argument("run", metavar="RUN_DIR", type=Path, help="a trained run, such as data/run/model")
    parser.add_argument("out", metavar="OUT", type=Path, help="the directory to write, which must not exist")
    parser.add_argument("--format", required=True, choices=FORMATS)
    parser.add_argument("--model", help="the base model, as in params.yaml; default: what the run names")
    parser.add_argument("--base-name", metavar="NAME", help="how others find the base model, such as gpt2-medium")
    parser.add_argument("--license", metavar="ID", help="the licence that you give the run, such as mit")
    parser.add_argument(
        "--metrics", metavar="FILE", type=Path, help="scores; default: those that dvc.lock shows to be the run's"
    )
    parser.add_argument(
        "--push", metavar="ID", help="upload OUT to this repository of the Hugging Face hub, private if it is new"
    )
    return parser.parse_args()


@entry_point
def main() -> None:
    given = arguments()
    check_new(given.out)
    saved.weights_of(given.run)  # no model is opened for what is no run
    config = read_json(given.run / CONFIG)
    name = given.model or config.get("base_model")
    if not isinstance(name, str):
        raise UserError(f"{given.run} holds no trained run ({CONFIG} names no base_model)")
    quiet_unless_terminal()
    lm = load(path_of(name), name, config.get("revision") or "main")
    export(
        given.run, given.out, given.format, lm, base=given.base_name, metrics=given.metrics, license=given.license
    )  # fmt: skip
    print(f"{given.out}: {given.format}, {', '.join(sorted(path.name for path in given.out.iterdir()))}")
    if given.push is not None:
        print(hub.push(given.out, given.push, HfApi()))


if __name__ == "__main__":
    main()
