"""Initial weights in which copying is already wired: a previous-token head and two induction heads.

A model of this size, trained on this few tokens from the usual random weights, does not find out how
to copy a name. So layer 0 head 0 starts as a head that looks one position back and notes what stands
there, and layer 1 heads 0 and 1 as heads that look for an earlier place behind the same token and
copy what came next (Olsson et al. 2022, "In-context learning and induction heads"). Everything is
trained afterwards; the result is an ordinary GPT2LMHeadModel.
"""

import math

import torch
from transformers import GPT2LMHeadModel

# Amplitudes: strong enough that both circuits work before the first step (copying four fifths of random
# tokens untrained), weak enough that the optimiser can still move them.
_POSITION_AMPLITUDE, _SLOW_AMPLITUDE, _EMBEDDING_STD = 0.1, 0.03, 0.06
_LOOK_BACK, _NOTE, _MATCH, _COPY = 2.0, 0.1, 2.5, 1.0


def orthogonal(width: int, reserved: int, columns: int, generator: torch.Generator) -> torch.Tensor:
    """Orthonormal columns [width, columns] that leave the first `reserved` dimensions alone."""
    basis, _ = torch.linalg.qr(torch.randn(width - reserved, columns, generator=generator))
    return torch.cat([torch.zeros(reserved, columns), basis])


def sinusoids(positions: int, frequencies: torch.Tensor) -> torch.Tensor:
    angles = torch.arange(positions)[:, None] * frequencies[None, :]
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)  # [positions, 2 * frequencies]


def previous_position(frequencies: torch.Tensor) -> torch.Tensor:
    """The rotation that turns (sin ft, cos ft) into (sin f(t-1), cos f(t-1)), for all frequencies side by side."""
    return torch.block_diag(
        *(torch.tensor([[math.cos(f), math.sin(f)], [-math.sin(f), math.cos(f)]]) for f in frequencies.tolist())
    )


@torch.no_grad()
def prime(model: GPT2LMHeadModel, seed: int) -> None:
    """Overwrite the embeddings and three attention heads of a freshly initialised GPT-2 of two or more layers."""
    generator = torch.Generator().manual_seed(seed)
    width, head = model.config.n_embd, model.config.n_embd // model.config.n_head
    transformer = model.transformer

    fast = torch.linspace(0.15, 3.0, head // 2)
    slow = torch.exp(torch.linspace(0.0, -math.log(10_000), (width - head) // 2))
    positions = model.config.n_positions
    transformer.wpe.weight.copy_(torch.cat([_POSITION_AMPLITUDE * sinusoids(positions, fast),
                                            _SLOW_AMPLITUDE * sinusoids(positions, slow)], dim=1))  # fmt: skip
    transformer.wte.weight.normal_(0.0, _EMBEDDING_STD, generator=generator)
    transformer.wte.weight[:, :head] *= 0.1  # these dimensions belong to the position

    read, write = (orthogonal(width, head, head, generator) for _ in range(2))
    turn = previous_position(fast)
    here = torch.cat([torch.eye(head), torch.zeros(width - head, head)])  # [width, head]

    def set_head(layer: int, index: int, *, query, key, value, output) -> None:
        """Weights [width, head] of one head; GPT-2 keeps query, key and value side by side in `c_attn`."""
        attention, columns = transformer.h[layer].attn, slice(index * head, (index + 1) * head)
        for part, weight in enumerate((query, key, value)):
            attention.c_attn.weight[:, part * width :][:, columns] = weight
        attention.c_proj.weight[columns] = output.T

    set_head(0, 0, query=_LOOK_BACK * here @ turn, key=_LOOK_BACK * here, value=read, output=_NOTE * write)
    for index in (0, 1):
        copy = orthogonal(width, head, head, generator)
        set_head(1, index, query=_MATCH * read, key=_MATCH * write, value=copy, output=_COPY * copy)
