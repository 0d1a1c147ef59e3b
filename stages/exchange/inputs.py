"""What a text has to be turned into before a model reads it with an exported run, as code for its README.

This engine reads `source <separator> target` (decoder-only) or encodes the source with the tokenizer's special tokens
(encoder-decoder). Who uses an exported run has to build the same ids.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from stages.models.decoder_only import DecoderOnly
from stages.models.model import LM

_OPEN = """
name, here = {name!r}, "."  # the base model; this directory
tokenizer = AutoTokenizer.from_pretrained(name)
base = {opener}.from_pretrained(name, dtype=torch.float32{revision}).eval()
"""
_EXAMPLE = "source = 'name : Blue Spice | area : riverside'"


def opening(lm: LM, name: str, revision: str | None, imports: Sequence[str]) -> str:
    """Code that opens the base model, called `name`, as `base`, and its tokenizer as `tokenizer`.

    `revision`: of the hub, None: a local model; `imports`: lines that come first.
    """
    opener = "AutoModelForCausalLM" if isinstance(lm, DecoderOnly) else "AutoModelForSeq2SeqLM"
    lines = sorted([*imports, f"from transformers import {opener}, AutoTokenizer"])
    given = "" if revision in (None, "main") else f", revision={revision!r}"
    return "\n".join(["import torch", *lines, _OPEN.format(opener=opener, name=name, revision=given)])


def ids_of_source(lm: LM, config: Mapping[str, Any], begin: bool) -> str:
    """Code that makes the list `ids` of a text `source`, as the run of `config` reads it.

    `begin`: whether the ids contain the token that begins every text; an exported prefix has its keys and values.
    """
    lines, most = [_EXAMPLE], config["cut"]["source_tokens"]
    if config["source_words"] is not None:
        lines.append(f"source = {config['source_words'] + ' '!r} + source")
    if not isinstance(lm, DecoderOnly):
        cut = "" if most is None else f", truncation=True, max_length={most}"
        return "\n".join([*lines, f'ids = tokenizer(source.strip(){cut})["input_ids"]']) + "\n"
    text = f"{lm.space!r} + source.rstrip()" if lm.space else "source.strip()"
    lines.append(f'ids = tokenizer({text}, add_special_tokens=False)["input_ids"]')
    if begin and lm.begin:
        lines.append(f"ids = {lm.begin} + ids  # what the tokenizer begins every text with")
    if most is not None:
        lines.append(f"ids = ids[:{most if begin else most - len(lm.begin)}]")
    lines.append(f"ids = ids + [{lm.separator}]  # the separator, after which the target begins")
    return "\n".join(lines) + "\n"


def generating(lm: LM, model: str, ids: str = "ids", **options: str) -> str:
    """Code that generates a text with `model` after `ids`, the names of a model and of a list, and prints it."""
    given = {"num_beams": "5", "max_new_tokens": "100", "do_sample": "False", "eos_token_id": str(lm.end),
             "pad_token_id": str(lm.end), **options}  # fmt: skip
    if not isinstance(lm, DecoderOnly):
        given["decoder_start_token_id"] = str(lm.start)
    said = ", ".join(f"{key}={value}" for key, value in given.items())
    start = f"len({ids})" if isinstance(lm, DecoderOnly) else "1"
    return (
        f"inputs = torch.tensor([{ids}])\n"
        f"found = {model}.generate(input_ids=inputs, attention_mask=torch.ones_like(inputs), {said})\n"
        f"print(tokenizer.decode(found[0, {start}:], skip_special_tokens=True))\n"
    )
