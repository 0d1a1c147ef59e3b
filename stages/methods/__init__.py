"""Methods: one module each, which says which parameters move and how the model comes to see them.

Each has `FAMILIES`, the model families it fits; `TOGETHER`, whether several runs can train in one batch;
`build(lm, chosen, seeds)`, its trainable runs; and `apply(lm, stored)`, which puts trained runs into effect and
returns their steering. To add a method, write its
module, name it here and in `Method` of `stages/sections.py`, and give it recipes in params.yaml.
"""

from types import ModuleType

from stages.engine.model import LM
from stages.errors import UserError
from stages.methods import adapter, embedding_only, finetune, ft_top2, infix, prefix, untuned

METHODS: dict[str, ModuleType] = {
    "prefix": prefix,
    "finetune": finetune,
    "ft_top2": ft_top2,
    "adapter": adapter,
    "adapter_small": adapter,
    "embedding_only": embedding_only,
    "infix": infix,
    "none": untuned,
}


def module_of(method: str, lm: LM) -> ModuleType:
    """The method's module. Raises UserError, naming those that do, if it does not fit the model."""
    if lm.family not in METHODS[method].FAMILIES:
        fitting = [name for name, module in METHODS.items() if lm.family in module.FAMILIES]
        raise UserError(
            f"params.yaml: method {method} is not for {lm.family} models such as {lm.name}; {', '.join(fitting)} are"
        )
    return METHODS[method]
