"""Encoder-decoder models: each attention written out with the prefix before what it reads."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import nn
from transformers import GenerationConfig, PreTrainedModel

from bench.compatibility.attention import attentions, standing_before
from bench.compatibility.finding import Finding, felt, tensors
from bench.compatibility.searching import random_prefixes, written
from stages.decoding.beam import Search
from stages.models.adaptation import CROSS, DECODER, ENCODER, Adaptation
from stages.models.batches import Batch, Example
from stages.models.encoder_decoder import EncoderDecoder


class Reference:
    """transformers' own logits and texts, one row at a time."""

    def __init__(self, model: PreTrainedModel, adaptation: Adaptation, start: int):
        self.model, self.adaptation, self.start = model, adaptation, start
        ids = torch.tensor([[start, start]])
        names = {module: name for name, module in model.named_modules()}
        self.places: dict[str, list[nn.Module]] = {ENCODER: [], DECODER: [], CROSS: []}
        for module in attentions(model, input_ids=ids, decoder_input_ids=ids, use_cache=False):
            self.places[place_of(names[module])].append(module)

    def prefixed(self, run: int | None) -> AbstractContextManager:
        """Run None: without a prefix, by transformers' eager attention."""
        if run is None:
            return nullcontext()
        return standing_before(self.model, {
            module: layer
            for place, modules in self.places.items()
            for module, layer in zip(modules, self.adaptation.prefixes[place][run], strict=True)
        })  # fmt: skip

    def logits(self, source: list[int], target: list[int], run: int | None) -> torch.Tensor:
        """[tokens, vocabulary] of the target, whose end is read by nothing."""
        before = torch.tensor([[self.start, *target[:-1]]])
        with self.prefixed(run):
            return self.model(
                input_ids=torch.tensor([source]), decoder_input_ids=before, use_cache=False
            ).logits[0]  # fmt: skip

    def text(self, example: Example, run: int | None, options: Search) -> list[int]:
        """What `generate` writes, without start and end."""
        inputs, self.model.generation_config = torch.tensor([example.source]), GenerationConfig()
        with self.prefixed(run):
            written = self.model.generate(
                inputs, attention_mask=torch.ones_like(inputs), num_beams=options.beam, do_sample=False,
                length_penalty=options.length_penalty, max_new_tokens=options.max_new_tokens,
                eos_token_id=options.end, pad_token_id=options.end, decoder_start_token_id=self.start,
            )[0, 1:].tolist()  # fmt: skip
        return written[: written.index(options.end)] if options.end in written else written


def place_of(name: str) -> str:
    """Of an attention, by the name of its module."""
    if any(part in name for part in ("encoder_attn", "EncDecAttention", "cross_attn")):
        return CROSS
    return DECODER if "decoder." in name else ENCODER


def compare(lm: EncoderDecoder, model: PreTrainedModel, examples: list[Example]) -> Iterator[Finding]:
    adaptation, runs = random_prefixes(lm), [number % 2 for number in range(len(examples))]
    reference = Reference(model, adaptation, model.config.decoder_start_token_id)
    prefixed = [reference.logits(e.source, e.target, run) for e, run in zip(examples, runs, strict=True)]
    plain = [reference.logits(e.source, e.target, None) for e in examples]

    def ours(chosen: list[Example], of: list[int], own: Adaptation) -> torch.Tensor:
        return lm.logits(lm.target_hidden(Batch.of(chosen, of, lm.device), own))

    for name, own, theirs in (("", adaptation, prefixed), (" without a prefix", Adaptation(), plain)):
        yield tensors(f"together{name}", ours(examples, runs, own), torch.cat(theirs))
        alone = [ours([example], [run], own) for example, run in zip(examples, runs, strict=True)]
        yield tensors(f"alone{name}", torch.cat(alone), torch.cat(theirs))
    yield felt("the prefix", prefixed[0], plain[0])
    longest = max(examples, key=lambda example: len(example.target))
    kept, target = reference.logits(longest.source, longest.target, 0)[-1], longest.target
    turned = reference.logits(longest.source[::-1], target, 0)[-1]
    yield felt("the order of the source", turned, kept)
    turned = reference.logits(longest.source, [*target[-3::-1], *target[-2:]], 0)[-1]
    yield felt("the order of the target", turned, kept)
    yield from each_place(lm, adaptation, reference, examples[-1])
    yield from written(lm, adaptation, runs, examples, reference.text)


def each_place(lm: EncoderDecoder, adaptation: Adaptation, reference: Reference, example: Example) -> Iterator[Finding]:
    """A prefix in one place alone is another one in the reference, too: places are not mixed up."""
    batch = Batch.of([example], [0], lm.device)
    for place, prefix in adaptation.prefixes.items():
        empty = {other: rows[..., :0, :] for other, rows in adaptation.prefixes.items()}
        reference.adaptation = Adaptation(empty | {place: prefix})
        theirs = reference.logits(example.source, example.target, 0)
        ours = lm.logits(lm.target_hidden(batch, Adaptation({place: prefix})))
        yield tensors(f"{place} alone", ours, theirs)
    reference.adaptation = adaptation
