"""Encoders (BERT, RoBERTa, DeBERTa, ...): a head classifies a text or tags its words. Each run has its own head.

The source of an example is one text (or pair), or several of which one is to be chosen. In its ids, each text comes
after its number of ids: `[n1, *ids1, n2, *ids2]`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from itertools import pairwise

import torch
from torch import nn
from transformers import BatchEncoding, PreTrainedModel, PreTrainedTokenizerBase

from stages.core.errors import UserError
from stages.core.record import Record
from stages.models import deberta
from stages.models.adaptation import ENCODER, Adaptation
from stages.models.attached import PREFIX, adapted
from stages.models.attention import Observed, prefixed, record_attention
from stages.models.batches import NONE, Batch, Example, to_device
from stages.models.gates import gated
from stages.models.model import LM, Shape, outermost_lists, padded


class Encoder(LM):
    """An encoder with a classification head. `labels`, in the order of the head's classes, come from training or a
    saved run."""

    family = "encoder"

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, name: str):
        super().__init__(model, tokenizer, name)
        places = [module for name, module in model.named_modules() if name.endswith("position_embeddings")]
        # RoBERTa's positions begin after the padding's.
        before = [place.padding_idx + 1 for place in places if getattr(place, "padding_idx", None) is not None]
        self.positions = min(
            (self.positions or tokenizer.model_max_length) - max(before, default=0), tokenizer.model_max_length
        )
        typed = "token_type_ids" in tokenizer.model_input_names and getattr(model.config, "type_vocab_size", 0) > 1
        self._typed = typed and tokenizer.sep_token_id is not None
        self.choosing = False
        # Dropout before the head, active when the model is in training mode.
        kinds = ("classifier_dropout", "seq_classif_dropout", "hidden_dropout_prob", "hidden_dropout")
        given = (getattr(model.config, kind, None) for kind in kinds)
        self._dropout = next((share for share in given if share is not None), 0.0)

    def take_attention(self, model: PreTrainedModel) -> None:
        """Route the attention through `attention.attend`; for DeBERTa by way of `deberta.py`."""
        if not deberta.take_prefixes(model):
            super().take_attention(model)

    @contextmanager
    def own_attention(self) -> Iterator[None]:
        """See `LM.own_attention`."""
        deberta.give_back(self.model)
        with super().own_attention():
            yield

    @cached_property
    def _observed(self) -> list[Observed]:
        """Each attention, by layer, recorded while the model reads two tokens.

        Raises UserError if a block's attention does not go through transformers' interface.
        """
        with torch.no_grad(), record_attention() as seen:
            self.model(input_ids=torch.tensor([[self.tokenizer.cls_token_id] * 2], device=self.device))
        if len(seen) != len(self.blocks()):
            raise UserError(f"model {self.name} does not compute attention by transformers' interface")
        return seen

    def find_shapes(self) -> Mapping[str, Shape]:
        """See `LM.find_shapes`: the one site is `ENCODER`."""
        return {ENCODER: Shape(len(self._observed), *self._observed[0].keys.shape[1::2])}

    @property
    def sites(self) -> Mapping[str, list[nn.Module]]:
        """The attention modules by site, in the order of the layers."""
        return {ENCODER: [one.module for one in self._observed]}

    def blocks(self) -> list[nn.Module]:
        """The encoder's blocks."""
        return outermost_lists(self.model)

    @property
    def vocabulary(self) -> int:
        """Number of labels."""
        return len(self.labels)

    def set_labels(self, records: Iterable[Record]) -> None:
        """Set `labels`, and whether one of several texts is to be chosen.

        Raises UserError if one is to be chosen and the records do not have each choice as a label.
        """
        records = list(records)
        super().set_labels(records)
        choices = max((len(record.parts or ()) for record in records), default=0)
        self.choosing = choices > 1
        if self.choosing and len(self.labels) != choices:
            raise UserError(
                f"one of {choices} texts is to be chosen, but training and dev records name {', '.join(self.labels)} alone"
            )

    @property
    def scores(self) -> int:
        """Scores that the head gives per text or token: one per class, or a single one to choose a text by."""
        return 1 if self.choosing else len(self.labels)

    @torch.no_grad()
    def activations(self, ids: list[int]) -> dict[str, torch.Tensor]:
        """See `LM.activations`."""
        with record_attention() as seen:
            self.model(input_ids=torch.tensor([ids], device=self.device))
        return {ENCODER: torch.stack([torch.stack([one.keys[0], one.values[0]]) for one in seen])}

    def check_max_length(self, source: int, target: int, length: int) -> None:
        """Checks nothing: texts are cut or refused when they are read (`question`)."""

    def examples(self, records: list[Record], most_source: int | None, most_target: int | None) -> Iterator[Example]:
        """One example per record that has a target; only the first target is used.

        Raises UserError for a label that training does not have, and for tags that do not match the words in number.
        """
        for record in records:
            if not record.targets:
                continue
            asked = self.question(record, most_source)
            given = record.targets[:1] if record.words is None else record.targets[0].split(" ")
            if len(given) != sum(place != NONE for place in asked.target):
                raise UserError(f"record {record.id} has {len(given)} tags for {len(record.words)} words")
            labels = iter([self._label(label, record) for label in given])
            yield Example(asked.source, [NONE if place == NONE else next(labels) for place in asked.target])

    def question(self, record: Record, most: int | None) -> Example:
        """A record without its answer: the target has 0 wherever a class is asked for, else `NONE`.

        Raises UserError for a record without classes, and for a text that does not fit the model's positions.
        """
        if record.words is not None:
            return self._sentence(record, most)
        if record.parts is None:
            raise UserError(
                f"record {record.id} has no class: its task is for models that write, not for an encoder as {self.name}"
            )
        texts = [self._ids(parts, most, record) for parts in record.parts]
        return Example([number for ids in texts for number in (len(ids), *ids)], [0])

    def _ids(self, parts: list[str], most: int | None, record: Record) -> list[int]:
        """Ids of a text or pair with special tokens, cut at `most` tokens."""
        return self._fitting(self.tokenizer(*parts, truncation=most is not None, max_length=most)["input_ids"], record)

    def _fitting(self, ids: list[int], record: Record) -> list[int]:
        """The ids unchanged. Raises UserError if they exceed the model's positions."""
        if len(ids) > self.positions:
            cut = f"set cut.source_tokens in params.yaml to {self.positions} at most"
            cure = cut if record.words is None else "a sentence to be tagged is not cut, divide it in the data"
            raise UserError(
                f"record {record.id} has {len(ids)} tokens, more than the {self.positions} positions of {self.name}: {cure}"
            )
        return ids

    def _sentence(self, record: Record, most: int | None) -> Example:
        """Words to be tagged, each at its first token. Raises UserError for a sentence that would have to be cut.

        A word without tokens (a zero-width character, say) is read as the unknown token.
        """
        read = self._words(record.words)
        if lost := set(range(len(record.words))) - set(read.word_ids()):
            known = (self.tokenizer.unk_token if place in lost else word for place, word in enumerate(record.words))
            read = self._words(known)
        ids, words = self._fitting(read["input_ids"], record), read.word_ids()
        if most is not None and len(ids) > most:
            raise UserError(
                f"record {record.id} has {len(ids)} tokens, cut.source_tokens is {most}: it would lose its last tags"
            )
        first = [word is not None and word != before for before, word in pairwise([None, *words])]
        return Example([len(ids), *ids], [0 if begins else NONE for begins in first])

    def _words(self, words: Iterable[str]) -> BatchEncoding:
        return self.tokenizer([self.space + word for word in words], is_split_into_words=True)

    def _label(self, text: str, record: Record) -> int:
        """The class of a label. Raises UserError for a label that training does not have."""
        if text not in self.labels:
            raise UserError(f"record {record.id} has the label {text!r}, training has {', '.join(self.labels)}")
        return self.labels.index(text)

    def answer(self, classes: list[int]) -> str:
        """The label of a class, or the tags of a sentence, joined by spaces."""
        return " ".join(self.labels[number] for number in classes)

    def target_hidden(self, batch: Batch, adaptation: Adaptation) -> torch.Tensor:
        """Scores [targets, classes]: unlike in other families, the head has been applied.

        If texts are to be chosen, a row has one score per text, padded with the smallest number.
        """
        texts = [_texts(example.source) for example in batch.examples]
        counts = [len(found) for found in texts]
        runs = batch.runs.repeat_interleave(to_device(self.device, torch.tensor(counts)), output_size=sum(counts))
        hidden, pooled = self.read([ids for found in texts for ids in found], adaptation, runs)
        if any(len(example.target) > 1 for example in batch.examples):  # tags: special tokens have none
            places = torch.tensor([
                (row, place) for row, example in enumerate(batch.examples)
                for place, tag in enumerate(example.target) if tag != NONE
            ])  # fmt: skip
            rows, places = to_device(self.device, places).unbind(1)
            # [batch, length, width] -> [tags, classes]
            return adaptation.head(self._dropped(hidden[rows, places]), batch.runs[rows])
        scores = adaptation.head(self._dropped(pooled), runs)
        if max(counts) == 1:
            return scores
        split = scores[:, 0].split(counts)  # one score per text
        return nn.utils.rnn.pad_sequence(list(split), batch_first=True, padding_value=torch.finfo(scores.dtype).min)

    def _dropped(self, hidden: torch.Tensor) -> torch.Tensor:
        return nn.functional.dropout(hidden, self._dropout, self.model.training)

    def read(
        self, texts: list[list[int]], adaptation: Adaptation, runs: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Read texts (ids), text `i` with the adaptation of run `runs[i]`.

        Returns hidden states [texts, length, width] and one vector per text [texts, width]: the pooler's, or the first
        token's.
        """
        ids, mask = padded(texts, self.device, self.positions)
        ids = ids.masked_fill(~mask, self.tokenizer.pad_token_id)  # RoBERTa derives positions from the padding id
        options = {"token_type_ids": self._types(ids, mask)} if self._typed else {}
        modules = self.sites[ENCODER]

        def multiply(layer: int, factors: torch.Tensor) -> None:
            rows, visible = modules[layer].__dict__[PREFIX]  # [batch or 1, 2, heads, len, head_dim]
            # factors: [batch, len] -> [batch, 1, 1, len, 1]
            setattr(modules[layer], PREFIX, (rows * factors[:, None, None, :, None], visible))

        with (
            prefixed(self.sites, adaptation, runs),
            adapted(adaptation, runs),
            gated(self.blocks(), adaptation, mask, runs, multiply),
        ):
            read = self.model(input_ids=ids, attention_mask=mask.long(), **options)  # DeBERTa computes with the mask
        pooled = getattr(read, "pooler_output", None)
        return read.last_hidden_state, read.last_hidden_state[:, 0] if pooled is None else pooled

    def _types(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Token types [texts, length]: 0 up to the end of the first text of a pair, then 1; padding 0."""
        ends = ids == self.tokenizer.sep_token_id
        return ((ends.cumsum(1) - ends.long() > 0) & mask).long()

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """The scores unchanged: `target_hidden` has applied the head."""
        return hidden


def _texts(source: Sequence[int]) -> list[list[int]]:
    """Split an example's source into its texts' ids."""
    found, start = [], 0
    while start < len(source):
        end = start + 1 + source[start]
        found.append(list(source[start + 1 : end]))
        start = end
    return found
