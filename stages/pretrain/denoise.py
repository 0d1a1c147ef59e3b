"""Stage: pretrain mini-bart to restore damaged documents (Lewis et al. 2020, "BART"), of mini-gpt2's corpus.

Out, pretrain/data/mini-bart: a transformers directory in 16 bits; its losses by kind of document go into
pretrain/metrics/denoise.json.
"""

from pathlib import Path

import numpy as np
import torch
from tokenizers.processors import TemplateProcessing
from transformers import BartConfig, BartForConditionalGeneration, PreTrainedTokenizerFast

from stages import params
from stages.core.errors import UserError, entry_point
from stages.models.determinism import set_determinism
from stages.pretrain import attention, loop, rows
from stages.pretrain.corpus import END_OF_TEXT
from stages.pretrain.corpus import OUT as CORPUS
from stages.pretrain.finish import finish
from stages.pretrain.loop import Optimizers
from stages.pretrain.loss import IGNORED, cross_entropy
from stages.pretrain.made import made
from stages.pretrain.memory import keep_freed
from stages.pretrain.noise import Noise
from stages.pretrain.primed import prime_bart
from stages.training.checkpoint import Checkpoint

OUT = Path("pretrain/data/mini-bart")
METRICS = Path("pretrain/metrics/denoise.json")
START, PAD, END, MASK = "<s>", "<pad>", "</s>", "<mask>"
AROUND = 2  # tokens: <s> before a text, </s> after it


def bart_tokenizer(corpus: Path) -> PreTrainedTokenizerFast:
    """The corpus's tokenizer with BART's special tokens: a text becomes `<s> text </s>`."""
    base = PreTrainedTokenizerFast.from_pretrained(corpus / "tokenizer")
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=base.backend_tokenizer, bos_token=START, eos_token=END, pad_token=PAD, mask_token=MASK
    )
    start, end = tokenizer.convert_tokens_to_ids([START, END])
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"{START} $A {END}", special_tokens=[(START, start), (END, end)]
    )
    return tokenizer


def build(chosen: params.Denoise, tokenizer: PreTrainedTokenizerFast) -> BartForConditionalGeneration:
    torch.manual_seed(chosen.seed)
    model = BartForConditionalGeneration(BartConfig(
        vocab_size=len(tokenizer), max_position_embeddings=chosen.positions, d_model=chosen.width,
        encoder_layers=chosen.layers, decoder_layers=chosen.layers, encoder_attention_heads=chosen.heads,
        decoder_attention_heads=chosen.heads, encoder_ffn_dim=4 * chosen.width, decoder_ffn_dim=4 * chosen.width,
        dropout=0.0, activation_function="gelu", bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id, decoder_start_token_id=tokenizer.eos_token_id, forced_eos_token_id=None,
    ))  # fmt: skip
    prime_bart(model, chosen.seed)
    return model


def padded(texts: list[np.ndarray], padding: int) -> torch.Tensor:
    """[rows, longest]: the texts, padded on the right."""
    return torch.nn.utils.rnn.pad_sequence([torch.from_numpy(row) for row in texts], True, padding)


def batch(texts: list[np.ndarray], tokenizer, noise: Noise, seed: list[int]) -> tuple[torch.Tensor, ...]:
    """Ids and mask of the damaged texts, [rows, source]; decoder ids and labels of the whole ones, [rows, target]."""
    rng = np.random.default_rng(seed)
    start, end, pad = tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id
    texts = [text.astype(np.int64) for text in texts]
    ids = padded([np.concatenate([[start], noise.damage(text, rng), [end]]) for text in texts], pad)
    decoder_ids = padded([np.concatenate([[end, start], text]) for text in texts], pad)
    labels = padded([np.concatenate([[start], text, [end]]) for text in texts], IGNORED)
    return ids, (ids != pad).long(), decoder_ids, labels


def loss_of(model: BartForConditionalGeneration, ids, mask, decoder_ids, labels) -> torch.Tensor:
    """Mean cross-entropy of each token of the whole texts."""
    with torch.autocast("cpu", torch.bfloat16):
        # The decoder needs no mask: its padding comes after the text.
        hidden = model.model(input_ids=ids, attention_mask=mask, decoder_input_ids=decoder_ids, use_cache=False)[0]
        return cross_entropy(hidden.flatten(0, 1), model.lm_head, labels.flatten())


def steps_of(tokens: np.ndarray, end_of_text: int, chosen: params.Denoise) -> list[np.ndarray]:
    """[rows, 2] a step: begin and end of its rows in `tokens`. Raises UserError if the corpus has too few documents."""
    spans = rows.documents(tokens, end_of_text, chosen.documents)
    if len(spans) < chosen.documents:
        raise UserError(f"params.yaml: denoise.documents asks for more than the corpus's {len(spans):,} documents")
    rng = np.random.default_rng(chosen.seed)
    return rows.grouped(rows.joined(spans, chosen.positions - AROUND, rng), chosen.step_tokens, AROUND, rng)


def loss_at(model, tokens: np.ndarray, steps, tokenizer, noise: Noise, chosen: params.Denoise, index: int):
    texts = [tokens[begin:end] for begin, end in steps[index]]
    return loss_of(model, *batch(texts, tokenizer, noise, [chosen.seed, index]))


def pretrained(chosen: params.Denoise, tokenizer: PreTrainedTokenizerFast, noise: Noise, checkpoint: Checkpoint):
    tokens = np.load(CORPUS / "train.npy", mmap_mode="r")
    steps = steps_of(tokens, tokenizer.convert_tokens_to_ids(END_OF_TEXT), chosen)
    model = build(chosen, tokenizer)
    attention.use(model)
    optimizers = Optimizers(model, ".layers.", chosen.muon_lr, chosen.adamw_lr, len(steps))
    seconds = loop.pretrain(
        model, lambda index: loss_at(model, tokens, steps, tokenizer, noise, chosen, index), optimizers, checkpoint
    )
    read = sum(int((step[:, 1] - step[:, 0] + AROUND).sum()) for step in steps)
    return model, made(seconds, chosen.documents, read, len(steps), chosen.threads, CORPUS / "train.npy")


@torch.no_grad()
def evaluate(model, tokenizer, noise: Noise, chosen: params.Denoise) -> dict[str, float]:
    """Loss in nats a token by kind of document, on the held-out documents: one a row, each damaged once."""
    losses, closing = {}, tokenizer.convert_tokens_to_ids(END_OF_TEXT)
    for number, (kind, tokens) in enumerate(np.load(CORPUS / "heldout.npz").items()):
        spans = rows.documents(tokens, closing)
        spans[:, 1] = np.minimum(spans[:, 1], spans[:, 0] + chosen.positions - AROUND)
        total = count = 0
        for index, step in enumerate(rows.grouped(spans, chosen.step_tokens, AROUND, np.random.default_rng(number))):
            damaged = batch([tokens[begin:end] for begin, end in step], tokenizer, noise, [number, index])
            known = int((damaged[-1] != IGNORED).sum())
            total, count = total + loss_of(model, *damaged).item() * known, count + known
        losses[kind] = round(total / count, 4)
    return losses


@entry_point
def main() -> None:
    chosen = params.load().denoise
    set_determinism(chosen.threads)
    keep_freed()
    tokenizer = bart_tokenizer(CORPUS)
    noise = Noise(tokenizer, chosen.masked, chosen.masked_lines)
    with loop.checkpoint(chosen, CORPUS / "train.npy", "denoise", "noise", "rows") as checkpoint:
        model, how = pretrained(chosen, tokenizer, noise, checkpoint)
        finish(model, tokenizer, lambda rounded: evaluate(rounded, tokenizer, noise, chosen), how, OUT, METRICS)


if __name__ == "__main__":
    main()
