"""Many prefixes at a time: `stages.serving` in one batch, and one user after the other."""

import resource
import tempfile
from dataclasses import replace
from pathlib import Path

import torch

from bench.inputs import clock
from stages.core.record import read_records
from stages.decoding.sampling import Sampling
from stages.methods import config_from
from stages.methods.parts import saved
from stages.models.adaptation import DECODER
from stages.models.identity import base_model_id
from stages.models.linear import pack
from stages.models.model import LM
from stages.params import load as load_params
from stages.resolve import resolve
from stages.run import open_named
from stages.serving.bank import PrefixBank, bytes_of
from stages.serving.engine import Engine, Request, run_all

NEW = 40  # tokens of each text, no fewer: so that all sides write as many


def lengths(users: int) -> list[int]:
    """From 1 to 200 virtual tokens."""
    return [1 + 199 * user // max(1, users - 1) for user in range(users)]


def keys_and_values(lm: LM, user: int, length: int) -> torch.Tensor:
    """[1, layers, 2, kv_heads, length, head_dim]"""
    shape = lm.shapes[DECODER]
    generator = torch.Generator().manual_seed(user)
    return torch.randn(1, shape.layers, 2, shape.kv_heads, length, shape.head_dim, generator=generator) / 2


def bank_of(lm: LM, users: int, directory: Path) -> PrefixBank:
    bank = PrefixBank(directory / "bank", lm, 2**34)
    config = config_from(resolve(load_params()).as_json())
    for user, length in enumerate(lengths(users)):
        own = replace(config, method="prefix", model=lm.name, prefix_len=length)
        saved.save(directory / "run", own, {DECODER: keys_and_values(lm, user, length)}, base_model_id(lm))
        bank.add(f"user-{user}", directory / "run")
    return bank


def sources_of(home: str, count: int) -> list[str]:
    found = dict.fromkeys(record.source for record in read_records(Path(home) / "test.jsonl"))
    return list(found)[:count]


def resident() -> int:
    """Bytes of memory that the process has now (Linux)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def ours(home: str, name: str, users: int, count: int, rows: int, bf16: bool) -> dict:
    """`count` requests of the users in turn; `rows`: how many are written at a time."""
    lm = open_named(name, "main", threads=1)
    with tempfile.TemporaryDirectory() as directory:
        bank = bank_of(lm, users, Path(directory))
        if bf16:
            lm.compute_in(torch.bfloat16)
        pack(lm.model)
        engine, options = Engine(lm, bank, rows, NEW), Sampling(NEW, min_new_tokens=NEW)
        requests = [Request(f"user-{n % users}", source, options) for n, source in enumerate(sources_of(home, count))]
        for _ in run_all(engine, [replace(requests[0], model=lm.name)]):  # warm-up
            pass
        before = resident()
        for user in range(users):
            bank.get(f"user-{user}").prefixes[DECODER].sum()  # reads it: a file's pages count once they are read
        grown = resident() - before
        began = clock()
        found = {index: ids for index, ids, _ in run_all(engine, requests)}
        seconds = clock() - began
        held = sum(bytes_of(bank.get(f"user-{user}")) for user in range(users))
    return {"seconds": seconds, "found": [found[n] for n in range(len(found))], "held": held, "grown": grown}
