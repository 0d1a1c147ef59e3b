"""`python -m bench.pretraining`: mini-gpt2's recipe beside others, each on the same small corpus.

    python -m bench.pretraining [--documents 8000]

A row of the table is one pretraining that differs from `pretrain` of params.yaml in what its name says. Losses are in
bits per byte, so that vocabularies compare. What is done is kept in .bench/pretraining, so that an interrupted run
goes on.
"""

import argparse
import hashlib
import itertools
import json
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn
from transformers import GPT2LMHeadModel, PreTrainedTokenizerFast

from stages import params
from stages.core.errors import UserError, entry_point
from stages.core.files import read_text, write_json
from stages.models.determinism import set_determinism
from stages.pretrain import attention, loop, probes, train
from stages.pretrain.corpus import encode, train_tokenizer
from stages.pretrain.generation import lines_after
from stages.pretrain.loop import Optimizers
from stages.pretrain.memory import keep_freed
from stages.pretrain.prompts import Case, draw_case, draw_list, drawn
from stages.world.corpus import documents
from stages.world.verbalize import verbalize

KEPT = Path(".bench/pretraining")
PROMPTS = 100  # of each probe
HEARD = 500  # documents that the losses are of
CODE = [Path(__file__), *(Path(module.__file__) for module in (attention, loop, probes, train))]


class AdamWAlone(Optimizers):
    """AdamW for the matrices, too, at the rate that it has for the rest."""

    def __init__(self, model: nn.Module, blocks: str, muon_lr: float, adamw_lr: float, steps: int):
        self.all = (torch.optim.AdamW(model.parameters(), lr=adamw_lr, betas=(0.9, 0.98), weight_decay=0.0),)
        self.peaks, self.steps = (adamw_lr,), steps


class Cosine(Optimizers):
    """The same warm-up, then a cosine down to 3% of the peak."""

    def step(self, index: int) -> None:
        part = index / self.steps
        factor = part / 0.06 if part < 0.06 else 0.515 + 0.485 * math.cos(math.pi * (part - 0.06) / 0.94)
        for optimizer, peak in zip(self.all, self.peaks, strict=True):
            optimizer.param_groups[0]["lr"] = peak * max(factor, 0.01)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)


@dataclass(frozen=True)
class Recipe:
    """What differs from the released one: keys of `pretrain`, the optimisers, and whether copying is wired."""

    name: str
    keys: dict[str, object] = field(default_factory=dict)
    optimizers: Callable[..., Optimizers] = Optimizers
    primed: bool = True


RECIPES = (
    Recipe("released"),
    Recipe("AdamW alone", optimizers=AdamWAlone),
    Recipe("initial weights not primed", primed=False),
    Recipe("Muon at 0.02", {"muon_lr": 0.02}),
    Recipe("cosine schedule", optimizers=Cosine),
    Recipe("steps of 8 rows", {"batch_size": 8}),
    Recipe("4 layers of width 320", {"layers": 4, "width": 320, "heads": 5}),
    Recipe("1,536 pieces", {"vocabulary": 1536}),
    Recipe("6,144 pieces", {"vocabulary": 6144}),
    Recipe("no lists of names first", {"copies_first": 0}),
)


def texts(chosen: params.Pretrain) -> list[str]:
    return [text for _, text in itertools.islice(documents(chosen.seed, chosen.copies_first), chosen.documents)]


def heldout(chosen: params.Pretrain) -> list[str]:
    """Documents after the training ones of the released corpus: the same for all recipes."""
    stream = documents(chosen.seed, chosen.copies_first)
    return [text for _, text in itertools.islice(stream, chosen.documents, chosen.documents + HEARD)]


@torch.no_grad()
def bits_per_byte(model: GPT2LMHeadModel, tokenizer: PreTrainedTokenizerFast, heard: list[str], length: int) -> float:
    """Loss on `heard`, cut into rows of `length` tokens; an end-of-text token counts as a byte."""
    tokens = encode(tokenizer, heard)
    rows = len(tokens) // length
    ids = torch.from_numpy(tokens[: rows * length].astype(np.int64)).view(rows, length)
    nats = sum(train.loss_of(model, part).item() * len(part) for part in ids.split(32)) / rows
    return nats / math.log(2) * len(tokens) / sum(len(text.encode()) + 1 for text in heard)


def probed(
    model: GPT2LMHeadModel, tokenizer: PreTrainedTokenizerFast, probing: params.Probes
) -> dict[str, float | None]:
    """`copying` and `in_context` of stages/pretrain/probes.py."""
    model.eval().set_attn_implementation("sdpa")

    def write(prompts: list[str], most: int) -> list[str]:
        return lines_after(model, tokenizer, prompts, most, probing.batch_size)

    def fits(case: Case) -> bool:
        return len(tokenizer(case.prompt(verbalize))["input_ids"]) + 1 + probes.LONGEST <= model.config.n_positions

    lists = drawn(f"{probing.seed}/copying", probing.prompts, draw_list, lambda _: True)
    draw = partial(draw_case, examples=(1, 2), reserved=False)
    cases = drawn(f"{probing.seed}/in_context", probing.prompts, draw, fits)
    found = {"copying": probes.copying(lists, write), "in_context": probes.verbalizing(cases, write)}
    return {f"{probe}/{key}": value for probe, values in found.items() for key, value in values.items()}


def measure(recipe: Recipe, chosen: params.Pretrain, probing: params.Probes, heard: list[str]) -> dict:
    """Pretrain by `recipe` on the small corpus; tokens, minutes, bits per byte, probes."""
    read = texts(chosen)
    tokenizer = train_tokenizer(read[: 20 * chosen.vocabulary], chosen.vocabulary)
    KEPT.mkdir(parents=True, exist_ok=True)
    kept = KEPT / "train.npy"
    np.save(kept, encode(tokenizer, read))
    tokens = np.load(kept)
    steps = len(tokens) // (chosen.batch_size * chosen.length)
    model = train.build(chosen, tokenizer.eos_token_id)
    if not recipe.primed:
        torch.manual_seed(chosen.seed)
        model = GPT2LMHeadModel(model.config)
    attention.use(model)
    optimizers = recipe.optimizers(model, ".h.", chosen.muon_lr, chosen.adamw_lr, steps)
    loss_at = lambda index: train.loss_of(model, *train.batch(tokens, chosen, index))  # noqa: E731
    with loop.Checkpoint.of({"recipe": recipe.name, **chosen.model_dump()}, kept, *CODE) as checkpoint:
        seconds = loop.pretrain(model, loss_at, optimizers, checkpoint)
        return {
            "tokens": steps * chosen.batch_size * chosen.length,
            "parameters": sum(p.numel() for p in model.parameters()),
            "minutes": seconds / 60,
            "bits_per_byte": bits_per_byte(model, tokenizer, heard, chosen.length),
            **probed(model, tokenizer, probing),
        }


COLUMNS = {
    "recipe": str,
    "parameters": lambda n: f"{n / 1e6:.1f}M",
    "tokens": lambda n: f"{n / 1e6:.2f}M",
    "minutes": "{:.1f}".format,
    "bits_per_byte": "{:.3f}".format,
    "copying/first_name": "{:.2f}".format,
    "copying/second_name": "{:.2f}".format,
    "in_context/first_name": "{:.2f}".format,
    "in_context/second_name": "{:.2f}".format,
    "in_context/coverage": "{:.2f}".format,
}


def row(measured: dict) -> str:
    """Empty where a probe had nothing to count."""
    cells = ("" if measured[column] is None else show(measured[column]) for column, show in COLUMNS.items())
    return "| " + " | ".join(cells) + " |"


@entry_point
def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.pretraining", description=__doc__.splitlines()[0])
    parser.add_argument("--documents", type=int, default=8_000, help="of the corpus")
    options = parser.parse_args()
    loaded = params.load()
    whole = loaded.pretrain
    if not 0 < options.documents <= whole.documents:
        raise UserError(f"--documents: {options.documents}, but the corpus has 1 to {whole.documents}")
    share = {"documents": options.documents, "copies_first": whole.copies_first * options.documents // whole.documents}
    small = whole.model_copy(update=share)
    probing = loaded.probes.model_copy(update={"prompts": PROMPTS})
    set_determinism(small.threads)
    keep_freed()
    heard = heldout(small)
    print("| " + " | ".join(COLUMNS) + " |", "|" + "---|" * len(COLUMNS), sep="\n")
    for recipe in RECIPES:
        chosen = small.model_copy(update=recipe.keys)
        settings = json.dumps([recipe.name, chosen.model_dump(), probing.model_dump()], sort_keys=True)
        code = b"".join(file.read_bytes() for file in CODE)
        kept = KEPT / f"{hashlib.sha256(settings.encode() + code).hexdigest()[:16]}.json"
        if not kept.exists():
            print(f"{recipe.name}: {chosen.documents} documents", file=sys.stderr)
            write_json(kept, {"recipe": recipe.name, **measure(recipe, chosen, probing, heard)})
        print(row(json.loads(read_text(kept))), flush=True)


if __name__ == "__main__":
    main()
