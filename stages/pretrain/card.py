"""The model card of an embedded model, data/base/<model>/README.md: what it is, how it was made, what it can do."""

import math
from dataclasses import dataclass
from pathlib import Path

from safetensors import safe_open

from stages.core.files import read_json
from stages.pretrain.gate import Numbers, bound
from stages.pretrain.made import Made
from stages.pretrain.section import Bounds, Denoise, Pretrain

_OBJECTIVES = {
    "gpt2": "the next token",
    "bart": "restore damaged text (BART's): lines and spans behind masks, sentences moved (`stages/pretrain/noise.py`)",
}
_CARD = """# {name}

Pretrained by this project on text that it generates, so that prefix-tuning has something to steer where nothing can be
downloaded.

## How it was made

| | |
|---|---|
| model | {architecture} |
| size | {parameters:,} parameters in 16 bits |
| tokenizer | byte-level BPE of {pieces:,} pieces, in which a text always begins with a space |
| objective | {objective} |
| corpus | `stages/world/corpus.py`, seed {corpus_seed}; sha256 of its tokens {corpus} |
| read | {documents:,} documents, {tokens:,} tokens |
| steps | {steps:,} |
| optimiser | Muon {muon_lr:g} on the matrices of the blocks, AdamW {adamw_lr:g} on the rest; bf16 autocast |
| initial weights | primed copying heads (`stages/pretrain/primed.py`), seed {seed} |
| time | {minutes} minutes with {threads} thread(s) on {machine} |
| commit | {commit} |
| released | {date} |

## What it can do

Each measure is explained in `stages/pretrain/{probes}.py`; shares of 1 unless it is a loss (nats a token).

| probe | measure | value | must be |
|---|---|---|---|
{measures}

## Making it again

```
dvc --cd pretrain repro {stage}
python -m stages.pretrain.release {name}
```

With the same commit, one kind of processor and one version of torch the weights are meant to be the same bytes.

## What it must not be used for

Anything but experiments with steering a language model. It has read only sentences of one small grammar about invented
things, knows nothing of the world, and states falsehoods as fluently as what it was given. Its scores say nothing about
GPT-2, BART or any other model, and texts of it must reach nobody who could take them for information.
"""


@dataclass(frozen=True)
class Origin:
    """Where a release comes from, the only part of a card that differs between releases of one model."""

    commit: str
    date: str


def card(
    model: Path, made: Made, chosen: Pretrain | Denoise, corpus_seed: int, numbers: Numbers, bounds: Bounds, origin: Origin
) -> str:  # fmt: skip
    """The card's text. `model` is a transformers directory; `chosen` is what it was trained with."""
    config = read_json(model / "config.json")
    rows = [
        f"| {probe} | {measure} | {'none' if value is None else f'{value:g}'} | {bound(bounds, probe, measure)} |"
        for probe, measures in numbers.items()
        for measure, value in measures.items()
    ]
    return _CARD.format(
        name=model.name, architecture=_architecture(config), parameters=_parameters(model), pieces=config["vocab_size"],
        objective=_OBJECTIVES[config["model_type"]], corpus_seed=corpus_seed, corpus=made.corpus,
        documents=made.documents, tokens=made.tokens, steps=made.steps, muon_lr=chosen.muon_lr,
        adamw_lr=chosen.adamw_lr, seed=chosen.seed, minutes=math.ceil(made.seconds / 60), threads=made.threads,
        machine=made.machine, commit=origin.commit, date=origin.date, measures="\n".join(rows),
        probes="probes_bart" if config["model_type"] == "bart" else "probes", stage=f"probes-{config['model_type']}",
    )  # fmt: skip


def _architecture(config: dict) -> str:
    kind = config["architectures"][0]
    if config["model_type"] == "gpt2":
        return (
            f"`{kind}`: {config['n_layer']} layers, width {config['n_embd']}, {config['n_head']} heads, "
            f"{config['n_positions']} positions, activation `{config['activation_function']}`"
        )
    return (
        f"`{kind}`: {config['encoder_layers']} + {config['decoder_layers']} layers, width {config['d_model']}, "
        f"{config['encoder_attention_heads']} heads, {config['max_position_embeddings']} positions, "
        f"activation `{config['activation_function']}`"
    )


def _parameters(model: Path) -> int:
    """Stored numbers; tied matrices are stored once."""
    with safe_open(model / "model.safetensors", "np") as weights:
        return sum(math.prod(weights.get_slice(name).get_shape()) for name in weights.keys())  # noqa: SIM118
