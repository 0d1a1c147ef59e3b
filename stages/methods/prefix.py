"""Prefix-tuning (Li & Liang 2021, section 4): the only trained parameters are a prefix of keys and values.

While training, the prefix comes out of an MLP over a smaller matrix (section 4.3); what is kept is the
prefix alone. All parameters have the runs as their first dimension, and a run is computed, initialised
and dropped out from its own seed, so that it does not depend on the runs beside it.
"""

import math

import torch
from torch import nn
from torch.nn import functional as F

from stages.engine.model import FrozenLM, Shape
from stages.methods.cache import activations

# The authors fit the MLP, and not the matrix it reads, to the activations of real words.
FIT_STEPS, FIT_LR = 500, 1e-4


def _generators(seeds: list[int], salt: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed * 1_000_003 + salt) for seed in seeds]


class Prefix(nn.Module):
    """Trainable prefixes of several runs; `forward` gives `[runs, layers, 2, kv_heads, len, head_dim]`."""

    def __init__(self, shape: Shape, length: int, seeds: list[int], dropout: float = 0.0):
        super().__init__()
        self.shape, self.length, self.seeds, self.dropout = shape, length, seeds, dropout

    def keys_and_values(self) -> torch.Tensor:
        raise NotImplementedError

    def forward(self, step: int | None = None) -> torch.Tensor:
        """The prefix; with dropout if `step`, the number of the training step, is given."""
        prefix = self.keys_and_values()
        if step is None or not self.dropout:
            return prefix
        # Drawn from seed and step alone: a resumed training drops what the uninterrupted one drops.
        kept = torch.stack([torch.rand(prefix.shape[1:], generator=g) for g in _generators(self.seeds, step + 1)])
        return prefix * (kept >= self.dropout).to(prefix) / (1.0 - self.dropout)

    def unflatten(self, flat: torch.Tensor) -> torch.Tensor:
        """[runs, len, layers * 2 * kv_heads * head_dim] -> [runs, layers, 2, kv_heads, len, head_dim]"""
        s = self.shape
        return flat.view(len(flat), self.length, s.layers, 2, s.kv_heads, s.head_dim).permute(0, 2, 3, 4, 1, 5)


class FreePrefix(Prefix):
    """Without the MLP: the keys and values are the parameters (the ablation of section 7.3)."""

    def __init__(self, shape: Shape, length: int, seeds: list[int], dropout: float = 0.0):
        super().__init__(shape, length, seeds, dropout)
        size = (shape.layers, 2, shape.kv_heads, length, shape.head_dim)
        self.prefix = nn.Parameter(torch.stack([torch.randn(size, generator=g) for g in _generators(seeds, 0)]))

    def keys_and_values(self) -> torch.Tensor:
        return self.prefix

    @torch.no_grad()
    def start_from(self, target: torch.Tensor) -> None:
        self.prefix.copy_(target.expand_as(self.prefix))


class MLPPrefix(Prefix):
    """Embedding [len, width] -> Linear -> tanh -> Linear -> keys and values of all layers, for each run."""

    def __init__(self, shape: Shape, length: int, width: int, mlp_width: int, seeds: list[int], dropout: float = 0.0):
        super().__init__(shape, length, seeds, dropout)
        out = shape.layers * 2 * shape.kv_heads * shape.head_dim
        generators = _generators(seeds, 0)

        def uniform(fan_in: int, *size: int) -> nn.Parameter:
            """What nn.Linear starts from, weight and bias."""
            bound = 1 / math.sqrt(fan_in)
            return nn.Parameter(
                torch.stack([torch.empty(size).uniform_(-bound, bound, generator=g) for g in generators])
            )

        self.embedding = nn.Parameter(torch.stack([torch.randn(length, width, generator=g) for g in generators]))
        self.down, self.down_bias = uniform(width, width, mlp_width), uniform(width, 1, mlp_width)
        self.up, self.up_bias = uniform(mlp_width, mlp_width, out), uniform(mlp_width, 1, out)

    def keys_and_values(self) -> torch.Tensor:
        hidden = torch.baddbmm(self.down_bias, self.embedding, self.down).tanh()  # [runs, len, mlp_width]
        return self.unflatten(torch.baddbmm(self.up_bias, hidden, self.up))

    def start_from(self, target: torch.Tensor) -> None:
        """Fit the MLP to `target` [layers, 2, kv_heads, len, head_dim] by mean squared error."""
        parameters = [self.down, self.down_bias, self.up, self.up_bias]
        optimizer = torch.optim.Adam(parameters, lr=FIT_LR)
        for _ in range(FIT_STEPS):
            loss = F.mse_loss(self.keys_and_values(), target.expand(len(self.seeds), *target.shape), reduction="none")
            loss.mean(dim=(1, 2, 3, 4, 5)).sum().backward()  # a mean of each run's own
            optimizer.step()
            self.zero_grad(set_to_none=True)


def build(
    lm: FrozenLM, length: int, mlp_width: int | None, seeds: list[int], dropout: float, init_words: str | None
) -> FreePrefix | MLPPrefix:
    """A prefix of `length`, one run per seed, from random numbers or from the activations of real words.

    The words are repeated up to `length` tokens; with `length` their own count it is what is published.
    `mlp_width` None means no MLP.
    """
    width = lm.model.config.get_text_config(decoder=True).hidden_size
    prefix = (
        FreePrefix(lm.shape, length, seeds, dropout)
        if mlp_width is None
        else MLPPrefix(lm.shape, length, width, mlp_width, seeds, dropout)
    ).to(lm.device)
    if init_words is not None:
        ids = lm.tokenizer(" " + init_words.strip(), add_special_tokens=False)["input_ids"]
        prefix.start_from(activations(lm, (ids * length)[:length]))
    return prefix
