"""Adapters: small bottlenecks among the layers of the frozen model.

`lin` (Lin et al. 2020, the paper's): behind each block, LayerNorm -> down -> ReLU -> up, added to its output.
`houlsby` (Houlsby et al. 2019): two a block, behind attention and behind the feed-forward part, without the norm.
"""

import torch
from torch import nn

from stages.engine.model import LM
from stages.engine.steering import Steering
from stages.errors import UserError
from stages.methods.method import Method, generators
from stages.params import Params

FAMILIES = ("decoder-only", "encoder-decoder")
_STD = 0.02  # of the weights, as GPT-2's own
# What transformers' models call the two parts of a block: attention, and the end of the feed-forward part.
_PARTS = (("attn", "mlp"), ("self_attn", "mlp"), ("self_attn", "fc2"))


class Bottleneck(nn.Module):
    def __init__(self, width: int, bottleneck: int, norm: bool, generator: torch.Generator):
        super().__init__()
        self.norm = nn.LayerNorm(width) if norm else nn.Identity()
        self.down, self.up = nn.Linear(width, bottleneck), nn.Linear(bottleneck, width)
        for linear in (self.down, self.up):
            nn.init.normal_(linear.weight, 0.0, _STD, generator=generator)
            nn.init.zeros_(linear.bias)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return hidden + self.up(self.down(self.norm(hidden)).relu())


class Adapters(Method):
    """One run; the adapters stand in the model from the moment they are made until `remove`."""

    def __init__(self, lm: LM, bottleneck: int, layout: str, seeds: list[int]):
        if len(seeds) != 1:
            raise ValueError("the adapters in a model can be those of one run only")
        super().__init__(seeds)
        [generator] = generators(seeds, 0)
        places = lm.blocks() if layout == "lin" else [part for block in lm.blocks() for part in parts(lm, block)]
        self.adapters = nn.ModuleList(Bottleneck(lm.width, bottleneck, layout == "lin", generator) for _ in places)
        self.to(lm.device)
        self.hooks = [
            place.register_forward_hook(lambda _module, _inputs, output, adapter=adapter: behind(output, adapter))
            for place, adapter in zip(places, self.adapters, strict=True)
        ]

    def forward(self, step: int | None = None) -> Steering:
        return Steering()

    def stored(self) -> dict[str, torch.Tensor]:
        """Weights by name, [1, ...]."""
        return {name: weight.detach()[None] for name, weight in self.adapters.named_parameters()}

    def remove(self) -> None:
        for hook in self.hooks:
            hook.remove()


def behind(output: torch.Tensor | tuple, adapter: Bottleneck) -> torch.Tensor | tuple:
    """A module gives hidden states, or a tuple that begins with them; an adapter computes in fp32."""
    if isinstance(output, tuple):
        return (behind(output[0], adapter), *output[1:])
    return adapter(output.float()).to(output.dtype)


def parts(lm: LM, block: nn.Module) -> list[nn.Module]:
    """The attention and the feed-forward part of a block. Raises UserError for a model that names them otherwise."""
    for names in _PARTS:
        found = [getattr(block, name, None) for name in names]
        if all(isinstance(part, nn.Module) for part in found):
            return found
    raise UserError(
        f"params.yaml: adapter.layout houlsby does not know the parts of {lm.name}'s blocks; lin fits any model"
    )


def build(lm: LM, chosen: Params, seeds: list[int]) -> Adapters:
    return Adapters(lm, chosen.training.bottleneck, chosen.adapter.layout, seeds)


@torch.no_grad()
def apply(lm: LM, stored: dict[str, torch.Tensor]) -> Steering:
    """Put trained adapters into the model."""
    bottleneck, layout = len(stored["0.down.bias"][0]), "lin" if "0.norm.weight" in stored else "houlsby"
    adapters = Adapters(lm, bottleneck, layout, [0]).adapters.requires_grad_(False)
    adapters.load_state_dict({name: weight[0] for name, weight in stored.items()})
    return Steering()
