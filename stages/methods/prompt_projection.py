"""Prompt transfer across models (Su et al. 2022): a projector makes a model's prompt out of one that another was trained with.

    prompt = LayerNorm(W2 tanh(W1 flattened source prompt)), per token

The projector alone is trained, by the task's loss through the frozen model that it projects to; then it projects the
prompts of other tasks too (`trained`, with `train.steps` 0).
"""

from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

from stages.core.errors import UserError
from stages.core.run_config import RunConfig
from stages.core.sections import Count, Section, Text
from stages.core.tensors import read_tensors
from stages.methods.parts.given import given_run
from stages.methods.prompt_tuning import (
    BATCHED_RUNS,
    EMBEDDINGS,
    FAMILIES,
    PROJECTED,
    adaptation_of,
    load,
    prompt_file,
    prompt_in,
)
from stages.models.adaptation import Adaptation
from stages.models.encoder_decoder import EncoderDecoder
from stages.models.identity import check_belongs
from stages.models.linear import product_by_run
from stages.models.model import GenerativeLM
from stages.training.method import Method, generators

__all__ = ["BATCHED_RUNS", "FAMILIES", "OPTIONS", "build", "files", "load"]

_PART = "projector."


class Options(Section):
    """`methods.prompt_projection`: `source`, the run of another model's prompt; `trained`, of an earlier projector."""

    hidden: Count
    source: Text | None
    trained: Text | None


OPTIONS = {"prompt_projection": Options}


class PromptProjection(Method):
    def __init__(self, lm: GenerativeLM, source: torch.Tensor, length: int, hidden: int, seeds: list[int]):
        """`source` [len, width] is the other model's prompt; parameters are [runs, ...]."""
        super().__init__(seeds)
        self.lm, self.length = lm, length
        self.register_buffer("source", source.flatten()[None, None])
        runs, size = len(seeds), source.numel()
        drawn = generators(seeds, 0)

        def normal(rows: int, columns: int) -> torch.Tensor:
            return torch.stack([torch.randn(rows, columns, generator=g) * rows**-0.5 for g in drawn])

        self.weights = nn.ParameterDict({
            "down": normal(size, hidden),
            "down_bias": torch.zeros(runs, 1, hidden),
            "up": normal(hidden, length * lm.embedding_width),
            "up_bias": torch.zeros(runs, 1, length * lm.embedding_width),
            "scale": torch.ones(runs, 1, lm.embedding_width),
            "shift": torch.zeros(runs, 1, lm.embedding_width),
        })  # fmt: skip
        self.to(lm.device)

    def vectors(self) -> torch.Tensor:
        """[runs, len, width]"""
        own = self.weights
        source = self.source.expand(len(self.seeds), -1, -1)  # [runs, 1, len * width of the source]
        hidden = product_by_run(source, own["down"], own["down_bias"]).tanh()
        flat = product_by_run(hidden, own["up"], own["up_bias"])
        vectors = flat.view(len(self.seeds), self.length, self.lm.embedding_width)
        return F.layer_norm(vectors, vectors.shape[-1:]) * own["scale"] + own["shift"]

    def forward(self, step: int | None = None) -> Adaptation:
        return adaptation_of(self.lm, self.vectors())

    def state(self) -> dict[str, torch.Tensor]:
        """The prompts [runs, len, width], and the projectors that made them."""
        parts = {f"{_PART}{name}": weight.detach() for name, weight in self.weights.items()}
        return {EMBEDDINGS: self.vectors().detach(), **parts}

    @torch.no_grad()
    def init_from(self, trained: Path) -> None:
        """The projector of an earlier training's file. Raises UserError if it is of another model or of other sizes."""
        found = read_tensors(trained)
        check_belongs(trained.parent, self.lm)
        for name, weight in self.weights.items():
            kept = found.get(f"{_PART}{name}")
            if kept is None or kept.shape[1:] != weight.shape[1:]:
                sizes = f"{'none' if kept is None else list(kept.shape[1:])}, not {list(weight.shape[1:])}"
                raise UserError(f"params.yaml: methods.prompt_projection.trained: {trained} has for {name} {sizes}")
            weight.copy_(kept[:1].expand_as(weight))


def files(config: RunConfig) -> list[Path]:
    """The source prompt, then the trained projector if one is given. Raises UserError where no prompt is."""
    options = config.options["prompt_projection"]
    if options.source is None:
        raise UserError(
            "params.yaml: method prompt_projection: give methods.prompt_projection.source, the directory of another "
            "model's prompt"
        )
    found = [prompt_file("methods.prompt_projection.source", options.source)]
    if options.trained is not None:
        found.append(given_run("methods.prompt_projection.trained", options.trained) / PROJECTED)
    return found


def build(lm: GenerativeLM, config: RunConfig, seeds: list[int]) -> PromptProjection:
    if isinstance(lm, EncoderDecoder):
        lm.check_vectors()
    source, *trained = files(config)
    hidden = config.options["prompt_projection"].hidden
    method = PromptProjection(lm, prompt_in(source), config.prefix_len, hidden, seeds)
    for projector in trained:
        method.init_from(projector)
    return method
