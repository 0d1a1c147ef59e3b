"""Worked examples: a run's own training examples as a text that a decoder-only model reads before the source.

Each is encoded as in training, `source <separator> target <end>`; they follow one another in an order that the run's
seed draws. The token that begins a text stands once, before all of them, as it stands before a prefix.
"""

from collections.abc import Iterable, Iterator

import torch

from stages.core.errors import UserError
from stages.core.sections import FILE
from stages.models.decoder_only import DecoderOnly
from stages.models.encode import Examples
from stages.training.method import generators

_SALT = 49_979_687  # keeps the order of the examples apart from other random numbers of a run


def worked_examples(lm: DecoderOnly, sample: Examples, seed: int) -> Iterator[list[int]]:
    """The ids of each training example of a run, without the begin token, in the order that `seed` draws."""
    [generator] = generators([seed], _SALT)
    for number in torch.randperm(len(sample), generator=generator).tolist():
        example = sample[number]
        yield [*example.source[len(lm.begin) :], lm.separator, *example.target]


def last_ids(lm: DecoderOnly, sample: Examples, seed: int, length: int) -> list[int]:
    """Exactly `length` ids of worked examples: as many examples as it takes, and of their ids the last `length`.

    Raises UserError if all examples together have fewer.
    """
    ids: list[int] = []
    for example in worked_examples(lm, sample, seed):
        ids += example
        if len(ids) >= length:
            return ids[-length:]
    raise UserError(
        f"{FILE}: methods.prefix.init is examples, but the {len(sample)} training examples of the run have "
        f"{len(ids)} tokens: prefix_len is {length}, and can be {len(ids)} at most"
    )


def last_ids_of_runs(lm: DecoderOnly, samples: Iterable[Examples], seeds: list[int], length: int) -> list[list[int]]:
    """`last_ids` of each run, from its own training examples and seed alone."""
    return [last_ids(lm, sample, seed, length) for sample, seed in zip(samples, seeds, strict=True)]
