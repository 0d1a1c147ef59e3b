"""The frozen language model: any decoder-only transformers model, and what a method needs to know of it."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    DynamicCache,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from stages.errors import UserError


@dataclass(frozen=True)
class Shape:
    """What a cache of the model looks like: `[batch, kv_heads, length, head_dim]` per layer, for keys and for values."""

    layers: int
    kv_heads: int
    head_dim: int


@dataclass(frozen=True)
class FrozenLM:
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    name: str
    shape: Shape
    positions: int | None  # None: no limit known

    @property
    def device(self) -> torch.device:
        return self.model.device

    @property
    def separator(self) -> int:
        """Id between source and target: beginning of text, for GPT-2 the same as its end (authors' language_modeling.py)."""
        bos = self.tokenizer.bos_token_id
        return self.end if bos is None else bos

    @property
    def end(self) -> int:
        return self.tokenizer.eos_token_id

    def hidden(
        self, ids: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor, cache: DynamicCache
    ) -> torch.Tensor:
        """Last hidden states [batch, length, width] of `ids` behind what the cache holds, which grows by them.

        `ids` and `positions` are [batch, length]; `mask` is [batch, cached + length], 0 for padding.
        """
        return self.model.base_model(
            input_ids=ids, attention_mask=mask, position_ids=positions, past_key_values=cache, use_cache=True
        ).last_hidden_state

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Vocabulary logits [..., vocabulary] of hidden states [..., width]: pay for the positions that count only."""
        return self.model.get_output_embeddings()(hidden)

    def fingerprint(self) -> str:
        """A short hash of the weights: some numbers of each tensor, so that it takes no time and a tuned model differs."""
        digest = hashlib.sha256()
        for name, weight in sorted(self.model.named_parameters()):
            flat = weight.detach().flatten()
            sample = flat[:: max(1, len(flat) // 64)].float().cpu()
            digest.update(name.encode() + sample.numpy().tobytes())
        return digest.hexdigest()[:16]


def shape_of(config) -> Shape:
    """The cache's shape from a transformers config (grouped-query models have fewer key-value heads)."""
    config = config.get_text_config(decoder=True)
    heads = config.num_attention_heads
    return Shape(
        layers=config.num_hidden_layers,
        kv_heads=getattr(config, "num_key_value_heads", None) or heads,
        head_dim=getattr(config, "head_dim", None) or config.hidden_size // heads,
    )


def _check_logits(lm: FrozenLM) -> None:
    """Refuse a model whose logits are more than the output matrix times the hidden states (a soft cap, a scale)."""
    ids = torch.tensor([[lm.separator, lm.end]], device=lm.device)
    with torch.inference_mode():
        plain = lm.logits(lm.model.base_model(input_ids=ids).last_hidden_state)
        if not torch.allclose(plain, lm.model(input_ids=ids).logits, atol=1e-3, rtol=1e-3):
            raise UserError(f"model {lm.name} changes its logits behind the output matrix, which is not supported")


def load(directory: str, name: str, revision: str) -> FrozenLM:
    """Load a model by directory or Hugging Face id, frozen, in eval mode (no dropout: authors' trainer), in fp32.

    Uses the GPU where there is one. Raises UserError for what is no model, has no weights, is not
    decoder-only, or cannot be had without the network.
    """
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    local = Path(directory).is_dir()
    try:
        config = AutoConfig.from_pretrained(directory, revision=revision)
        if config.is_encoder_decoder:
            raise UserError(f"model {name} is an encoder-decoder model; method prefix is for decoder-only models")
        tokenizer = AutoTokenizer.from_pretrained(directory, revision=revision)
        model = AutoModelForCausalLM.from_pretrained(
            directory, revision=revision, dtype=torch.float32, use_safetensors=True
        )
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
    text = config.get_text_config(decoder=True)
    lm = FrozenLM(model, tokenizer, name, shape_of(config), getattr(text, "max_position_embeddings", None))
    _check_logits(lm)
    return lm
