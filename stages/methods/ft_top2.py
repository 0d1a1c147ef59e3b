"""FT-Top2: fine-tuning of the last two blocks and of what stands behind them (of an encoder-decoder, its decoder's).

The authors' code can also move the tied embedding with them (its `top_layers 2`; without, `22`). The size that
is published for GPT-2 medium, 25.19M, is without.
"""

import torch

from stages.methods.finetune import FAMILIES, TOGETHER, OwnWeights, apply
from stages.models.model import LM
from stages.params import Params

__all__ = ["FAMILIES", "READS", "TOGETHER", "apply", "build"]

READS = ("ft_top2",)
LAYERS = 2


def build(lm: LM, chosen: Params, seeds: list[int]) -> OwnWeights:
    top = top_modules(lm)
    moved = {id(p) for module in top for p in module.parameters()}
    if chosen.ft_top2.embedding:
        moved.add(id(lm.model.get_input_embeddings().weight))
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
