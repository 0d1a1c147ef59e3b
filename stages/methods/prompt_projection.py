"""Prompt transfer across models (Su et al. 2022): a projector maps the trained prompt of one model to another model.

    prompt = LayerNorm(W2 tanh(W1 flattened source prompt)), LayerNorm per token

Only the projector is trained, with the task's loss on the frozen target model. A trained projector also projects the
prompts of other tasks (`trained`, with `train.steps` 0).
"""

from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

from stages.core.errors import UserError
from stages.core.run_config import RunConfig
from stages.core.sections import Count, Section, Text
from stages.methods.parts import saved
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
    """The section `methods.prompt_projection`.

    `hidden`: the projector's hidden units; `source`: directory of the run that trained the source prompt; `trained`:
    directory of an earlier run whose projector to start from.
    """

    hidden: Count
    source: Text | None
    trained: Text | None


OPTIONS = {"prompt_projection": Options}


class PromptProjection(Method):
    """A trainable projector. Parameters are [runs, ...]."""

    def __init__(self, lm: GenerativeLM, source: torch.Tensor, length: int, hidden: int, seeds: list[int]):
        """`source` [len, width]: the other model's prompt; `length`: virtual tokens of the projected prompt."""
        super().__init__(seeds)
        self.lm, self.length = lm, length
        self.register_buffer("source", source.flatten()[None, None])  # [1, 1, len * width]
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
        """The projected prompts, [runs, len, width]."""
        own = self.weights
        source = self.source.expand(len(self.seeds), -1, -1)  # [runs, 1, len * width of the source]
        hidden = product_by_run(source, own["down"], own["down_bias"]).tanh()  # [runs, 1, hidden]
        flat = product_by_run(hidden, own["up"], own["up_bias"])  # [runs, 1, len * width]
        vectors = flat.view(len(self.seeds), self.length, self.lm.embedding_width)  # [runs, len, width]
        return F.layer_norm(vectors, vectors.shape[-1:]) * own["scale"] + own["shift"]

    def forward(self, step: int | None = None) -> Adaptation:
        """The adaptation of the projected prompts; there is no dropout."""
        return adaptation_of(self.lm, self.vectors())

    def state(self) -> dict[str, torch.Tensor]:
        """The projected prompts `embeddings` [runs, len, width], and the weights of the projectors [runs, ...]."""
        parts = {f"{_PART}{name}": weight.detach() for name, weight in self.weights.items()}
        return {EMBEDDINGS: self.vectors().detach(), **parts}

    @torch.no_grad()
    def init_from(self, trained: Path) -> None:
        """Start all runs from the first projector in the file `trained`.

        Raises UserError if the projector is for another model or has other sizes, or as `saved.state_of`.
        """
        found = saved.state_of(trained.parent)
        check_belongs(trained.parent, self.lm)
        for name, weight in self.weights.items():
            kept = found.get(f"{_PART}{name}")
            if kept is None or kept.shape[1:] != weight.shape[1:]:
                sizes = f"{'none' if kept is None else list(kept.shape[1:])}, not {list(weight.shape[1:])}"
                raise UserError(f"params.yaml: methods.prompt_projection.trained: {trained} has for {name} {sizes}")
            weight.copy_(kept[:1].expand_as(weight))


def files(config: RunConfig) -> list[Path]:
    """The file of the source prompt, then that of the trained projector if there is one.

    Raises UserError if `source` is not given, or as `given_run`.
    """
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
    """Projectors to train, one run per seed, by `methods.prompt_projection`.

    Raises UserError if the source prompt or the trained projector is missing or does not fit.
    """
    if isinstance(lm, EncoderDecoder):
        lm.check_vectors()
    source, *trained = files(config)
    hidden = config.options["prompt_projection"].hidden
    method = PromptProjection(lm, prompt_in(source), config.prefix_len, hidden, seeds)
    for projector in trained:
        method.init_from(projector)
    return method
