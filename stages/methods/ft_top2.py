"""FT-Top2: fine-tuning of the last two blocks and of what comes after them (in an encoder-decoder, of the decoder).

The tied embedding stays frozen. So the number of trainable parameters is the published one for GPT-2 medium, 25.19M
(the authors' `top_layers 22`).
"""

import torch

from stages.core.run_config import RunConfig
from stages.methods.finetune import BATCHED_RUNS, FAMILIES, OwnWeights, load
from stages.models.model import LM

__all__ = ["BATCHED_RUNS", "FAMILIES", "OPTIONS", "build", "load"]

OPTIONS = {}
LAYERS = 2


def build(lm: LM, config: RunConfig, seeds: list[int]) -> OwnWeights:
    """The weights of `top_modules` to train, for one run. Raises ValueError for more than one seed."""
    top = top_modules(lm)
    moved = {id(p) for module in top for p in module.parameters()}
    return OwnWeights(lm, {name: p for name, p in lm.model.named_parameters() if id(p) in moved}, seeds)


def top_modules(lm: LM) -> list[torch.nn.Module]:
    """The last two blocks, the layer norms beside the list of blocks (not those of the embeddings), and the pooler."""
    last = lm.blocks()[-1]
    for parent in lm.model.modules():
        named = dict(parent.named_children())
        for child in named.values():
            if isinstance(child, torch.nn.ModuleList) and len(child) and child[-1] is last:
                norms = [one for name, one in named.items() if name.startswith(("ln", "norm", "final", "layer_norm"))]
                pooler = getattr(lm.model, "pooler", None)
                return [*child[-LAYERS:], *norms, *([] if pooler is None else [pooler])]
    raise AssertionError("the last block stands in a list")
