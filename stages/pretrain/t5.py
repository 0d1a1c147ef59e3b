"""A small T5 with the gated feed-forward layers of version 1.1: tokenizer, batches, loss and training for any objective."""

from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import torch
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast, T5Config, T5ForConditionalGeneration

from stages.core.errors import UserError
from stages.pretrain import loop, rows
from stages.pretrain.corpus import END_OF_TEXT
from stages.pretrain.corpus import OUT as CORPUS
from stages.pretrain.loop import Optimizers
from stages.pretrain.loss import IGNORED, cross_entropy
from stages.pretrain.made import Made, made
from stages.pretrain.objectives import Objective
from stages.pretrain.section import Adapt, Span
from stages.training.checkpoint import Checkpoint

PAD, END, SENTINELS = "<pad>", "</s>", 100
_CLOSED = 1  # token: </s> after a text


def tokenizer_of(corpus: Path) -> PreTrainedTokenizerFast:
    """The corpus's tokenizer with T5's special tokens: a text becomes `text </s>`."""
    base = PreTrainedTokenizerFast.from_pretrained(corpus / "tokenizer")
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=base.backend_tokenizer, eos_token=END, pad_token=PAD, bos_token=None,
        additional_special_tokens=[f"<extra_id_{number}>" for number in range(SENTINELS)],
    )  # fmt: skip
    [end] = tokenizer.convert_tokens_to_ids([END])
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single=f"$A {END}", special_tokens=[(END, end)])
    return tokenizer


def sentinels_of(tokenizer: PreTrainedTokenizerFast) -> np.ndarray:
    return np.array(tokenizer.convert_tokens_to_ids([f"<extra_id_{number}>" for number in range(SENTINELS)]))


def build(chosen: Span, tokenizer: PreTrainedTokenizerFast) -> T5ForConditionalGeneration:
    torch.manual_seed(chosen.seed)
    return T5ForConditionalGeneration(T5Config(
        vocab_size=len(tokenizer), d_model=chosen.width, d_kv=chosen.width // chosen.heads, d_ff=chosen.feed_forward,
        num_layers=chosen.layers, num_heads=chosen.heads, feed_forward_proj="gated-gelu", dropout_rate=0.0,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
        decoder_start_token_id=tokenizer.pad_token_id,
    ))  # fmt: skip


def batch(
    texts: list[np.ndarray], tokenizer: PreTrainedTokenizerFast, objective: Objective, seed: list[int]
) -> tuple[torch.Tensor, ...]:
    """Ids and mask of the encoder, [rows, source]; ids and labels of the decoder, [rows, target]."""
    rng, end, pad = np.random.default_rng(seed), [tokenizer.eos_token_id], tokenizer.pad_token_id
    pairs = [objective(text.astype(np.int64), rng) for text in texts]
    ids = _padded([np.concatenate([source, end]) for source, _ in pairs], pad)
    decoder_ids = _padded([np.concatenate([[pad], target]) for _, target in pairs], pad)
    labels = _padded([np.concatenate([target, end]) for _, target in pairs], IGNORED)
    return ids, (ids != pad).long(), decoder_ids, labels


def _padded(texts: list[np.ndarray], padding: int) -> torch.Tensor:
    """[rows, longest]: the texts, padded on the right."""
    return torch.nn.utils.rnn.pad_sequence([torch.from_numpy(row) for row in texts], True, padding)


def loss_of(model: T5ForConditionalGeneration, ids, mask, decoder_ids, labels) -> torch.Tensor:
    """Mean cross-entropy, in nats, of the labels that are not IGNORED."""
    with torch.autocast("cpu", torch.bfloat16):
        encoded = model.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
        hidden = model.decoder(
            input_ids=decoder_ids, encoder_hidden_states=encoded, encoder_attention_mask=mask, use_cache=False
        ).last_hidden_state
        hidden = hidden.flatten(0, 1) * model.config.d_model**-0.5  # the output matrix is the embedding
        return cross_entropy(hidden, model.lm_head, labels.flatten())


def steps_of(tokens: np.ndarray, chosen: Span | Adapt, tokenizer: PreTrainedTokenizerFast) -> list[np.ndarray]:
    """[rows, 2] a step: begin and end of its rows, of the `chosen.documents` documents after the first `chosen.skipped`.

    Raises UserError if the corpus has too few documents.
    """
    spans = rows.documents(tokens, tokenizer.convert_tokens_to_ids(END_OF_TEXT))
    if len(spans) < chosen.skipped + chosen.documents:
        raise UserError(
            f"params.yaml: {chosen.documents:,} documents after the first {chosen.skipped:,} are more than the corpus's {len(spans):,}"
        )
    spans = spans[chosen.skipped : chosen.skipped + chosen.documents]
    rng = np.random.default_rng(chosen.seed)
    joined = rows.joined(spans, chosen.longest - _CLOSED, rng)
    joined = joined[joined[:, 1] - joined[:, 0] > 1]  # of one token nothing can be made
    return rows.grouped(joined, chosen.step_tokens, _CLOSED, rng)


def checkpoint_of(chosen: Span | Adapt, *begun: Path) -> AbstractContextManager[Checkpoint]:
    """The checkpoint of this training. `begun`: the file of the weights that it starts from, if they are not random."""
    code = [Path(__file__).with_name(f"{name}.py") for name in ("t5", "objectives", "rows", "loop", "loss")]
    return Checkpoint.of([type(chosen).__name__, chosen.model_dump()], CORPUS / "train.npy", *begun, *code)


def trained(
    model: T5ForConditionalGeneration,
    chosen: Span | Adapt,
    tokenizer: PreTrainedTokenizerFast,
    objective: Objective,
    checkpoint: Checkpoint,
) -> Made:
    """Train `model` in place, from the checkpoint if there is one. Returns how it was made."""
    tokens = np.load(CORPUS / "train.npy", mmap_mode="r")
    steps = steps_of(tokens, chosen, tokenizer)
    optimizers = Optimizers(model, ".block.", chosen.muon_lr, chosen.adamw_lr, len(steps))

    def loss_at(index: int) -> torch.Tensor:
        texts = [tokens[begin:end] for begin, end in steps[index]]
        return loss_of(model, *batch(texts, tokenizer, objective, [chosen.seed, index]))

    seconds = loop.pretrain(model, loss_at, optimizers, checkpoint)
    read = sum(int((step[:, 1] - step[:, 0] + _CLOSED).sum()) for step in steps)
    return made(seconds, chosen.documents, read, len(steps), chosen.threads, CORPUS / "train.npy")


@torch.no_grad()
def evaluate(model, tokenizer, objective: Objective, chosen: Span | Adapt) -> dict[str, float]:
    """Loss in nats a token by kind of document, on the held-out documents: one a row, `objective` applied once."""
    losses, closing = {}, tokenizer.convert_tokens_to_ids(END_OF_TEXT)
    for number, (kind, tokens) in enumerate(np.load(CORPUS / "heldout.npz").items()):
        spans = rows.documents(tokens, closing)
        spans[:, 1] = np.minimum(spans[:, 1], spans[:, 0] + chosen.longest - _CLOSED)
        spans = spans[spans[:, 1] - spans[:, 0] > 1]
        total = count = 0
        for index, step in enumerate(rows.grouped(spans, chosen.step_tokens, _CLOSED, np.random.default_rng(number))):
            pair = batch([tokens[begin:end] for begin, end in step], tokenizer, objective, [number, index])
            known = int((pair[-1] != IGNORED).sum())
            total, count = total + loss_of(model, *pair).item() * known, count + known
        losses[kind] = round(total / count, 4)
    return losses
