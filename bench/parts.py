"""The parts of the bench by name: each fills rows of the table.

A ratio is the peer's time over ours (more than 1: ours is faster), or our memory over the peer's. Ours and the peer
take turns, each in a process of its own; the best of the times counts.
"""

from collections.abc import Callable, Iterator

from bench.parts_decoding import decode, decode_b1, decode_bart, decode_real, ensemble, scaling
from bench.parts_scoring import scoring
from bench.parts_serving import serving
from bench.parts_training import cell, cell_real, finetune, prefix_200, train, train_other, train_real
from bench.turns import Bench, Row

PARTS: dict[str, Callable[[Bench], Iterator[Row]]] = {
    "train": train,
    "train_gpt2-medium": train_other("gpt2-medium", 6, ""),
    "train_bart-base": train_other("bart-base", 14, "; ours trains a prefix in three places, PEFT in one"),
    "train_smollm2": train_real,
    "finetune": finetune,
    "prefix_200": prefix_200,
    "cell": cell,
    "cell_smollm2": cell_real,
    "decode": decode,
    "decode_b1": decode_b1,
    "decode_smollm2": decode_real,
    "decode_bart-base": decode_bart,
    "ensemble": ensemble,
    "scaling": scaling,
    "scoring": scoring,
    "serving": serving,
}
