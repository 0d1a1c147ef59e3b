"""Opening a model: by directory or Hugging Face id, frozen, in fp32, of either family."""

import os
from pathlib import Path

import torch
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

from stages.engine.batches import Batch, Example
from stages.engine.decoder_only import DecoderOnly
from stages.engine.encoder_decoder import EncoderDecoder
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
    model.requires_grad_(False).eval().to("cuda" if torch.cuda.is_available() else "cpu")
    try:
        lm = (EncoderDecoder if config.is_encoder_decoder else DecoderOnly)(model, tokenizer, name)
        check_logits(lm)
    except (AttributeError, RuntimeError, TypeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"model {name} ({config.model_type}) is of a kind that is not supported ({reason})") from error
    return lm


@torch.inference_mode()
def check_logits(lm: LM) -> None:
    """Refuse a model whose logits are more than our own from its hidden states (a soft cap, a scale)."""
    example = Example([lm.end, lm.end], [lm.end])
    ours, theirs = lm.logits(lm.target_hidden(Batch.of([example], [0], lm.device), Steering())), lm.own_logits(example)
    if not torch.allclose(ours, theirs, atol=1e-3, rtol=1e-3):
        raise UserError(f"model {lm.name} changes its logits behind the output matrix, which is not supported")
