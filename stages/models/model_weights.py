"""Checks of a model's weights after transformers has loaded them: it fills missing ones with random numbers."""

from collections.abc import Sequence

from torch import nn
from transformers import PreTrainedModel

from stages.core.errors import UserError

# Prefixes of tensor names if a wrapper of the model was saved, and what to save instead.
_WRAPPERS = {
    "module.": "DataParallel or DistributedDataParallel: save `model.module`",
    "_orig_mod.": "torch.compile: save `model._orig_mod`",
    "base_model.model.": "PEFT: save `model.merge_and_unload()`",
    "_fsdp_wrapped_module.": "FullyShardedDataParallel: save the full state of the model within",
}


def check_complete(model: PreTrainedModel, loaded: dict, name: str) -> None:
    """Raises UserError if a checkpoint lacks weights of the model, or has unknown ones or other sizes.

    `loaded` is transformers' loading info, which leaves out what a model's class declares dispensable (tied heads,
    buffers). The checkpoint of an encoder may lack a pooler and may have heads.
    """
    for key, found, expected in sorted(loaded["mismatched_keys"]):
        raise UserError(
            f"model {name}: {key} has the size {list(found)} in its weights, but {list(expected)} by its config.json"
            + _more(loaded["mismatched_keys"])
        )
    missing, unexpected = sorted(loaded["missing_keys"]), sorted(loaded["unexpected_keys"])
    if model.base_model is model:  # without a head
        missing = [key for key in missing if not key.startswith("pooler.")]
        unexpected = [key for key in unexpected if _within(model, key)]
    for prefix, wrapper in _WRAPPERS.items():
        wrapped = [key for key in unexpected if key.startswith(prefix)]
        if wrapped:
            raise UserError(
                f"model {name}: {len(wrapped)} tensors are named as by {wrapper} (`{wrapped[0]}`; the model's own name "
                f"has no `{prefix}`)"
            )
    if missing or unexpected:
        lacks = [f"lacks {_listed(missing)}"] if missing else []
        has = [f"holds {_listed(unexpected)} that its config.json does not know"] if unexpected else []
        raise UserError(
            f"model {name} {' and '.join(lacks + has)}: its weights and its config.json do not fit together"
        )


def _within(model: PreTrainedModel, key: str) -> bool:
    """Whether a tensor's name belongs to the base model, not to a head on it."""
    if any(key.startswith(prefix) for prefix in _WRAPPERS):
        return True
    parts = key.removeprefix(f"{model.base_model_prefix}.").split(".")
    return key.startswith(f"{model.base_model_prefix}.") or parts[0] in dict(model.named_children())


def _listed(keys: Sequence[str]) -> str:
    shown = ", ".join(keys[:3])
    return f"{len(keys)} tensor{'s' if len(keys) > 1 else ''} ({shown}{', ...' if len(keys) > 3 else ''})"


def _more(found: Sequence) -> str:
    return f", and {len(found) - 1} more tensors do not fit" if len(found) > 1 else ""


def without_untrained_pooler(model: nn.Module, missing: set[str]) -> None:
    """Remove a pooler with random weights; the text's vector is then the first token's hidden state.

    transformers adds a random pooler if the checkpoint has none (RoBERTa). MiniLM's checkpoint has an untrained one,
    which shows in its biases: all 0.
    """
    poolers = {key for key in missing if key.startswith("pooler.")}
    parameters = model.pooler.named_parameters() if getattr(model, "pooler", None) else ()
    biases = [value for key, value in parameters if key.endswith("bias")]
    if poolers or (biases and not any(bias.any() for bias in biases)):
        model.pooler = None
