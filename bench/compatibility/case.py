"""A configuration to be tried, and the checkpoint that is made of it."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn
from transformers import CONFIG_MAPPING, PreTrainedConfig, PreTrainedTokenizerFast

STD = 0.3  # at which tokens and positions make clear differences; transformers' own 0.02 would hide most errors


Tokenizer = Callable[[], PreTrainedTokenizerFast]


SPARE = 8  # input vectors without a token: a class of tokenizers may add some of its own when it is opened


@dataclass(frozen=True)
class Case:
    """`settings` are of the architecture's config, over those of its family; `particulars` says what is switched on.

    `std` is smaller where weights of `STD` let rounding grow from layer to layer.
    """

    name: str
    architecture: str
    particulars: str
    tokenizer: Tokenizer
    settings: Mapping[str, object] = field(default_factory=dict)
    std: float = STD


def write(case: Case, opener: type, common: Mapping[str, object], directory: Path) -> None:
    """A checkpoint of random weights as a user would bring it: config, weights, tokenizer."""
    tokenizer = case.tokenizer()
    special = {f"{name}_token_id": getattr(tokenizer, f"{name}_token_id") for name in ("bos", "eos", "pad")}
    config = config_of(case, dict(common) | {"vocab_size": len(tokenizer) + SPARE} | special)
    model = opener.from_config(config)
    randomize(model, case.std)
    model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)


def config_of(case: Case, common: Mapping[str, object]) -> PreTrainedConfig:
    """With what it knows of the common settings: an attribute that it does not know would be believed by who reads it."""
    kind = CONFIG_MAPPING[case.architecture]
    known = set(inspect.signature(kind).parameters) | set(kind.attribute_map)
    return kind(**{key: value for key, value in common.items() if key in known} | dict(case.settings))


@torch.no_grad()
def randomize(model: nn.Module, std: float) -> None:
    """Every weight is drawn, biases and norms too; what is computed and never trained (sinusoidal positions) stays."""
    generator = torch.Generator().manual_seed(0)
    for name, weight in model.named_parameters():
        if weight.requires_grad:
            weight.normal_(std=std, generator=generator)
            if weight.ndim == 1 and name.endswith("weight"):  # of a norm
                weight.add_(1)
    if getattr(model, "final_logits_bias", None) is not None:
        model.final_logits_bias.normal_(generator=generator)
