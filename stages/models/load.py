"""Open a model of any family, by directory or Hugging Face id: frozen, in fp32."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import torch
import transformers
from torch import nn
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer
from transformers import PreTrainedConfig as Config
from transformers.activations import NewGELUActivation
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_MASKED_LM_MAPPING_NAMES,
    MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES,
)

from stages.core.errors import UserError, foreign_code
from stages.models.check import check_logits, check_states
from stages.models.decoder_only import DecoderOnly
from stages.models.encoder import Encoder
from stages.models.encoder_decoder import EncoderDecoder
from stages.models.linear import use_onednn
from stages.models.model import LM
from stages.models.model_files import check_config, check_directory
from stages.models.model_weights import check_complete, without_untrained_pooler
from stages.models.vocabulary import check_vocabulary


def load(directory: str, name: str, revision: str) -> LM:
    """Load a model, frozen, in eval mode (no dropout) and fp32, onto the GPU if there is one.

    Raises UserError if it is no model, lacks weights, is computed in a way that ours does not equal (`check.py`), or
    cannot be downloaded. Code that comes with a model is never run.
    """
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    where = f"model {name}: no such directory, and not to be had from the Hugging Face hub"
    if Path(directory).is_dir():
        check_directory(Path(directory))
        where = f"transformers cannot open model {name}: look at its config.json, or download it again"
    options = {"revision": revision, "trust_remote_code": False}
    with foreign_code(where), quiet():
        check_config(directory, name, revision)
        config = AutoConfig.from_pretrained(directory, **options)
        config._attn_implementation = "eager"  # the config's choice, such as flash attention, may not be installed
        family, opener = family_of(config, name)
        tokenizer = AutoTokenizer.from_pretrained(directory, **options)
        model, loaded = opener.from_pretrained(
            directory, **options, config=config, dtype=torch.float32, use_safetensors=True, output_loading_info=True,
            ignore_mismatched_sizes=True,
        )  # fmt: skip
    check_complete(model, loaded, name)
    check_vocabulary(tokenizer, model, name)
    if family is Encoder:
        without_untrained_pooler(model, set(loaded["missing_keys"]))
    elif tokenizer.eos_token_id is None:
        raise UserError(f"the tokenizer of model {name} has no end-of-text token, which ends every target")
    model.requires_grad_(False).eval()
    fuse_gelu(model)
    if torch.cuda.is_available():
        model.to("cuda")
    else:
        use_onednn(model)
    with foreign_code(f"model {name} ({config.model_type}) is of a kind that is not supported"), quiet():
        lm = family(model, tokenizer, name)
        check_states(lm) if isinstance(lm, Encoder) else check_logits(lm)
    return lm


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without transformers' warnings: what they report is checked here and raises a one-line error."""
    before = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()
    try:
        yield
    finally:
        transformers.logging.set_verbosity(before)


def family_of(config: Config, name: str) -> tuple[type[LM], type]:
    """The model's family and the transformers class that opens it. Raises UserError for a model of no family."""
    kind = config.model_type
    if config.is_encoder_decoder and kind in MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES:
        return EncoderDecoder, AutoModelForSeq2SeqLM
    if kind in MODEL_FOR_MASKED_LM_MAPPING_NAMES and not getattr(config, "is_decoder", False):
        return Encoder, AutoModel
    if kind in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES and not config.is_encoder_decoder:
        return DecoderOnly, AutoModelForCausalLM
    raise UserError(
        f"model {name} ({kind}) is of a kind that is not supported: it is no decoder-only language model, no "
        "encoder-decoder and no encoder of texts"
    )


def fuse_gelu(model: nn.Module) -> None:
    """Replace GPT-2's activation, eight operations of which training keeps five results, by torch's single one."""
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if isinstance(child, NewGELUActivation):
                setattr(parent, name, nn.GELU(approximate="tanh"))
