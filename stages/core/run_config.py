"""The configuration of one run, with every `recipe` resolved. Training, decoding and methods read it.

`stages/resolve.py` makes it from params.yaml; the runs of studies read it from a file.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from stages.core.sections import Section


@dataclass(frozen=True)
class Training:
    """How a run is trained.

    - `epochs` or `steps`: the length of the training; the other one is None.
    - `clip_norm`: maximum norm of a run's gradient; None: no clipping.
    - `decay_rate`: of Adafactor; None for another optimizer.
    - `length_pool`: batches of similar length are formed among this many batches of shuffled examples.
    - `eval_every`: steps between dev losses; the state with the lowest is kept. None: that of the last step.
    """

    lr: float
    epochs: float | None
    steps: int | None
    batch_size: int
    warmup_steps: int
    loss: str
    lm_dropout: bool
    optimizer: str
    schedule: str
    weight_decay: float
    clip_norm: float | None
    decay_rate: float | None
    length_pool: int
    eval_every: int | None = None
    activation_checkpointing: bool = False


@dataclass(frozen=True)
class Decoding:
    """How texts are cut and decoded. `source_tokens` and `target_tokens`: maximum lengths, None: texts are not cut."""

    source_tokens: int | None
    target_tokens: int | None
    beam: int
    length_penalty: float
    min_new_tokens: int
    max_new_tokens: int
    batch_size: int
    early_stopping: bool
    banned: tuple[str, ...]


@dataclass(frozen=True)
class RunConfig:
    """The configuration of one run.

    - `model`: its name in params.yaml (see `stages/models/named.py`).
    - `prefix_len`: virtual tokens; None for a method without any.
    - `training`: None for a method that trains nothing.
    - `head_init_std`: deviation of the initial weights of an encoder's head.
    - `options`: the sections of `methods` that the method reads, by name.
    """

    task: str
    model: str
    revision: str
    method: str
    prefix_len: int | None
    source_words: str | None
    threads: int
    precision: str
    training: Training | None
    decoding: Decoding
    head_init_std: float
    options: Mapping[str, Section]

    @property
    def title(self) -> str:
        """The title of the run in plots."""
        return f"{self.method} on {self.task}, {self.model}"

    def as_json(self) -> dict[str, Any]:
        """The configuration as a JSON value; `stages.methods.config_from` is the inverse."""
        options = {name: section.model_dump() for name, section in self.options.items()}
        return {**asdict(self), "options": options}
