"""Opening a model: by directory or Hugging Face id, frozen, in fp32, of any family."""

import os
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import nn
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer
from transformers import PreTrainedConfig as Config
from transformers.activations import NewGELUActivation
from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES

from stages.engine.batches import Batch, Example
from stages.engine.decoder_only import DecoderOnly
from stages.engine.encoder import Encoder
from stages.engine.encoder_decoder import EncoderDecoder
from stages.engine.linear import use_onednn
from stages.engine.model import LM, Writer
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
        family, opener = family_of(config)
        model, loaded = opener.from_pretrained(directory, **options, output_loading_info=True)
    except (OSError, ValueError, SafetensorError) as error:
        first = str(error).strip().splitlines()[0]
        where = (
            f"directory {directory} holds no usable model"
            if local
            else f"model {name}: no such directory, and not to be had from the Hugging Face hub"
        )
        raise UserError(f"{where} ({first})") from error
    if family is Encoder:
        _without_untrained_pooler(model, set(loaded["missing_keys"]), name)
    if family is not Encoder and tokenizer.eos_token_id is None:
        raise UserError(f"the tokenizer of model {name} has no end-of-text token, which ends every target")
    model.requires_grad_(False).eval()
    fuse_gelu(model)
    if torch.cuda.is_available():
        model.to("cuda")
    else:
        use_onednn(model)
    try:
        lm = family(model, tokenizer, name)
        if isinstance(lm, Writer):
            check_logits(lm)
    except (AttributeError, RuntimeError, TypeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"model {name} ({config.model_type}) is of a kind that is not supported ({reason})") from error
    return lm


def family_of(config: Config) -> tuple[type[LM], type]:
    """And the class of transformers that opens its models."""
    if config.is_encoder_decoder:
        return EncoderDecoder, AutoModelForSeq2SeqLM
    if config.model_type in MODEL_FOR_MASKED_LM_MAPPING_NAMES and not getattr(config, "is_decoder", False):
        return Encoder, AutoModel
    return DecoderOnly, AutoModelForCausalLM


def _without_untrained_pooler(model: nn.Module, missing: set[str], name: str) -> None:
    """A pooler of random numbers is taken away: the class is read from the first token's state itself.

    A checkpoint without one (RoBERTa's) would be given one; MiniLM's has one that nobody trained, as its biases show, which are
    all 0 still. Raises UserError if the checkpoint lacks other weights.
    """
    poolers = {key for key in missing if key.startswith("pooler.")}
    parameters = model.pooler.named_parameters() if getattr(model, "pooler", None) else ()
    biases = [value for key, value in parameters if key.endswith("bias")]
    if poolers or (biases and not any(bias.any() for bias in biases)):
        model.pooler = None
    if missing - poolers:
        raise UserError(f"model {name} lacks weights, such as {min(missing - poolers)}")


def fuse_gelu(model: nn.Module) -> None:
    """GPT-2's activation in one pass instead of transformers' eight, of which training keeps five results."""
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if isinstance(child, NewGELUActivation):
                setattr(parent, name, nn.GELU(approximate="tanh"))


@torch.inference_mode()
def check_logits(lm: Writer) -> None:
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
