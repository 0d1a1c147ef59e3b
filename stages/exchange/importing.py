"""`python -m stages.import PEFT_DIR OUT --model MODEL`: an adapter that PEFT trained becomes a run of this project.

The code is here because no module can be imported by the name `import`.
"""

import argparse
from collections.abc import Collection
from pathlib import Path

from huggingface_hub import HfApi

from stages.core.errors import entry_point
from stages.core.files import read_json, sha256
from stages.exchange import hub
from stages.exchange.outputs import check_new
from stages.exchange.peft_read import read
from stages.exchange.peft_write import CONFIG, WEIGHTS
from stages.methods.parts import saved
from stages.models.identity import base_model_id
from stages.models.load import load
from stages.models.model import LM
from stages.models.named import path_of
from stages.models.progress import quiet_unless_terminal


def import_adapter(directory: Path, out: Path, lm: LM, revision: str, names: Collection[str]) -> list[str]:
    """Write the adapter in `directory` as a run on `lm` to the directory `out`, and return lines that say what it is.

    `revision`: of the base model; `names`: those under which the base model may stand in the adapter's config. Raises
    UserError as `peft_read.read`, or if `out` exists or cannot be written.
    """
    check_new(out)
    found, config = read(directory, lm, names), read_json(directory / CONFIG)
    about = {
        **base_model_id(lm), "task": None, "revision": revision, "prefix_len": found.prefix_len, "source_words": None,
        "precision": None, "training": None, "options": found.options,
        "cut": {"source_tokens": None, "target_tokens": None}, "labels": [],
        "imported": {
            "peft_type": config["peft_type"], "base_model_name_or_path": config.get("base_model_name_or_path"),
            "sha256": sha256(directory / WEIGHTS),
        },
    }  # fmt: skip
    saved.write(out, found.method, found.state, about)
    numbers = sum(tensor.numel() for tensor in found.state.values())
    length = "" if found.prefix_len is None else f" of length {found.prefix_len}"
    return [f"{out}: a run of {found.method}{length} on {lm.name}, {numbers:,} numbers", *found.notes]


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m stages.import", description=__doc__.splitlines()[0])
    parser.add_argument("source", metavar="PEFT_DIR", help="a directory that PEFT saved; with --hub, a repository")
    parser.add_argument("out", metavar="OUT", type=Path, help="the run's directory, which must not exist")
    parser.add_argument("--model", required=True, help="the base model, as in params.yaml")
    parser.add_argument("--model-revision", default="main", metavar="REVISION", help="of a base model from the hub")
    parser.add_argument("--trained-on", metavar="NAME", help="the base model's name in the adapter, if it is another")
    parser.add_argument("--hub", action="store_true", help="download PEFT_DIR from the Hugging Face hub")
    parser.add_argument("--revision", help="with --hub: branch, tag or commit of the adapter")
    given = parser.parse_args()
    if given.revision is not None and not given.hub:
        parser.error("--revision is of an adapter from the hub: add --hub")
    return given


@entry_point
def main() -> None:
    given = arguments()
    check_new(given.out)
    source = hub.download(given.source, given.revision, HfApi()) if given.hub else Path(given.source)
    quiet_unless_terminal()
    path = path_of(given.model)
    lm = load(path, given.model, given.model_revision)
    names = [given.model, path, *([] if given.trained_on is None else [given.trained_on])]
    print(*import_adapter(source, given.out, lm, given.model_revision, names), sep="\n")
