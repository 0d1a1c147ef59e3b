"""The settings of one run with every `recipe` resolved, as training, decoding and methods read them.

`stages/resolve.py` makes them from params.yaml; the runs of studies read them from a file.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from stages.core.sections import Section


@dataclass(frozen=True)
class Training:
    """How a run is trained. Either `epochs` or `steps` is given; `clip_norm` None: gradients stay as they are;
    `decay_rate` is Adafactor's, None for another optimizer; batches of similar length are formed among `length_pool`
    batches of shuffled examples; `eval_every` None: the last step's state is kept."""

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
    """How texts are cut (None: never) and decoded."""

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
    """`model` is its name in params.yaml (`stages/models/named.py`).

    `training` is None for a method that trains nothing, `prefix_len` for one without a prefix. `head_init_std` is what
    the weights of an encoder's head start from. `options` are the sections of `methods` that the method reads, by name.
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
        return f"{self.method} on {self.task}, {self.model}"

    def as_json(self) -> dict[str, Any]:
        """The values as JSON; `stages.methods.config_from` reads them again."""
        options = {name: section.model_dump() for name, section in self.options.items()}
        return {**asdict(self), "options": options}
