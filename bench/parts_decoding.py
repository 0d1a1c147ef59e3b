"""Beam search beside `generate`, and how both training and decoding grow with the data."""

from collections.abc import Iterator

from bench.fresh import fresh
from bench.turns import Bench, Row, in_turns, memory, timed

SOURCES, BATCH = 200, 16
REAL = "smollm2"
FEW = 12  # one at a time
PEER_BF16 = 16  # a batch of it: on some CPUs `generate` takes a minute in bf16 to read the sources


def ours(bench: Bench, name: str, count: int, batch_size: int, bf16: bool = False) -> tuple[str, dict]:
    sizes = {"name": name, "count": count, "batch_size": batch_size}
    return "bench.decoding.ours", sizes | {"bf16": bf16, "rates": bench.limits}


def theirs(name: str, count: int, batch_size: int, bf16: bool = False) -> tuple[str, dict]:
    return "bench.decoding.theirs", {"name": name, "count": count, "batch_size": batch_size, "bf16": bf16}


def identical(bench: Bench, name: str, found: dict, other: dict, whose: str) -> str:
    """How many hypotheses are the same, token for token, and by how much fp32 tells the others apart."""
    triples = list(zip(found["sources"], found["found"], other["found"], strict=True))
    differing = [triple for triple in triples if triple[1] != triple[2]]
    said = f"{len(triples) - len(differing)} of {len(triples)} as {whose}"
    if not differing:
        return said
    better = fresh("bench.decoding.scores", home=bench.home, name=name, triples=differing)["better_by"]
    return f"{said} (the others: {min(better):+.1e} to {max(better):+.1e} a token in log-probability)"


def decode(bench: Bench) -> Iterator[Row]:
    best = in_turns(bench, 1, {
        "ours, fp32": ours(bench, "gpt2", SOURCES, BATCH),
        "ours, bf16": ours(bench, "gpt2", SOURCES, BATCH, bf16=True),
        "PEFT": theirs("gpt2", SOURCES, BATCH),
    })  # fmt: skip
    few = in_turns(bench, 1, {
        "ours, bf16, few": ours(bench, "gpt2", PEER_BF16, BATCH, bf16=True),
        "PEFT, bf16, few": theirs("gpt2", PEER_BF16, BATCH, bf16=True),
    })  # fmt: skip
    exact, rounded, peer = best.values()
    mine, other = few.values()
    sources = f"{SOURCES} sources, gpt2, beam 5, 40 tokens, batch {BATCH}"
    yield timed("decode_fp32_b16", sources, exact, peer, identical(bench, "gpt2", exact, peer, "PEFT"))
    said = "; ".join([
        identical(bench, "gpt2", rounded, exact, "ours in fp32"),
        identical(bench, "gpt2", mine, other, "PEFT in bf16")
        + f", which takes {other['seconds'] / mine['seconds']:.1f} times as long for them",
    ])  # fmt: skip
    yield timed("decode_bf16_b16", f"{sources}, bf16 (PEFT: fp32)", rounded, peer, said)


def decode_b1(bench: Bench) -> Iterator[Row]:
    yield from _some(bench, "gpt2", FEW, 1, "")


def decode_real(bench: Bench) -> Iterator[Row]:
    """A real model ends its sentences."""
    for count, batch in ((48, BATCH), (FEW, 1)):
        yield from _some(bench, REAL, count, batch, f"_{REAL}")


def _some(bench: Bench, name: str, count: int, batch: int, end: str) -> Iterator[Row]:
    exact, rounded, peer = in_turns(bench, 1, {
        "ours, fp32": ours(bench, name, count, batch),
        "ours, bf16": ours(bench, name, count, batch, bf16=True),
        "PEFT": theirs(name, count, batch),
    }).values()  # fmt: skip
    what = f"{count} sources, {name}, beam 5, 40 tokens, batch {batch}"
    yield timed(f"decode_fp32_b{batch}{end}", what, exact, peer, identical(bench, name, exact, peer, "PEFT"))
    said = identical(bench, name, rounded, exact, "ours in fp32")
    yield timed(f"decode_bf16_b{batch}{end}", f"{what}, bf16 (PEFT: fp32)", rounded, peer, said)


def decode_bart(bench: Bench) -> Iterator[Row]:
    """Without a prefix: PEFT puts it elsewhere."""
    calls = {"ours": ours(bench, "bart-base", 48, BATCH), "transformers": theirs("bart-base", 48, BATCH)}
    mine, peer = in_turns(bench, 1, calls).values()
    what = f"48 sources, bart-base without a prefix, beam 5, 40 tokens, batch {BATCH}"
    same = identical(bench, "bart-base", mine, peer, "transformers")
    yield timed("decode_fp32_b16_bart-base", what, mine, peer, same)


def ensemble(bench: Bench) -> Iterator[Row]:
    """Of an encoder-decoder model, whose encoder reads the prompts."""
    arguments = {"name": "bart-base", "count": 40, "batch_size": BATCH}
    one, five = in_turns(bench, 2, {
        "one pass": ("bench.ensemble.ours", arguments | {"together": True}),
        "five passes": ("bench.ensemble.ours", arguments | {"together": False}),
    }).values()  # fmt: skip
    same = sum(mine == other for mine, other in zip(one["found"], five["found"], strict=True))
    what = f"5 prompts of 20, 40 sources, bart-base, 10 tokens, batch {BATCH}, in one pass; peer: ours, five passes"
    yield timed("ensemble_fp32", what, one, five, f"{same} of {len(one['found'])} answers the same token for token")


def scaling(bench: Bench) -> Iterator[Row]:
    for name, what, counts in (
        ("training", "an epoch of mini-gpt2 over {} examples", (500, 2000, 8000)),
        ("decoding", "mini-gpt2, beam 5, {} sources", (100, 200, 400)),
    ):
        found = {count: in_turns(bench, 1, {f"{name} {count}": (f"bench.scaling.{name}", {"count": count})})
                 [f"{name} {count}"] for count in counts}  # fmt: skip
        first, *_, last = counts
        for count, result in found.items():
            said = f"peak {memory(result):,.0f} MB"
            if count == last:
                slower = result["seconds"] / found[first]["seconds"] / (last / first)
                larger = memory(result) / memory(found[first])
                said += f"; time for each {slower:.2f} times, memory {larger:.2f} times that of {first}"
            yield Row(f"scaling_{name}_{count}", what.format(f"{count:,}"), result["seconds"], None, "s", None, said)
