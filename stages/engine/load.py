"""Opening a model: by directory or Hugging Face id, frozen, in fp32, of either family."""

import os
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer
from transformers.activations import NewGELUActivation

from stages.engine.batches import Batch, Example
from stages.engine.decoder_only import DecoderOnly
from stages.engine.encoder_decoder import EncoderDecoder
from stages.engine.linear import use_onednn
from stages.engine.model import LM
from stages.engine.steering import Steering
from stages.errors import UserError


def load(directory: str, name: str, revision: str) -> LM:
    """Load a model, frozen, in eval mode (no dropout) and fp32, onto the GPU where there is one.

    Raises UserError for what is no model, has no weights, or cannot be had without the network.
    """
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    local = Path(directory).is_dir()
    options = {"revision": revision, "dtype": torch.float32, "use_safetensors": True}
    try:
        config = AutoConfig.from_pretrained(directory, revision=revision)
        tokenizer = AutoTokenizer.from_pretrained(directory, revision=revision)
        if config.is_encoder_decoder:
            model = AutoModelForSeq2SeqLM.from_pretrained(directory, **options)
        else:
            model = AutoModelForCausalLM.from_pretrained(directory, **options)
    except (OSError, ValueError, SafetensorError) as error:
        first = str(error).strip().splitlines()[0]
        where = (
            f"directory {directory} holds no usable model"
            if local
            else f"model {name}: no such directory, and not to be had from the Hugging Face hub"
        )
        raise UserError(f"{where} ({first})") from error
    if tokenizer.eos_token_id is None:
        raise UserError(f"the tokenizer of model {name} has no end-of-text token, which ends every target")
    model.requires_grad_(False).eval()
    fuse_gelu(model)
    if torch.cuda.is_available():
        model.to("cuda")
    else:
        use_onednn(model)
    try:
        lm = (EncoderDecoder if config.is_encoder_decoder else DecoderOnly)(model, tokenizer, name)
        check_logits(lm)
    except (AttributeError, RuntimeError, TypeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"model {name} ({config.model_type}) is of a kind that is not supported ({reason})") from error
    return lm


def fuse_gelu(model: nn.Module) -> None:
    """GPT-2's activation in one pass instead of transformers' eight, of which training keeps five results."""
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if isinstance(child, NewGELUActivation):
                setattr(parent, name, nn.GELU(approximate="tanh"))


@torch.inference_mode()
def check_logits(lm: LM) -> None:
    """Refuse a model whose own logits are not ours: one that scales them, or has other positions than we know of."""
    example = Example([lm.end] * 3, [lm.end] * 3)
    theirs = lm.own_logits(example)
    runs = torch.zeros(1, dtype=torch.long, device=lm.device)
    memory = lm.memory(Steering(), 1)
    stepwise = [memory.enter([example.source], runs)]
    for token in example.target[:-1]:
        stepwise.append(memory.step(torch.tensor([[token]], device=lm.device), runs[:, None])[:, 0])
    for hidden in (lm.target_hidden(Batch.of([example], [0], lm.device), Steering()), torch.cat(stepwise)):
        if not torch.allclose(lm.logits(hidden), theirs, atol=1e-3, rtol=1e-3):
            raise UserError(f"model {lm.name} computes its logits in a way that is not supported")
