"""The base model of a bank, ready to decode."""

from stages.core.errors import UserError
from stages.models.linear import pack
from stages.models.model import GenerativeLM
from stages.models.precision import dtype_of
from stages.run import open_named
from stages.serving.bank import Bank, entry_of


def base_of(bank: Bank) -> str:
    """The name of the base model of a bank's runs: that of its first one. Raises UserError if there is none."""
    names = bank.names()
    if not names:
        raise UserError(f"{bank.directory} holds no prefix: python -m stages.bank add {bank.directory} NAME")
    return entry_of(bank.directory / names[0]).base_model


def open_base(name: str, revision: str, threads: int) -> GenerativeLM:
    """Open a base model by its name in params.yaml. Raises UserError as `load`, and for an encoder."""
    lm = open_named(name, revision, threads)
    if not isinstance(lm, GenerativeLM):
        raise UserError(f"model {name} is an encoder, which writes no text")
    return lm


def make_ready(lm: GenerativeLM, precision: str) -> None:
    """Let the model compute in a precision of params.yaml. Fingerprints are of its fp32 weights: check runs before.

    Its weights are reordered for decoding (`pack`).
    """
    lm.compute_in(dtype_of(precision, lm.device, lm.width))
    pack(lm.model)
