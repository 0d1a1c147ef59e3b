"""FT-Top2: fine-tuning of the last two blocks and of what stands behind them (of a decoder, in both families).

The authors' code can also move the tied embedding with them (its `top_layers 2`; without, `22`). The size that
is published for GPT-2 medium, 25.19M, is without.
"""

import torch

from stages.engine.model import LM
from stages.methods.finetune import FAMILIES, OwnWeights, apply
from stages.params import Params

__all__ = ["FAMILIES", "apply", "build"]

LAYERS = 2


def build(lm: LM, chosen: Params, seeds: list[int]) -> OwnWeights:
    blocks = lm.blocks()
    behind = final_norms(lm, blocks[-1])
    moved = {id(p) for module in (*blocks[-LAYERS:], *behind) for p in module.parameters()}
    if chosen.ft_top2.embedding:
        moved.add(id(lm.model.get_input_embeddings().weight))
    return OwnWeights(lm, {name: p for name, p in lm.model.named_parameters() if id(p) in moved}, seeds)


def final_norms(lm: LM, last: torch.nn.Module) -> list[torch.nn.Module]:
    """The norms beside the list of blocks that ends in `last`, but for that of the embeddings: what stands behind it."""
    for parent in lm.model.modules():
        named = dict(parent.named_children())
        if any(isinstance(child, torch.nn.ModuleList) and len(child) and child[-1] is last for child in named.values()):
            return [child for name, child in named.items() if name.startswith(("ln", "norm", "final", "layer_norm"))]
    return []
