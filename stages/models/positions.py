"""Positions per sentence for decoders of encoder-decoder models, which take one position for a whole batch.

BART and similar models look positions up in a module `embed_positions`; T5 and similar models add a bias by distance,
computed by `compute_bias` of the first layer. A model that does neither fails the check in `load.py`.
"""

import contextlib
from collections.abc import Iterator

import torch
from torch import nn


@contextlib.contextmanager
def at(decoder: nn.Module, following: torch.Tensor, columns: torch.Tensor, beam: int, longest: int) -> Iterator[None]:
    """Within the block, the decoder reads `beam` tokens of each sentence, all at position `following` [slots].

    `columns` [slots, width] are the positions of the visible keys, negative for a prefix, whose bias is 0. All
    positions are below `longest`.
    """

    def embedding(original):
        def forward(text, *_, **__):
            """The vectors of the whole text's positions are [longest, width]; each sentence takes one."""
            text = (1, longest) if isinstance(text, tuple) else text.new_zeros(1, longest)
            # [longest, width] -> [slots, 1, width] -> [slots, beam, width]
            return original(text).view(longest, -1)[following][:, None].expand(-1, beam, -1)

        return forward

    def bias(original):
        def compute_bias(*_, device=None, **__):
            by_distance = original(1, longest, device=device, past_seen_tokens=longest - 1)[0, :, 0].flip(-1)
            distance = (following[:, None] - columns).clamp(0, longest - 1)  # [slots, width]
            of_column = by_distance[:, distance] * (columns >= 0)  # [heads, slots, width]
            return of_column.transpose(0, 1)[:, :, None].expand(-1, -1, beam, -1)  # [slots, heads, beam, width]

        return compute_bias

    changed = [(decoder.embed_positions, "forward", embedding)] if hasattr(decoder, "embed_positions") else []
    changed += [(module, "compute_bias", bias) for module in decoder.modules() if hasattr(module, "compute_bias")]
    for module, name, make in changed:
        setattr(module, name, make(getattr(module, name)))
    try:
        yield
    finally:
        for module, name, _ in changed:
            delattr(module, name)
