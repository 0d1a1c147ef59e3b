"""What more data cost: an epoch of training, and decoding, of the embedded model, from the files on."""

from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.inputs import POOL, SEED, clock
from bench.training import opened
from stages.core.record import Record, read_records
from stages.core.run_config import Training
from stages.decoding.beam import Search, pieces_by_length, search_sources
from stages.methods.prefix import Prefix
from stages.models.adaptation import Adaptation
from stages.models.encode import Rows, encode, parts
from stages.models.linear import pack
from stages.models.named import BASE
from stages.training.checkpoint import Checkpoint
from stages.training.loop import train

NAME, LENGTH, BATCH = "mini-gpt2", 10, 10


def one_each(path: Path):
    """Records with one target each, as many as there are targets."""
    for record in read_records(path):
        for number, target in enumerate(record.targets):
            yield Record(f"{record.id}-{number}", record.source, [target])


def training(home: str, count: int) -> dict:
    lm = opened(str(BASE), NAME)
    method = Prefix(lm, LENGTH, 256, [SEED])
    epoch = Training(
        lr=1e-3, epochs=1.0, steps=None, batch_size=BATCH,
        warmup_steps=0, loss="token_mean", lm_dropout=False, optimizer="adamw", schedule="linear", weight_decay=0.0, clip_norm=1.0,
        decay_rate=None, length_pool=POOL,
    )  # fmt: skip
    began = clock()
    examples = encode(lm, islice(one_each(Path(home) / "train.jsonl"), count), None, None)
    assert len(examples) == count, "more than the data has"
    with TemporaryDirectory() as directory:
        checkpoint = Checkpoint(Path(directory) / "run" / "checkpoint.safetensors")
        train(lm, method, [examples], [examples], epoch, checkpoint)
    return {"seconds": clock() - began}


def decoding(home: str, count: int) -> dict:
    lm = opened(str(BASE), NAME)
    adaptation = Adaptation(Prefix(lm, LENGTH, 256, [SEED]).state())
    pack(lm.model)
    began = clock()
    sources = (record.source for record in islice(read_records(Path(home) / "test.jsonl"), count))
    ids = Rows(row for part in parts(sources) for row in lm.source_ids(part, None))
    assert len(ids) == count, "more than the data has"
    for piece in pieces_by_length(ids.lengths.tolist(), 32):
        list(search_sources(lm, adaptation, [0] * len(piece), [ids[i] for i in piece], Search(5, 1.0, 40, lm.end), 32))
    return {"seconds": clock() - began}
