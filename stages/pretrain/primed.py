"""Initial weights in which copying is already wired: a previous-token head and two heads that copy.

A model of this size, trained on this few tokens from the usual random weights, does not find out how to copy a name.
So one head of the first layer starts as a previous-token head: it writes the token before each position into the
residual stream. Two heads start as induction heads: they attend to the position after an earlier occurrence of the
present token, and copy the token there (Olsson et al. 2022, "In-context learning and induction heads"). In GPT-2 these
are two heads of layer 1; in BART two of the decoder's first cross-attention, which read what the encoder's first layer
wrote. All weights are trained afterwards; the results are an ordinary GPT2LMHeadModel and
BartForConditionalGeneration.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from transformers import BartForConditionalGeneration, GPT2LMHeadModel

# Strong enough that the circuits work before the first step (tests/pretrain/test_primed.py), weak enough that the
# optimiser can still move them.
_POSITION_AMPLITUDE, _SLOW_AMPLITUDE, _EMBEDDING_STD = 0.1, 0.03, 0.06
_LOOK_BACK, _MATCH = 2.0, 2.5

# Sets the weights of one head: query, key, value and output, [width, head] each.
SetHead = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor], None]


@dataclass(frozen=True)
class Places:
    """Where a model keeps what is wired, and how strongly its heads write into the residual stream."""

    words: torch.Tensor  # [vocabulary, width]
    positions: list[torch.Tensor]  # [positions, width] each
    looks_back: SetHead
    copy: list[SetHead]
    head: int  # its size
    note: float
    copied: float


def _orthogonal(width: int, reserved: int, generator: torch.Generator) -> torch.Tensor:
    """Orthonormal columns [width, reserved] that leave the first `reserved` dimensions alone."""
    basis, _ = torch.linalg.qr(torch.randn(width - reserved, reserved, generator=generator))
    return torch.cat([torch.zeros(reserved, reserved), basis])


def _sinusoids(positions: int, frequencies: torch.Tensor) -> torch.Tensor:
    angles = torch.arange(positions)[:, None] * frequencies[None, :]
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)  # [positions, 2 * frequencies]


def _previous_position(frequencies: torch.Tensor) -> torch.Tensor:
    """The rotation that turns (sin ft, cos ft) into (sin f(t-1), cos f(t-1)), for all frequencies side by side."""
    return torch.block_diag(
        *(torch.tensor([[math.cos(f), math.sin(f)], [-math.sin(f), math.cos(f)]]) for f in frequencies.tolist())
    )


@torch.no_grad()
def _wire(places: Places, seed: int) -> None:
    """Overwrite the embeddings and three heads. The first `head` dimensions of the stream belong to the position."""
    generator = torch.Generator().manual_seed(seed)
    head, width = places.head, places.words.shape[1]
    fast = torch.linspace(0.15, 3.0, head // 2)
    slow = torch.exp(torch.linspace(0.0, -math.log(10_000), (width - head) // 2))
    for table in places.positions:
        near = _POSITION_AMPLITUDE * _sinusoids(len(table), fast)
        table.copy_(torch.cat([near, _SLOW_AMPLITUDE * _sinusoids(len(table), slow)], 1))
    places.words.normal_(0.0, _EMBEDDING_STD, generator=generator)
    places.words[:, :head] *= 0.1

    read, write = (_orthogonal(width, head, generator) for _ in range(2))
    here = torch.cat([torch.eye(head), torch.zeros(width - head, head)])  # [width, head]
    places.looks_back(_LOOK_BACK * here @ _previous_position(fast), _LOOK_BACK * here, read, places.note * write)
    for set_head in places.copy:
        copy = _orthogonal(width, head, generator)
        set_head(_MATCH * read, _MATCH * write, copy, places.copied * copy)


def prime_gpt2(model: GPT2LMHeadModel, seed: int) -> None:
    """Overwrite the embeddings and three attention heads of a freshly initialised GPT-2 of two or more layers."""
    width, head = model.config.n_embd, model.config.n_embd // model.config.n_head

    def of(layer: int, index: int) -> SetHead:
        attention, columns = model.transformer.h[layer].attn, slice(index * head, (index + 1) * head)

        def set_head(*weights: torch.Tensor) -> None:
            for part, weight in enumerate(weights[:3]):  # query, key and value stand side by side
                attention.c_attn.weight[:, part * width :][:, columns] = weight
            attention.c_proj.weight[columns] = weights[3].T

        return set_head

    embeddings = model.transformer.wte.weight, [model.transformer.wpe.weight]
    _wire(Places(*embeddings, of(0, 0), [of(1, 0), of(1, 1)], head, note=0.1, copied=1.0), seed)


def prime_bart(model: BartForConditionalGeneration, seed: int) -> None:
    """Overwrite the embeddings and three attention heads of a freshly initialised BART.

    It normalises after its layers, not before them: the residual stream has unit scale, so the heads write more strongly.
    """
    encoder, decoder = model.model.encoder, model.model.decoder
    head = model.config.d_model // model.config.encoder_attention_heads

    def of(attention: torch.nn.Module, index: int) -> SetHead:
        columns = slice(index * head, (index + 1) * head)

        def set_head(*weights: torch.Tensor) -> None:
            layers = attention.q_proj, attention.k_proj, attention.v_proj
            for layer, weight in zip(layers, weights[:3], strict=True):
                layer.weight[columns] = weight.T  # nn.Linear keeps [out, in]
            attention.out_proj.weight[:, columns] = weights[3]

        return set_head

    embeddings = model.model.shared.weight, [part.embed_positions.weight for part in (encoder, decoder)]
    cross, looks_back = decoder.layers[0].encoder_attn, of(encoder.layers[0].self_attn, 0)
    _wire(Places(*embeddings, looks_back, [of(cross, 0), of(cross, 1)], head, note=1.5, copied=6.0), seed)
