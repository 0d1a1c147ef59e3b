"""The sections of params.yaml of how the embedded models are made, with their types."""

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from stages.core.sections import Count, Positive, Section, Share, Whole, to_number


class Pretrain(Section):
    seed: Whole
    documents: Count
    copies_first: Whole
    vocabulary: Annotated[int, Field(ge=300)]
    layers: Annotated[int, Field(ge=2)]
    width: Count
    heads: Count
    positions: Count
    length: Count
    batch_size: Count
    muon_lr: Positive
    adamw_lr: Positive
    threads: Count


class Denoise(Section):
    seed: Whole
    documents: Count
    layers: Annotated[int, Field(ge=2)]
    width: Count
    heads: Count
    positions: Annotated[int, Field(ge=32)]
    step_tokens: Count
    masked: Annotated[float, Field(gt=0, lt=0.5)]
    masked_lines: Annotated[float, Field(ge=0, le=1)]
    muon_lr: Positive
    adamw_lr: Positive
    threads: Count

    @model_validator(mode="after")
    def _rows_fit(self) -> "Denoise":
        if self.step_tokens < self.positions:
            raise ValueError(f"step_tokens {self.step_tokens} must hold a row of {self.positions} positions")
        return self


class Adapt(Section):
    seed: Whole
    skipped: Whole
    documents: Count
    longest: Annotated[int, Field(ge=32)]
    step_tokens: Count
    muon_lr: Positive
    adamw_lr: Positive
    threads: Count

    @model_validator(mode="after")
    def _rows_fit(self) -> Self:
        if self.step_tokens < self.longest:
            raise ValueError(f"step_tokens {self.step_tokens} must hold a row of {self.longest} tokens")
        return self


class Span(Adapt):
    layers: Count
    width: Count
    heads: Count
    feed_forward: Count
    masked: Annotated[float, Field(gt=0, lt=0.5)]
    mean_span: Annotated[float, Field(ge=1)]


class Bounds(Section):
    """What a released model must reach: measures of a probe that may not be below `least`, or above `most`."""

    least: dict[str, dict[str, Share]]
    most: dict[str, dict[str, Annotated[float, BeforeValidator(to_number), Field(ge=0, allow_inf_nan=False)]]]


class Probes(Section):
    seed: Whole
    prompts: Count
    batch_size: Count
    threads: Count
    bounds: dict[Literal["mini-gpt2", "mini-bart"], Bounds]
