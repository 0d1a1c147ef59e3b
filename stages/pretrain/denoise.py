"""Stage: pretrain mini-bart to restore damaged text (Lewis et al. 2020, "BART"), on mini-gpt2's corpus.

Out, data/pretrain/mini-bart: a transformers directory in 16 bits; its losses by kind of document go into
metrics/denoise.json.
"""

import itertools
from pathlib import Path

import numpy as np
import torch
from tokenizers.processors import TemplateProcessing
from torch.nn import functional as F
from transformers import BartConfig, BartForConditionalGeneration, PreTrainedTokenizerFast

from stages import params
from stages.engine.checkpoint import Checkpoint
from stages.engine.determinism import settle
from stages.errors import UserError, entry_point
from stages.files import replacing, write_json
from stages.pretrain import loop
from stages.pretrain.corpus import OUT as CORPUS
from stages.pretrain.loop import Optimizers
from stages.pretrain.primed_bart import prime

OUT = Path("data/pretrain/mini-bart")
START, PAD, END, MASK = "<s>", "<pad>", "</s>", "<mask>"
SPAN = 3.0  # mean length of a masked span
IGNORED = -100


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
        dropout=0.0, bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id, decoder_start_token_id=tokenizer.eos_token_id, forced_eos_token_id=None,
    ))  # fmt: skip
    prime(model, chosen.seed)
    return model


class Noise:
    """What BART does to a text: sentences in another order (in half of the texts), spans behind one mask each."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, share: float):
        self.mask, self.share = tokenizer.mask_token_id, share
        self.ends = {i for piece, i in tokenizer.get_vocab().items() if piece in (".", "Ġ.", "<|endoftext|>")}

    def damage(self, ids: list[int], rng: np.random.Generator) -> list[int]:
        if rng.random() < 0.5:
            ids = self._shuffled(ids, rng)
        return self._masked(ids, rng)

    def _shuffled(self, ids: list[int], rng: np.random.Generator) -> list[int]:
        cuts = [0, *(i + 1 for i, token in enumerate(ids) if token in self.ends), len(ids)]
        sentences = [ids[a:b] for a, b in itertools.pairwise(cuts)]
        return [token for i in rng.permutation(len(sentences)) for token in sentences[i]]

    def _masked(self, ids: list[int], rng: np.random.Generator) -> list[int]:
        """Spans of Poisson lengths, `share` of the text in all, each replaced by one mask."""
        lengths, left = [], round(self.share * len(ids))
        while left > 0:
            lengths.append(min(left, max(1, int(rng.poisson(SPAN)))))
            left -= lengths[-1]
        # Random gaps between the spans, one token at least, so that two masks never touch.
        gaps = np.sort(rng.choice(len(ids) - sum(lengths), len(lengths), replace=False))
        damaged, position, passed = [], 0, 0
        for gap, length in zip(gaps.tolist(), lengths, strict=True):
            damaged += ids[position : position + gap + 1 - passed]
            position, passed = position + gap + 1 - passed + length, gap + 1
            damaged.append(self.mask)
        return damaged + ids[position:]


def batch(tokens: np.ndarray, tokenizer: PreTrainedTokenizerFast, noise: Noise, rows: int, seed: list[int]) -> tuple:
    """Damaged and whole texts: ids, mask [rows, source], decoder ids, labels [rows, target]; `tokens` are cut into `rows`."""
    rng = np.random.default_rng(seed)
    start, end, pad = tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id
    texts = tokens.astype(np.int64).reshape(rows, -1).tolist()
    damaged = [torch.tensor([start, *noise.damage(text, rng), end]) for text in texts]
    ids = torch.nn.utils.rnn.pad_sequence(damaged, batch_first=True, padding_value=pad)
    labels = torch.tensor([[start, *text, end] for text in texts])
    return ids, (ids != pad).long(), torch.cat([torch.full((rows, 1), end), labels[:, :-1]], 1), labels


def loss_of(model: BartForConditionalGeneration, ids, mask, decoder_ids, labels) -> torch.Tensor:
    """Mean cross-entropy of each token of the whole text."""
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(input_ids=ids, attention_mask=mask, decoder_input_ids=decoder_ids, use_cache=False).logits
    return F.cross_entropy(logits.flatten(0, 1).float(), labels.flatten())


def loss_at(model, tokens: np.ndarray, tokenizer, noise: Noise, chosen: params.Denoise, index: int) -> torch.Tensor:
    """Of step `index`; the length of its rows alternates, for a task's texts are of any length."""
    part = tokens[index * chosen.step_tokens : (index + 1) * chosen.step_tokens]
    length = chosen.lengths[index % len(chosen.lengths)]
    return loss_of(model, *batch(part, tokenizer, noise, len(part) // length, [chosen.seed, index]))


@torch.no_grad()
def evaluate(model, tokenizer, noise: Noise, length: int) -> dict[str, float]:
    """Loss by kind of document, on documents behind the training ones, damaged once."""
    losses = {}
    for number, (kind, tokens) in enumerate(np.load(CORPUS / "heldout.npz").items()):
        rows = min(64, len(tokens) // length)
        losses[kind] = round(
            loss_of(model, *batch(tokens[: rows * length], tokenizer, noise, rows, [number])).item(), 4
        )
    return losses


@entry_point
def main() -> None:
    chosen = params.load().denoise
    settle(chosen.threads)
    tokenizer = bart_tokenizer(CORPUS)
    noise = Noise(tokenizer, chosen.masked)
    tokens = np.load(CORPUS / "train.npy", mmap_mode="r")
    model = build(chosen, tokenizer)
    if chosen.steps * chosen.step_tokens > len(tokens):
        raise UserError(f"params.yaml: denoise.steps asks for more than the corpus's {len(tokens):,} tokens")
    optimizers = Optimizers(model, ".layers.", chosen.muon_lr, chosen.adamw_lr, chosen.steps)
    checkpoint = Checkpoint.of(chosen.model_dump(), CORPUS / "train.npy", Path(__file__), Path(loop.__file__))
    loop.pretrain(model, lambda index: loss_at(model, tokens, tokenizer, noise, chosen, index), optimizers, checkpoint)
    model = model.half().float()  # what users will load, so that the losses are of it
    losses = evaluate(model, tokenizer, noise, chosen.lengths[0])
    with replacing(OUT) as out:
        model.half().save_pretrained(out)
        tokenizer.save_pretrained(out)
    write_json(Path("metrics/denoise.json"), {"loss": losses})


if __name__ == "__main__":
    main()
