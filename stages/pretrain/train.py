"""Stage: pretrain mini-gpt2 on the corpus, from primed weights; resumes where it was interrupted.

Out, pretrain/data/mini-gpt2: a transformers directory in 16 bits; its losses by kind of document go into
pretrain/metrics/pretrain.json.
"""

from pathlib import Path

import numpy as np
import torch
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from stages import params
from stages.core.errors import entry_point
from stages.models.determinism import set_determinism
from stages.pretrain import attention, loop
from stages.pretrain.corpus import OUT as CORPUS
from stages.pretrain.finish import finish
from stages.pretrain.loop import Optimizers
from stages.pretrain.loss import cross_entropy
from stages.pretrain.made import Made, made
from stages.pretrain.memory import keep_freed
from stages.pretrain.primed import prime_gpt2
from stages.training.checkpoint import Checkpoint

OUT = Path("pretrain/data/mini-gpt2")
METRICS = Path("pretrain/metrics/pretrain.json")


def build(chosen: params.Pretrain, end_of_text: int) -> GPT2LMHeadModel:
    torch.manual_seed(chosen.seed)
    model = GPT2LMHeadModel(GPT2Config(
        vocab_size=chosen.vocabulary, n_positions=chosen.positions, n_embd=chosen.width, n_layer=chosen.layers,
        n_head=chosen.heads, activation_function="gelu", bos_token_id=end_of_text, eos_token_id=end_of_text,
        resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
    ))  # fmt: skip
    prime_gpt2(model, chosen.seed)
    return model


def loss_of(model: GPT2LMHeadModel, ids: torch.Tensor, positions: torch.Tensor | None = None) -> torch.Tensor:
    """Mean cross-entropy of the next tokens, in nats; `ids` and `positions` are [batch, length]."""
    with torch.autocast("cpu", torch.bfloat16):
        hidden = model.transformer(ids, position_ids=positions, use_cache=False).last_hidden_state
        # [batch, length - 1, width] -> [batch * (length - 1), width]: the last token has no next one
        return cross_entropy(hidden[:, :-1].flatten(0, 1), model.lm_head, ids[:, 1:].flatten())


def batch(tokens: np.ndarray, chosen: params.Pretrain, index: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows of ids and positions of step `index`; every other row starts at a random position.

    A prefix moves the text of a task to later positions, so all of them must have been trained.
    """
    size = chosen.batch_size * chosen.length
    ids = torch.from_numpy(tokens[index * size : (index + 1) * size].astype(np.int64)).view(-1, chosen.length)
    generator = torch.Generator().manual_seed(chosen.seed * 1_000_003 + index)
    start = torch.randint(0, chosen.positions - chosen.length + 1, (len(ids), 1), generator=generator)
    start[::2] = 0
    return ids, start + torch.arange(chosen.length)  # [batch, length] each


@torch.no_grad()
def evaluate(model: GPT2LMHeadModel, length: int) -> dict[str, float]:
    """Loss in nats a token by kind of document, on the held-out documents."""
    losses = {}
    for kind, tokens in np.load(CORPUS / "heldout.npz").items():
        rows = len(tokens) // length
        ids = torch.from_numpy(tokens[: rows * length].astype(np.int64)).view(rows, length)
        losses[kind] = round(sum(loss_of(model, part).item() * len(part) for part in ids.split(32)) / rows, 4)
    return losses


def pretrained(
    chosen: params.Pretrain, tokenizer: PreTrainedTokenizerFast, checkpoint: Checkpoint
) -> tuple[GPT2LMHeadModel, Made]:
    tokens = np.load(CORPUS / "train.npy", mmap_mode="r")
    steps = len(tokens) // (chosen.batch_size * chosen.length)
    model = build(chosen, tokenizer.eos_token_id)
    attention.use(model)
    optimizers = Optimizers(model, ".h.", chosen.muon_lr, chosen.adamw_lr, steps)
    seconds = loop.pretrain(model, lambda index: loss_of(model, *batch(tokens, chosen, index)), optimizers, checkpoint)
    read = steps * chosen.batch_size * chosen.length
    return model, made(seconds, chosen.documents, read, steps, chosen.threads, CORPUS / "train.npy")


@entry_point
def main() -> None:
    chosen = params.load().pretrain
    set_determinism(chosen.threads)
    keep_freed()
    tokenizer = PreTrainedTokenizerFast.from_pretrained(CORPUS / "tokenizer")
    with loop.checkpoint(chosen, CORPUS / "train.npy", "train") as checkpoint:
        model, how = pretrained(chosen, tokenizer, checkpoint)
        finish(model, tokenizer, lambda rounded: evaluate(rounded, chosen.length), how, OUT, METRICS)


if __name__ == "__main__":
    main()
