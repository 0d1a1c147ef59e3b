"""Initial weights of a small BART in which copying from the encoder is already wired.

As in `primed`: encoder layer 0 head 0 notes at each place what stands before it, and two heads of the
decoder's first cross-attention look for a place noted to stand behind the token just written, and copy what
stands there. BART normalises behind its layers, not before them: the residual stream has unit scale, so the
amplitudes of what is written into it differ from GPT-2's.
"""

import math

import torch
from transformers import BartForConditionalGeneration

from stages.pretrain.primed import orthogonal, previous_position, sinusoids

_POSITION_AMPLITUDE, _SLOW_AMPLITUDE, _EMBEDDING_STD = 0.1, 0.03, 0.06
_LOOK_BACK, _NOTE, _MATCH, _COPY = 2.0, 1.5, 2.5, 6.0


@torch.no_grad()
def prime(model: BartForConditionalGeneration, seed: int) -> None:
    """Overwrite the embeddings and three attention heads of a freshly initialised BART."""
    generator = torch.Generator().manual_seed(seed)
    width, head = model.config.d_model, model.config.d_model // model.config.encoder_attention_heads
    encoder, decoder = model.model.encoder, model.model.decoder

    fast = torch.linspace(0.15, 3.0, head // 2)
    slow = torch.exp(torch.linspace(0.0, -math.log(10_000), (width - head) // 2))
    for part in (encoder, decoder):
        table = part.embed_positions.weight
        rows = len(table)  # [positions, width]
        table.copy_(
            torch.cat([_POSITION_AMPLITUDE * sinusoids(rows, fast), _SLOW_AMPLITUDE * sinusoids(rows, slow)], 1)
        )
    words = model.model.shared.weight
    words.normal_(0.0, _EMBEDDING_STD, generator=generator)
    words[:, :head] *= 0.1  # these dimensions belong to the position

    read, write = (orthogonal(width, head, head, generator) for _ in range(2))
    here = torch.cat([torch.eye(head), torch.zeros(width - head, head)])  # [width, head]

    def set_head(attention, index: int, *, query, key, value, output) -> None:
        """Weights [width, head] of one head; nn.Linear keeps them [out, in]."""
        columns = slice(index * head, (index + 1) * head)
        for layer, weight in ((attention.q_proj, query), (attention.k_proj, key), (attention.v_proj, value)):
            layer.weight[columns] = weight.T
        attention.out_proj.weight[:, columns] = output

    back = _LOOK_BACK * here @ previous_position(fast)
    set_head(encoder.layers[0].self_attn, 0, query=back, key=_LOOK_BACK * here, value=read, output=_NOTE * write)
    for index in (0, 1):
        copy = orthogonal(width, head, head, generator)
        cross = decoder.layers[0].encoder_attn
        set_head(cross, index, query=_MATCH * read, key=_MATCH * write, value=copy, output=_COPY * copy)
