"""Methods: one module each, which says which parameters move and how the model comes to see them.

Each has `FAMILIES`, the model families it fits; `TOGETHER`, whether several runs can train in one batch; `READS`, the
sections of params.yaml that it reads and not every method; `build(lm, chosen, seeds)`, its trainable runs; and `apply(lm, stored)`,
which puts trained runs into effect and returns their steering. To add a method, write its
module, name it here and in `Method` of `stages/core/sections.py`, and give it recipes in params.yaml.
"""

from dataclasses import replace
from pathlib import Path
from types import ModuleType

import torch

from stages.core.errors import UserError
from stages.core.record import read_records
from stages.methods import (
    adapter,
    apt,
    embedding_only,
    finetune,
    ft_top2,
    head,
    infix,
    linear_probe,
    prefix,
    prompt_projection,
    prompt_tuning,
    untuned,
)
from stages.models.encoder import Encoder
from stages.models.model import LM
from stages.models.steering import Head, Steering
from stages.params import Params
from stages.training.method import Method

METHODS: dict[str, ModuleType] = {
    "prefix": prefix,
    "finetune": finetune,
    "ft_top2": ft_top2,
    "adapter": adapter,
    "adapter_small": adapter,
    "embedding_only": embedding_only,
    "infix": infix,
    "prompt_tuning": prompt_tuning,
    "prompt_projection": prompt_projection,
    "apt": apt,
    "linear_probe": linear_probe,
    "none": untuned,
}


def check_fits(method: str, family: str, model: str) -> None:
    """Raises UserError, naming the methods that do, if it does not fit the models of a family."""
    if family not in METHODS[method].FAMILIES:
        fitting = [name for name, module in METHODS.items() if family in module.FAMILIES]
        raise UserError(
            f"params.yaml: method {method} is not for {family} models such as {model}; {', '.join(fitting)} are"
        )


def module_of(method: str, lm: LM) -> ModuleType:
    """The method's module. Raises UserError as `check_fits` does."""
    check_fits(method, lm.family, lm.name)
    return METHODS[method]


def learn(lm: LM, chosen: Params, linearized: Path) -> None:
    """Let the model know the classes of the task: an encoder, or one whose prompt starts from them.

    They are those of all training and dev records, however few a run is trained on. Raises UserError for a prompt that
    is to start from classes where there are none.
    """
    of_prompt = chosen.method == "prompt_tuning" and chosen.training.init == "labels" and not chosen.training.words
    if isinstance(lm, Encoder) or of_prompt:
        records = [record for split in ("train", "dev") for record in read_records(linearized / f"{split}.jsonl")]
        if of_prompt and all(record.parts is None and record.words is None for record in records):
            raise UserError(
                f"params.yaml: prompt.init is labels, but {chosen.task} has no classes: give prompt.words, or another init"
            )
        lm.learn(records)


def build(lm: LM, chosen: Params, seeds: list[int]) -> Method:
    """Trainable runs, one per seed; of an encoder each with a head. Raises UserError as `module_of` does."""
    method = module_of(chosen.method, lm).build(lm, chosen, seeds)
    return head.Headed(lm, method) if isinstance(lm, Encoder) else method


def apply(method: str, lm: LM, stored: dict[str, torch.Tensor]) -> Steering:
    """Put trained runs into effect. Raises UserError as `module_of` does."""
    own = {name: tensor for name, tensor in stored.items() if name not in (head.WEIGHT, head.BIAS)}
    steering = module_of(method, lm).apply(lm, own)
    return replace(steering, head=Head(stored[head.WEIGHT], stored[head.BIAS])) if isinstance(lm, Encoder) else steering
