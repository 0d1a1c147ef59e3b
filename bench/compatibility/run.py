"""One case from checkpoint to verdict."""

import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from transformers import PreTrainedModel

from bench.compatibility.case import Case, write
from bench.compatibility.finding import Finding
from stages.core.errors import UserError
from stages.models.load import load
from stages.models.model import LM

EQUAL, REFUSED, WRONG, TRACEBACK, UNMADE = "equal", "refused", "WRONG", "TRACEBACK", "not made"


@dataclass(frozen=True)
class Family:
    """`common` are settings of all its configs as far as they know them; `opener` is transformers' class of its models."""

    name: str
    opener: type
    common: Mapping[str, object]
    cases: list[Case]
    examples: Callable[[LM], tuple[list, str]]
    compare: Callable[[LM, PreTrainedModel, list], Iterator[Finding]]


@dataclass(frozen=True)
class Result:
    """`difference` is the largest of all logits or hidden states compared, `line` what the user reads, or what is wrong."""

    family: str
    case: Case
    verdict: str
    difference: float | None = None
    line: str = ""
    trace: str = ""


@torch.no_grad()
def run(family: Family, case: Case) -> Result:
    with TemporaryDirectory() as directory:
        try:
            write(case, family.opener, family.common, Path(directory))
        except Exception as error:  # transformers itself makes no such model, or saves none
            return Result(family.name, case, UNMADE, line=first_line(error), trace=traceback.format_exc())
        try:
            lm = load(directory, case.name, "main")
            examples, line = family.examples(lm)
            if not examples:
                return Result(family.name, case, REFUSED, line=line)
            model = family.opener.from_pretrained(directory, attn_implementation="eager", dtype=torch.float32).eval()
            findings = list(family.compare(lm, model, examples))
        except UserError as error:
            return Result(family.name, case, REFUSED, line=str(error).replace(directory, "DIR"))
        except Exception as error:  # whatever it is, it belongs into the table
            return Result(family.name, case, TRACEBACK, line=first_line(error), trace=traceback.format_exc())
    differences = [found.difference for found in findings if found.difference is not None]
    wrong = [found for found in findings if not found.equal]
    if wrong:
        line = "; ".join(
            found.what + ("" if found.difference is None else f" {found.difference:.1e}") for found in wrong
        )
        return Result(family.name, case, WRONG, max(differences), line)
    return Result(family.name, case, EQUAL, max(differences), line)


def first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {next(iter(str(error).strip().splitlines()), '')}"
