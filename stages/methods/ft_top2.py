"""FT-Top2: fine-tuning of the last two blocks and of what stands behind them (of an encoder-decoder, its decoder's).

The tied embedding stays as it is: so the size is that which is published for GPT-2 medium, 25.19M (the authors'
`top_layers 22`).
"""

import torch

from stages.core.run_config import RunConfig
from stages.methods.finetune import BATCHED_RUNS, FAMILIES, OwnWeights, load
from stages.models.model import LM

__all__ = ["BATCHED_RUNS", "FAMILIES", "OPTIONS", "build", "load"]

OPTIONS = {}
LAYERS = 2


def build(lm: LM, config: RunConfig, seeds: list[int]) -> OwnWeights:
    top = top_modules(lm)
    moved = {id(p) for module in top for p in module.parameters()}
    return OwnWeights(lm, {name: p for name, p in lm.model.named_parameters() if id(p) in moved}, seeds)


def top_modules(lm: LM) -> list[torch.nn.Module]:
    """The last blocks of the list that ends the model, the norms that stand beside it, but for the embeddings', and the pooler."""
    last = lm.blocks()[-1]
    for parent in lm.model.modules():
        named = dict(parent.named_children())
        for child in named.values():
            if isinstance(child, torch.nn.ModuleList) and len(child) and child[-1] is last:
                norms = [one for name, one in named.items() if name.startswith(("ln", "norm", "final", "layer_norm"))]
                pooler = getattr(lm.model, "pooler", None)
                return [*child[-LAYERS:], *norms, *([] if pooler is None else [pooler])]
    raise AssertionError("the last block stands in a list")
