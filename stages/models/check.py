"""Check every model that is opened: our forward pass must compute what transformers' own code computes.

Two texts of different lengths are read alone and in one batch. This refuses models whose attention or logits we do not
reproduce, and models whose numbers depend on the other texts in a batch. A decoder-only model also reads a prefix made
of the keys and values of words; it must give the same logits as after the words themselves.
"""

from collections.abc import Sequence

import torch

from stages.core.errors import UserError
from stages.models.adaptation import DECODER, Adaptation
from stages.models.batches import Batch, Example
from stages.models.decoder_only import DecoderOnly
from stages.models.encoder import Encoder
from stages.models.model import LM, GenerativeLM

_LENGTHS = ((3, 2), (40, 5))  # tokens of source and target of the two texts
_WORDS = 3  # tokens that are read as a prefix
# Relative to the largest number, or to 10: fp32 sums in another order differ by less, wrong masks by far more.
_TOLERANCE = 1e-4


def some_ids(lm: LM, count: int, salt: int) -> list[int]:
    """`count` ids of ordinary tokens, spread over the vocabulary; another `salt` gives other ids."""
    special = set(lm.tokenizer.all_special_ids)
    known = min(len(lm.model.get_input_embeddings().weight), len(lm.tokenizer))
    ordinary = [number for number in range(known) if number not in special]
    return [ordinary[(salt + 1) * (7_919 * place + 104_729) % len(ordinary)] for place in range(count)]


@torch.inference_mode()
def check_logits(lm: GenerativeLM) -> None:
    """Raises UserError unless our logits equal those of the model's eager forward pass.

    Compared are one pass and token-by-token reading, each text alone and in a batch.
    """
    begin = lm.begin if isinstance(lm, DecoderOnly) else []
    room = (lm.positions or sum(_LENGTHS[-1]) + len(begin) + 1 + _WORDS) - _WORDS
    examples = []
    for salt, (source, target) in enumerate(_LENGTHS):
        source = max(1, min(source, room - target - len(begin) - 1))
        examples.append(Example([*begin, *some_ids(lm, source, salt)], some_ids(lm, target, salt + 7)))
    with lm.own_attention():
        theirs = torch.cat([lm.own_logits(example) for example in examples])
    if not theirs.isfinite().all():
        raise UserError(f"model {lm.name} gives logits that are no numbers: its weights hold infinite ones, or none")
    alone = [_read(lm, [example]) for example in examples]
    for ours in (torch.cat(alone), _read(lm, examples), torch.cat(_stepwise(lm, examples))):
        if not _equal(ours, theirs):
            raise UserError(
                f"model {lm.name} computes its logits in a way that is not supported: they differ from transformers' own "
                f"by {(ours - theirs).abs().max():.2g}"
            )
    if isinstance(lm, DecoderOnly):
        _check_prefix(lm, examples[1], len(begin))


def _check_prefix(lm: DecoderOnly, example: Example, first: int) -> None:
    """Raises UserError unless the keys and values of words, as a prefix after the `first` tokens, act like the
    words."""
    words = some_ids(lm, _WORDS, 3)
    whole = Example([*example.source[:first], *words, *example.source[first:]], example.target)
    with lm.own_attention():
        theirs = lm.own_logits(whole)
    ours = _read(lm, [example], Adaptation({DECODER: lm.activations(words)[DECODER][None]}))
    if not _equal(ours, theirs):
        raise UserError(
            f"model {lm.name} takes no prefix: after the keys and values of words its logits differ from those after the "
            f"words by {(ours - theirs).abs().max():.2g}"
        )


def _read(lm: GenerativeLM, examples: Sequence[Example], adaptation: Adaptation | None = None) -> torch.Tensor:
    """Logits [target tokens, vocabulary] of examples in one batch."""
    batch = Batch.of(list(examples), [0] * len(examples), lm.device)
    return lm.logits(lm.target_hidden(batch, adaptation or Adaptation()))


def _stepwise(lm: GenerativeLM, examples: Sequence[Example]) -> list[torch.Tensor]:
    """Logits [target tokens, vocabulary] of each example, read token by token as in a beam search with one beam."""
    runs = torch.zeros(len(examples), dtype=torch.long, device=lm.device)
    memory = lm.memory(Adaptation(), 1)
    hidden = [memory.prefill([example.source for example in examples], runs)]
    for place in range(max(len(example.target) for example in examples) - 1):
        tokens = [[example.target[min(place, len(example.target) - 1)]] for example in examples]
        hidden.append(memory.step(torch.tensor(tokens, device=lm.device), runs[:, None])[:, 0])
    logits = lm.logits(torch.stack(hidden, 1))  # [examples, steps, vocabulary]
    return [row[: len(example.target)] for row, example in zip(logits, examples, strict=True)]


@torch.inference_mode()
def check_states(lm: Encoder) -> None:
    """Raises UserError unless our hidden states equal those of the encoder's eager forward pass, alone and in a
    batch."""
    texts = [some_ids(lm, min(sum(lengths), lm.positions), salt) for salt, lengths in enumerate(_LENGTHS)]
    with lm.own_attention():
        theirs = [lm.model(input_ids=torch.tensor([ids], device=lm.device)).last_hidden_state[0] for ids in texts]
    if not all(states.isfinite().all() for states in theirs):
        raise UserError(f"model {lm.name} gives states that are no numbers: its weights hold infinite ones, or none")
    runs = torch.zeros(len(texts), dtype=torch.long, device=lm.device)
    together, _ = lm.read(texts, Adaptation(), runs)
    for ids, states, beside in zip(texts, theirs, together, strict=True):
        alone, _ = lm.read([ids], Adaptation(), runs[:1])
        for ours in (alone[0, : len(ids)], beside[: len(ids)]):
            if not _equal(ours, states):
                raise UserError(
                    f"model {lm.name} computes its hidden states in a way that is not supported: they differ from "
                    f"transformers' own by {(ours - states).abs().max():.2g}"
                )


def _equal(ours: torch.Tensor, theirs: torch.Tensor) -> bool:
    return bool((ours - theirs).abs().max() <= _TOLERANCE * max(10.0, theirs.abs().max()))
