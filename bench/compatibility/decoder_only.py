"""Decoder-only models: the prefix is a cache of transformers', whose own masks and positions decide what it means.

What a tokenizer begins every text with stands before the prefix, as in a run (`stages/models/decoder_only.py`).
"""

import inspect
from collections.abc import Iterator

import torch
from torch import nn
from transformers import DynamicCache, GenerationConfig, PreTrainedModel

from bench.compatibility.finding import Finding, felt, tensors
from bench.compatibility.records import PREFIX
from bench.compatibility.searching import random_prefixes, written
from stages.decoding.beam import Search
from stages.models.adaptation import DECODER, Adaptation
from stages.models.batches import Batch, Example
from stages.models.decoder_only import DecoderOnly


class Reference:
    """transformers' own logits and texts, one row at a time."""

    def __init__(self, model: PreTrainedModel, prefixes: torch.Tensor, begin: list[int], separator: int):
        self.model, self.prefixes, self.begin, self.separator = model, prefixes, begin, separator
        self.takes_positions = "position_ids" in inspect.signature(model.forward).parameters

    def past(self, run: int) -> DynamicCache:
        cache = DynamicCache()
        if self.begin:
            self.model(input_ids=torch.tensor([self.begin]), past_key_values=cache, use_cache=True)
        for layer, (keys, values) in enumerate(self.prefixes[run]):
            cache.update(keys[None].clone(), values[None].clone(), layer)
        return cache

    def logits(self, ids: list[int], run: int | None) -> torch.Tensor:
        """[tokens, vocabulary] of the tokens after the beginning; run None: without a prefix."""
        first = len(self.begin)
        if run is None:
            return self.model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, first:]
        seen = PREFIX + len(ids)
        positions = {"position_ids": torch.arange(first + PREFIX, seen)[None]} if self.takes_positions else {}
        return self.model(
            input_ids=torch.tensor([ids[first:]]), attention_mask=torch.ones(1, seen, dtype=torch.long),
            past_key_values=self.past(run), use_cache=True, **positions,
        ).logits[0]  # fmt: skip

    def text(self, example: Example, run: int | None, search: Search) -> list[int]:
        """What `generate` writes, without the end token. It is told of tokens that stand for the prefix."""
        inputs, options = torch.tensor([[*example.source, self.separator]]), {}
        if run is not None:
            cache = self.past(run)
            cache.batch_repeat_interleave(search.beam)
            inputs, options = nn.functional.pad(inputs, (PREFIX, 0), value=search.end), {"past_key_values": cache}
        self.model.generation_config = GenerationConfig()
        written = self.model.generate(
            inputs, attention_mask=torch.ones_like(inputs), num_beams=search.beam, do_sample=False,
            length_penalty=search.length_penalty, max_new_tokens=search.max_new_tokens, eos_token_id=search.end,
            pad_token_id=search.end, **options,
        )[0, inputs.shape[1] :].tolist()  # fmt: skip
        return written[: written.index(search.end)] if search.end in written else written


def compare(lm: DecoderOnly, model: PreTrainedModel, examples: list[Example]) -> Iterator[Finding]:
    adaptation = random_prefixes(lm)
    reference = Reference(model, adaptation.prefixes[DECODER], lm.begin, lm.separator)
    runs = [number % 2 for number in range(len(examples))]
    rows = [[*example.source, lm.separator, *example.target[:-1]] for example in examples]
    prefixed = [reference.logits(row, run) for row, run in zip(rows, runs, strict=True)]
    plain = [reference.logits(row, None) for row in rows]
    targets = [
        [logits[-len(example.target) :] for logits, example in zip(found, examples, strict=True)]
        for found in (prefixed, plain)
    ]
    yield from forward(lm, adaptation, runs, examples, *targets)
    yield felt("the prefix", prefixed[0][:, 1:], plain[0][:, 1:])
    longest = max(rows, key=len)
    first = len(lm.begin)
    turned = [*longest[:first], *longest[first:-1][::-1], longest[-1]]
    yield felt("the order", reference.logits(turned, 0)[-1], reference.logits(longest, 0)[-1])
    yield steps(lm, adaptation, runs, examples, reference)
    yield from written(lm, adaptation, runs, examples, reference.text)


def forward(
    lm: DecoderOnly, adaptation: Adaptation, runs: list[int], examples: list[Example], prefixed: list, plain: list
) -> Iterator[Finding]:
    """Rows of several lengths and prefixes in one batch, and each alone."""

    def ours(chosen: list[Example], of: list[int], adaptation: Adaptation) -> torch.Tensor:
        return lm.logits(lm.target_hidden(Batch.of(chosen, of, lm.device), adaptation))

    yield tensors("together", ours(examples, runs, adaptation), torch.cat(prefixed))
    yield tensors("together without a prefix", ours(examples, runs, Adaptation()), torch.cat(plain))
    alone = [ours([example], [run], adaptation) for example, run in zip(examples, runs, strict=True)]
    yield tensors("alone", torch.cat(alone), torch.cat(prefixed))
    alone = [ours([example], [0], Adaptation()) for example in examples]
    yield tensors("alone without a prefix", torch.cat(alone), torch.cat(plain))


def steps(
    lm: DecoderOnly, adaptation: Adaptation, runs: list[int], examples: list[Example], reference: Reference
) -> Finding:
    """Step by step, sources of several lengths together, and two beams of each that write different texts."""
    beams = [[example.target[:4], example.target[3::-1]] for example in examples]
    count = min(len(beam) for pair in beams for beam in pair)
    memory, device = lm.memory(adaptation, 2), lm.device
    found = [memory.prefill([example.source for example in examples], torch.tensor(runs, device=device))]
    found[0] = found[0][:, None].expand(-1, 2, -1)
    for step in range(count):
        tokens = torch.tensor([[beam[step] for beam in pair] for pair in beams], device=device)
        parents = torch.tensor([[0, 1 if step else 0]] * len(examples), device=device)
        found.append(memory.step(tokens, parents))
    ours = lm.logits(torch.stack(found, 2))  # [sources, beams, steps, vocabulary]
    theirs = [
        [reference.logits([*example.source, lm.separator, *beam[:count]], run)[-count - 1 :] for beam in pair]
        for example, pair, run in zip(examples, beams, runs, strict=True)
    ]
    return tensors("step by step", ours, torch.stack([torch.stack(pair) for pair in theirs]))
