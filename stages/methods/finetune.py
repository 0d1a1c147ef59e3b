"""Fine-tuning: all of the model's own weights are trained, without a prefix."""

import torch

from stages.core.run_config import RunConfig
from stages.models.adaptation import Adaptation
from stages.models.model import LM
from stages.training.method import Method

FAMILIES = ("encoder", "decoder-only", "encoder-decoder")
BATCHED_RUNS = False
OPTIONS = {}


class OwnWeights(Method):
    """Trains some of the model's own weights in place, for one run."""

    own_weights = True

    def __init__(self, lm: LM, weights: dict[str, torch.nn.Parameter], seeds: list[int]):
        """`weights`: the trained weights by their name in the model. Raises ValueError for more than one seed."""
        if len(seeds) != 1:
            raise ValueError("the model's own weights can be those of one run only")
        super().__init__(seeds)
        self.names = list(weights)
        self.weights = torch.nn.ParameterList(weights.values())
        self.weights.requires_grad_(True)

    def forward(self, step: int | None = None) -> Adaptation:
        """The empty adaptation: the weights are trained inside the model."""
        return Adaptation()

    def state(self) -> dict[str, torch.Tensor]:
        """The trained weights by their name in the model, [1, ...]."""
        return {name: weight.detach()[None] for name, weight in zip(self.names, self.weights, strict=True)}


def build(lm: LM, config: RunConfig, seeds: list[int]) -> OwnWeights:
    """All weights of the model to train, for one run. Raises ValueError for more than one seed."""
    return OwnWeights(lm, dict(lm.model.named_parameters()), seeds)


@torch.no_grad()
def load(lm: LM, state: dict[str, torch.Tensor]) -> Adaptation:
    """Copy trained weights, [1, ...] by name, into the model. The adaptation itself is empty."""
    weights = dict(lm.model.named_parameters())
    for name, [weight] in state.items():
        weights[name].copy_(weight)
    return Adaptation()
