"""Fine-tuning: all of the model's own weights move, and no prefix stands in front of the text."""

import torch

from stages.core.run_config import RunConfig
from stages.models.adaptation import Adaptation
from stages.models.model import LM
from stages.training.method import Method

FAMILIES = ("encoder", "decoder-only", "encoder-decoder")
BATCHED_RUNS = False
OPTIONS = {}


class OwnWeights(Method):
    """Some of the model's own weights, in place; one run at a time."""

    own_weights = True

    def __init__(self, lm: LM, weights: dict[str, torch.nn.Parameter], seeds: list[int]):
        if len(seeds) != 1:
            raise ValueError("the model's own weights can be those of one run only")
        super().__init__(seeds)
        self.names = list(weights)
        self.weights = torch.nn.ParameterList(weights.values())
        self.weights.requires_grad_(True)

    def forward(self, step: int | None = None) -> Adaptation:
        return Adaptation()

    def state(self) -> dict[str, torch.Tensor]:
        """Weights by their name in the model, [1, ...]."""
        return {name: weight.detach()[None] for name, weight in zip(self.names, self.weights, strict=True)}


def build(lm: LM, config: RunConfig, seeds: list[int]) -> OwnWeights:
    return OwnWeights(lm, dict(lm.model.named_parameters()), seeds)


@torch.no_grad()
def load(lm: LM, state: dict[str, torch.Tensor]) -> Adaptation:
    """Put the weights into the model."""
    weights = dict(lm.model.named_parameters())
    for name, [weight] in state.items():
        weights[name].copy_(weight)
    return Adaptation()
