"""What is checked of a model's weights after transformers has loaded them: it gives missing ones random numbers."""

from collections.abc import Sequence

from torch import nn
from transformers import PreTrainedModel

from stages.core.errors import UserError

# How tensors are named when something other than the model itself was saved.
_WRAPPERS = {
    "module.": "DataParallel or DistributedDataParallel: save `model.module`",
    "_orig_mod.": "torch.compile: save `model._orig_mod`",
    "base_model.model.": "PEFT: save `model.merge_and_unload()`",
    "_fsdp_wrapped_module.": "FullyShardedDataParallel: save the full state of the model within",
}


def check_complete(model: PreTrainedModel, loaded: dict, name: str) -> None:
    """Raises UserError if a checkpoint lacks weights of the model, has others, or has them in other sizes.

    `loaded` is transformers' loading info, from which what a model's class declares as no loss (tied heads, buffers) is
    gone. The base model of an encoder may lack a pooler, and its checkpoint may hold heads.
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
    """Whether a tensor's name lies within the bare model: not that of a head beside it."""
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
    """A pooler of random numbers is taken away: the class is read from the first token's state itself.

    A checkpoint without one (RoBERTa's) would be given one; MiniLM's has one that nobody trained, as its biases show, which are
    all 0 still.
    """
    poolers = {key for key in missing if key.startswith("pooler.")}
    parameters = model.pooler.named_parameters() if getattr(model, "pooler", None) else ()
    biases = [value for key, value in parameters if key.endswith("bias")]
    if poolers or (biases and not any(bias.any() for bias in biases)):
        model.pooler = None
