"""Encoders: hidden states as a head would read them, with the prefix before what each attention reads.

DeBERTa's attention is written out by this project, not by transformers' interface: here it is compared without a prefix,
and in tests/models/test_encoder.py with one.
"""

from collections.abc import Iterator

import torch
from transformers import AutoTokenizer, PreTrainedModel

from bench.compatibility.attention import attentions, standing_before
from bench.compatibility.finding import Finding, felt, tensors
from bench.compatibility.searching import random_prefixes
from stages.models.adaptation import ENCODER, Adaptation, Head
from stages.models.batches import NONE, Batch, Example
from stages.models.encoder import Encoder


def compare(lm: Encoder, model: PreTrainedModel, examples: list[list[Example]]) -> Iterator[Finding]:
    """Of texts to be judged, and of sentences to be tagged."""
    tokenizer = AutoTokenizer.from_pretrained(model.name_or_path)
    prefixes = random_prefixes(lm).prefixes
    modules = attentions(model, input_ids=torch.tensor([[tokenizer.cls_token_id] * 2]))
    head = Head(torch.eye(lm.width).expand(2, -1, -1), torch.zeros(2, lm.width))  # its scores are the hidden states

    def reference(example: Example, run: int | None) -> torch.Tensor:
        """[classes asked for, width]"""
        ids = list(example.source[1:])
        read = {"input_ids": torch.tensor([ids])}
        if "token_type_ids" in tokenizer.model_input_names:
            second = [ids[:place].count(tokenizer.sep_token_id) for place in range(len(ids))]
            read["token_type_ids"] = torch.tensor([second])
        if run is None:
            found = model(**read)
        else:
            with standing_before(model, dict(zip(modules, prefixes[ENCODER][run], strict=True))):
                found = model(**read)
        if len(example.target) > 1:
            return found.last_hidden_state[0, [tag != NONE for tag in example.target]]
        pooled = getattr(found, "pooler_output", None)
        return found.last_hidden_state[:, 0] if pooled is None else pooled

    def ours(chosen: list[Example], of: list[int], prefix: dict[str, torch.Tensor]) -> torch.Tensor:
        return lm.target_hidden(Batch.of(chosen, of, lm.device), Adaptation(prefix, head=head))

    for what, some in zip(("judged", "tagged"), examples, strict=True):
        runs = [number % 2 for number in range(len(some))]
        plain = [reference(example, None) for example in some]
        compared = [(f"{what} without a prefix", {}, plain)]
        if modules:
            prefixed = [reference(example, run) for example, run in zip(some, runs, strict=True)]
            compared.append((what, prefixes, prefixed))
            yield felt("the prefix", prefixed[0], plain[0])
        for name, prefix, theirs in compared:
            yield tensors(f"together, {name}", ours(some, runs, prefix), torch.cat(theirs))
            alone = [ours([example], [run], prefix) for example, run in zip(some, runs, strict=True)]
            yield tensors(f"alone, {name}", torch.cat(alone), torch.cat(theirs))
        length, *ids = some[-1].source
        turned = Example([length, ids[0], *ids[-2:0:-1], ids[-1]], some[-1].target)
        yield felt("the order", reference(turned, None)[0], plain[-1][0])
