"""LoRA (Hu et al. 2021): low-rank updates of frozen linear layers, W + alpha / rank * B @ A.

The layers are named as in PEFT (`target_modules`), and the weights start as there. GPT-2 keeps query, key and value in
one layer, `c_attn`: there the update has one A for all three, as PEFT's.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import AfterValidator
from torch import nn
from transformers.pytorch_utils import Conv1D

from stages.core.errors import UserError
from stages.core.run_config import RunConfig
from stages.core.sections import FILE, RECIPE, CountOrRecipe, PositiveOrRecipe, Section
from stages.methods.parts import saved
from stages.methods.parts.given import RunOption, given_run
from stages.models.adaptation import Adaptation, LowRankUpdate
from stages.models.identity import check_belongs
from stages.models.model import LM
from stages.training.method import Method, generators

FAMILIES = ("encoder", "decoder-only", "encoder-decoder")
BATCHED_RUNS = True
ALL = "all-linear"  # PEFT's word for all linear layers but the output matrix


def _layers(value: Any) -> Any:
    named = isinstance(value, list) and value and all(isinstance(name, str) and name.strip() for name in value)
    if not named and value not in (ALL, RECIPE):
        raise ValueError(f"must be a list of layers such as [q_proj, v_proj], or {ALL}, recipe, or empty")
    return value


class Options(Section):
    """The section `methods.lora`.

    `target_modules`: the ends of the names of the layers to change, or `all-linear`; None: the attention's queries and
    values. `file`: the directory of a saved run of `lora` whose update to start from; None: B starts from zero.
    """

    rank: CountOrRecipe
    alpha: PositiveOrRecipe
    target_modules: Annotated[Any, AfterValidator(_layers)] | None
    file: RunOption = None


OPTIONS = {"lora": Options}
# What models call the layers of their attention's queries and values. The first that a model has is its default.
_QUERIES_AND_VALUES = (
    ("q_proj", "v_proj"), ("q", "v"), ("query", "value"), ("query_proj", "value_proj"), ("q_lin", "v_lin"),
    ("c_attn",), ("query_key_value",), ("qkv_proj",), ("Wqkv",), ("in_proj",),
)  # fmt: skip
A, B = "lora_A.weight", "lora_B.weight"  # as PEFT names them


class LoRA(Method):
    """An update for each layer of `layers`, by name: A [runs, rank, in] and B [runs, out, rank]."""

    def __init__(self, lm: LM, rank: int, alpha: float, layers: Mapping[str, nn.Module], seeds: list[int]):
        """A starts from random numbers as nn.Linear's weights do, B from zero."""
        super().__init__(seeds)
        self.layers, self.scale = layers, alpha / rank
        self.a, self.b = nn.ParameterList(), nn.ParameterList()
        drawn = generators(seeds, 0)
        for layer in layers.values():
            width, out = size_of_layer(layer)
            start = torch.empty(len(seeds), rank, width)
            for run, generator in zip(start, drawn, strict=True):
                nn.init.kaiming_uniform_(run, a=math.sqrt(5), generator=generator)
            self.a.append(nn.Parameter(start))
            self.b.append(nn.Parameter(torch.zeros(len(seeds), out, rank)))
        self.to(lm.device)

    def forward(self, step: int | None = None) -> Adaptation:
        """The updates, attached to `layers`; there is no dropout."""
        return Adaptation(low_rank={
            layer: LowRankUpdate(a, b * self.scale) for layer, a, b in zip(self.layers.values(), self.a, self.b, strict=True)
        })  # fmt: skip

    def state(self) -> dict[str, torch.Tensor]:
        """`<layer>.lora_A.weight` [runs, rank, in], and `<layer>.lora_B.weight` [runs, out, rank] times alpha / rank."""
        found = {}
        for name, a, b in zip(self.layers, self.a, self.b, strict=True):
            found |= {f"{name}.{A}": a.detach(), f"{name}.{B}": b.detach() * self.scale}
        return found

    @torch.no_grad()
    def init_from(self, state: Mapping[str, torch.Tensor], where: Path) -> None:
        """Start all runs from the updates of one run, `state` as `state()` gives it, of the directory `where`.

        Raises UserError if they are of other layers or of another rank.
        """
        wanted = {name: list(tensor.shape[1:]) for name, tensor in self.state().items()}
        found = {name: list(tensor.shape[1:]) for name, tensor in state.items()}
        differing = sorted(name for name in wanted | found if wanted.get(name) != found.get(name))
        if differing:
            name = differing[0]
            raise UserError(
                f"{FILE}: methods.lora.file: {where} has for {name} {found.get(name)}, where rank and target_modules need "
                f"{wanted.get(name)}"
            )
        for name, a, b in zip(self.layers, self.a, self.b, strict=True):
            a.copy_(state[f"{name}.{A}"].expand_as(a))
            b.copy_((state[f"{name}.{B}"] / self.scale).expand_as(b))


def size_of_layer(layer: nn.Module) -> tuple[int, int]:
    """Widths of a linear layer's input and output. The weights of GPT-2's Conv1D are [in, out]."""
    rows, columns = layer.weight.shape
    return (rows, columns) if isinstance(layer, Conv1D) else (columns, rows)


def layers_of(lm: LM, names: Sequence[str] | str | None) -> dict[str, nn.Module]:
    """The model's linear layers whose names end as one of `names`, by name.

    `all-linear`: all linear layers; None: the attention's queries and values.

    The output matrix is none of them. Raises UserError for a name that no layer has.
    """
    output = lm.model.get_output_embeddings()
    linear = {
        name: module for name, module in lm.model.named_modules()
        if isinstance(module, nn.Linear | Conv1D) and module is not output
    }  # fmt: skip
    if names == ALL:
        return linear
    there = sorted({name.rpartition(".")[2] for name in linear})
    if names is None:
        names = next((known for known in _QUERIES_AND_VALUES if set(known) <= set(there)), None)
    if names is None:
        raise _unknown(f"{lm.name} has query and value layers of unknown names: name layers; it has", there)
    for wanted in names:
        if not any(_ends(name, wanted) for name in linear):
            raise _unknown(f"{lm.name} has no linear layer {wanted!r}; it has", there)
    return {name: module for name, module in linear.items() if any(_ends(name, wanted) for wanted in names)}


def _ends(name: str, wanted: str) -> bool:
    return f".{name}".endswith(f".{wanted}")


def _unknown(wrong: str, there: list[str]) -> UserError:
    return UserError(f"{FILE}: methods.lora.target_modules: {wrong} {', '.join(there)}")


def files(config: RunConfig) -> list[Path]:
    """The tensor file of the run that `methods.lora.file` names; empty if it names none. Raises UserError as
    `given_run`."""
    directory = config.options["lora"].file
    return [] if directory is None else [given_run("methods.lora.file", directory) / "lora.safetensors"]


def build(lm: LM, config: RunConfig, seeds: list[int]) -> LoRA:
    """Changes to train, one run per seed, by `methods.lora`.

    Raises UserError for layers that the model lacks, or if the run to start from does not fit.
    """
    options = config.options["lora"]
    method = LoRA(lm, options.rank, options.alpha, layers_of(lm, options.target_modules), seeds)
    for file in files(config):
        saved_by = check_belongs(file.parent, lm)["method"]
        if saved_by != "lora":
            raise UserError(f"{FILE}: methods.lora.file: {file.parent} is a run of {saved_by}, not of lora")
        updates = {name: tensor for name, tensor in saved.state_of(file.parent).items() if name.endswith((A, B))}
        method.init_from(updates, file.parent)
    return method


def load(lm: LM, state: dict[str, torch.Tensor]) -> Adaptation:
    """The adaptation of trained updates: `state` as `LoRA.state` gives it."""
    names = [name.removesuffix(f".{A}") for name in state if name.endswith(A)]
    return Adaptation(low_rank={
        lm.model.get_submodule(name): LowRankUpdate(state[f"{name}.{A}"], state[f"{name}.{B}"]) for name in names
    })  # fmt: skip
