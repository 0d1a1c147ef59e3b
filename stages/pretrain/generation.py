"""Greedy generation in batches, by the `generate` of transformers: what a user of the model gets."""

from pathlib import Path
from typing import TypeVar

import torch
from transformers import BartForConditionalGeneration, GPT2LMHeadModel, PreTrainedTokenizerFast

from stages.core.errors import UserError

Model = TypeVar("Model", GPT2LMHeadModel, BartForConditionalGeneration)


def opened(kind: type[Model], directory: Path) -> tuple[Model, PreTrainedTokenizerFast]:
    """A pretrained model in fp32, and its tokenizer. Raises UserError where there is none."""
    if not (directory / "model.safetensors").exists():
        raise UserError(f"{directory} holds no model: run `dvc --cd pretrain repro {directory.name}` first")
    model = kind.from_pretrained(directory, dtype=torch.float32).eval()
    return model, PreTrainedTokenizerFast.from_pretrained(directory)


def _batches(sources: list[list[int]], size: int) -> list[list[int]]:
    """Batches of indices of `sources`, longest first, so that there is little padding."""
    order = sorted(range(len(sources)), key=lambda i: (-len(sources[i]), i))
    return [order[start : start + size] for start in range(0, len(order), size)]


def line_breaks(tokenizer: PreTrainedTokenizerFast) -> list[int]:
    """Ids of the pieces with a line break; a blank line has its own piece."""
    return sorted(i for piece, i in tokenizer.get_vocab().items() if "Ċ" in piece)


@torch.inference_mode()
def lines_after(
    model: GPT2LMHeadModel, tokenizer: PreTrainedTokenizerFast, prompts: list[str], most: int, batch_size: int
) -> list[str]:
    """The line that the model writes after each prompt: at most `most` tokens, stripped.

    A prompt begins a document, so an end-of-text token comes before it, as in the corpus.
    """
    end = tokenizer.eos_token_id
    sources = [[end, *ids] for ids in tokenizer(prompts, add_special_tokens=False)["input_ids"]]
    lines = [""] * len(prompts)
    for batch in _batches(sources, batch_size):
        longest = max(len(sources[i]) for i in batch)
        ids = torch.tensor([[end] * (longest - len(sources[i])) + sources[i] for i in batch])  # [batch, longest]
        mask = torch.tensor([[0] * (longest - len(sources[i])) + [1] * len(sources[i]) for i in batch])
        written = model.generate(
            ids, attention_mask=mask, max_new_tokens=most, do_sample=False, pad_token_id=end,
            eos_token_id=[end, *line_breaks(tokenizer)],
        )  # fmt: skip
        for i, row in zip(batch, written[:, longest:], strict=True):
            lines[i] = tokenizer.decode(row, skip_special_tokens=True).split("\n")[0].strip()
    return lines


@torch.inference_mode()
def restored(
    model: BartForConditionalGeneration, tokenizer: PreTrainedTokenizerFast, sources: list[list[int]], most: int,
    batch_size: int, stops: list[int],
) -> list[str]:  # fmt: skip
    """The text that the model writes for each of `sources` (ids of a damaged text): at most `most` tokens, stripped.

    It ends before the first of `stops` (ids).
    """
    texts = [""] * len(sources)
    for batch in _batches(sources, batch_size):
        rows = [torch.tensor(sources[i]) for i in batch]
        ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=tokenizer.pad_token_id)
        mask = torch.nn.utils.rnn.pad_sequence([torch.ones_like(row) for row in rows], batch_first=True)
        written = model.generate(
            ids, attention_mask=mask, max_new_tokens=most, do_sample=False, num_beams=1,
            eos_token_id=[tokenizer.eos_token_id, *stops],
        )  # fmt: skip
        for i, row in zip(batch, written, strict=True):
            texts[i] = tokenizer.decode(row, skip_special_tokens=True).strip()
    return texts
