"""docs/compatibility.md, from the results of all cases."""

from collections.abc import Iterable

import torch
import transformers

from bench.compatibility.run import EQUAL, REFUSED, Result

TITLE = """# Which models work

`python -m bench.compatibility` makes a small checkpoint of random weights for each architecture below, opens it as `-S model=DIR`
does, and compares it with transformers' own plain attention. It wrote this page. `--only NAME ...` tries some.
"""

COMPARED = {
    "decoder-only": "Compared: logits of targets with a random prefix and without, rows of several lengths together and "
    "alone; decoding step by step with two beams; beam 4 and greedy search against `generate`, with the same prefix as its cache. "
    "Some texts are longer than the short windows.",
    "encoder-decoder": "Compared: the same, with prefixes for the encoder, the decoder and across. `generate` knows no such "
    "prefixes: a plain attention with the keys and values in front stands in for it.",
    "encoder": "Compared: hidden states of texts and pairs of several lengths, together and alone, with a prefix and without "
    "(DeBERTa, whose attention is outside the interface, here without one; `tests/models/test_encoder.py` has it with one).",
}

REFUSALS = """## Why models are refused

- **No attention interface** (Falcon, BLOOM, GPT-J, GPT-Neo, MPT, CodeGen, XGLM, LED, ProphetNet, MPNet, XLNet, ...): in
  transformers {transformers} these models compute attention in code of their own. A prefix of an encoder, and beams that are read side
  by side, need `AttentionInterface`.
- **Recurrent or linear layers** (Mamba, RWKV, Jamba, ...): they have no keys and values that a prefix could be.
- **Numbers that depend on the neighbours in a batch**, or logits that are computed in a way that is not known here: the check at
  loading finds them, and says by how much they differ.
- **Quantized weights**, code that comes with a model, and weights that are no safetensors are refused for any architecture.

A text has the token in front that the model's tokenizer puts there (Llama's `<s>`, Gemma's `<bos>`), at position 0 and in front of the
prefix. The model was trained to find it there; it sees no prefix, so that its keys and values are those of the training.
"""


def page(results: Iterable[Result]) -> str:
    """The page in Markdown."""
    results = list(results)
    equal = sum(result.verdict == EQUAL for result in results)
    refused = sum(result.verdict == REFUSED for result in results)
    versions = f"torch {torch.__version__.split('+')[0]}, transformers {transformers.__version__}"
    parts = [
        TITLE,
        f"With {versions}: {len(results)} configurations, {equal} equal, {refused} refused with one line, "
        f"{len(results) - equal - refused} otherwise.\n",
    ]
    for family, said in COMPARED.items():
        parts += [f"## {family.capitalize()} models\n", f"{said}\n", "\n".join(table(family, results)) + "\n"]
    return "\n".join([*parts, REFUSALS.format(transformers=transformers.__version__)])


def table(family: str, results: Iterable[Result]) -> list[str]:
    """Lines of the table of a family."""
    head = [
        "| configuration | architecture | particulars | result | largest difference | the line |",
        "|---|---|---|---|---:|---|",
    ]
    return head + [row(result) for result in results if result.family == family]


def row(result: Result) -> str:
    """A line of a table."""
    difference = "" if result.difference is None else f"{result.difference:.0e}"
    case, line = result.case, result.line.replace("|", "\\|")
    return f"| {case.name} | {case.architecture} | {case.particulars} | {result.verdict} | {difference} | {line} |"
