"""The least time that this machine could take: the roofline beside a measurement.

Its rates are measured with one thread: multiplications and additions of a matrix product, and bytes read from memory.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain

import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from bench.inputs import clock
from stages.models.batches import Example
from stages.models.encoder_decoder import EncoderDecoder
from stages.models.linear import product
from stages.models.model import LM

ROWS, WIDTH, TIMES = 1024, 2048, 12
READ = 2**28  # numbers of fp32: 1 GB, more than any cache holds


def measured() -> dict:
    """`fp32` and `bf16`: operations a second of the fastest product; `bytes`: bytes read a second."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    x, weight = torch.randn(ROWS, WIDTH, device=device), torch.randn(WIDTH, WIDTH, device=device)
    work = 2 * ROWS * WIDTH * WIDTH
    halves = x.bfloat16(), weight.bfloat16()
    found = {"fp32": work / _best(lambda: x @ weight.T), "bf16": work / _best(lambda: halves[0] @ halves[1].T)}
    if device == "cpu" and torch.backends.mkldnn.is_available():
        found["fp32"] = max(found["fp32"], work / _best(lambda: product(x, weight)))
    numbers = torch.ones(READ, device=device)
    return found | {"bytes": 4 * READ / _best(numbers.sum)}


def _best(compute) -> float:
    compute()
    times = []
    for _ in range(TIMES):
        began = clock()
        compute()
        times.append(clock() - began)
    return min(times)


@dataclass(frozen=True)
class Size:
    """What a model multiplies: weights of the linear layers that a source's and a target's token passes, those of the
    output matrix, layers, and numbers of a token's query in a layer.
    """

    source: int
    target: int
    output: int
    layers: int
    width: int

    @classmethod
    def of(cls, lm: LM) -> "Size":
        """The size of a generative model. The keys and values of cross-attention count as a target token's."""
        stacks = [lm.model.base_model]
        if isinstance(lm, EncoderDecoder):
            stacks = [lm.model.get_encoder(), lm.model.get_decoder()]
        source, target = (linear_weights(stack) for stack in (stacks[0], stacks[-1]))
        heads = lm.config.num_attention_heads
        head_dim = next(iter(lm.shapes.values())).head_dim
        return cls(source, target, lm.vocabulary * lm.width, len(lm.blocks()), heads * head_dim)


def linear_weights(stack: nn.Module) -> int:
    """The numbers in the weights of a module's linear layers."""
    return sum(m.weight.numel() for m in stack.modules() if isinstance(m, (nn.Linear, Conv1D)))


def training(lm: LM, examples: list[Example], length: int, tuned: bool = False) -> float:
    """Operations of a training step's forward and backward pass, without padding, for a prefix of `length`.

    A frozen weight has no gradient, so each is used twice: for its output and for the gradient of its input; a `tuned`
    one three times. Logits are those of targets.
    """
    size, uses = Size.of(lm), 3 if tuned else 2
    found = 0.0
    for example in examples:
        source, target = len(example.source), len(example.target)
        found += 2 * uses * (size.source * source + size.target * target + size.output * target)
        pairs = length * (source + target) + (source + target) * (source + target + 1) / 2
        found += 3 * 4 * size.layers * size.width * pairs  # two products forward, four backward
    return found


def decoding(size: Size, limits: Mapping[str, float], prefilled: int, steps: Mapping[int, int], bf16: bool) -> float:
    """The least seconds of a beam search: of its operations, or of reading the weights once a step if that is more.

    `prefilled`: tokens of sources; `steps`: by the number of rows of a step, how many steps had so many.
    """
    rate, bytes_each = limits["bf16" if bf16 else "fp32"], 2 if bf16 else 4
    weights = size.target + size.output
    reading = weights * bytes_each / limits["bytes"]
    return 2 * size.source * prefilled / rate + sum(
        count * max(2 * weights * rows / rate, reading) for rows, count in steps.items()
    )


def of_steps(orders: list[list[int]], examples) -> list[Example]:
    """The examples of these batches, one after another."""
    return [examples[i] for i in chain.from_iterable(orders)]
