"""Training, beside PEFT: time, memory, a longer prefix, a cell of runs."""

from collections.abc import Callable, Iterator

from bench.turns import Bench, Row, in_turns, memory, timed

LENGTH, REAL = 10, "smollm2"


def ours(
    bench: Bench, name: str, length: int, steps: int, warm_up: int, bf16=False, recomputed=False
) -> tuple[str, dict]:
    sizes = {"name": name, "length": length, "steps": steps, "warm_up": warm_up, "rates": bench.limits}
    return "bench.training.ours", sizes | {"bf16": bf16, "recomputed": recomputed}


def theirs(name: str, length: int, steps: int, warm_up: int) -> tuple[str, dict]:
    return "bench.training.theirs", {"name": name, "length": length, "steps": steps, "warm_up": warm_up}


def per_token(result: dict, of: str = "seconds") -> float:
    return 1000 * result[of] / result["tokens"]


def apart(losses: list[float], others: list[float]) -> float:
    """The greatest relative difference."""
    return max(abs(one - other) / other for one, other in zip(losses, others, strict=True))


def speed(name: str, what: str, found: dict, peer: dict, note: str = "") -> Row:
    said = f"{found['tokens'] / found['seconds']:,.0f} and {peer['tokens'] / peer['seconds']:,.0f} tokens/s" + note
    ratio = per_token(peer) / per_token(found)
    return Row(name, what, per_token(found), per_token(peer), "ms/token", ratio, said, per_token(found, "limit"))


def train(bench: Bench) -> Iterator[Row]:
    steps, warm_up = bench.steps(24), 4
    best = in_turns(bench, 2, {
        "ours, fp32": ours(bench, "gpt2", LENGTH, steps, warm_up),
        "PEFT": theirs("gpt2", LENGTH, steps, warm_up),
        "ours, bf16": ours(bench, "gpt2", LENGTH, steps, warm_up, bf16=True),
    })  # fmt: skip
    best |= in_turns(bench, 1, {"ours, recomputing": ours(bench, "gpt2", LENGTH, steps, warm_up, recomputed=True)})
    peer = best["PEFT"]
    for number in ("fp32", "bf16"):
        found = best[f"ours, {number}"]
        note = f"; losses of {steps} steps differ by at most {apart(found['losses'], peer['losses']):.1e}"
        yield speed(f"train_{number}", f"training gpt2 in {number}", found, peer, note)
    again = best["ours, recomputing"]
    for name, what, found in (
        ("memory", "fp32", best["ours, fp32"]),
        ("memory_bf16", "bf16", best["ours, bf16"]),
        ("memory_recompute", "fp32, activation checkpointing", again),
    ):
        said = f"peaks with imports {found['peak_mb']:,.0f} and {peer['peak_mb']:,.0f} MB"
        if found is again:
            said += f"; takes {again['seconds'] / best['ours, fp32']['seconds']:.2f} of the time"
        what = f"memory of training gpt2, {what}"
        yield Row(name, what, memory(found), memory(peer), "MB", memory(found) / memory(peer), said)


def train_other(name: str, steps_on_cpu: int, note: str) -> Callable[[Bench], Iterator[Row]]:
    def part(bench: Bench) -> Iterator[Row]:
        steps, warm_up = bench.steps(steps_on_cpu), 2
        best = in_turns(bench, 2, {
            "ours, fp32": ours(bench, name, LENGTH, steps, warm_up),
            "PEFT": theirs(name, LENGTH, steps, warm_up),
            "ours, bf16": ours(bench, name, LENGTH, steps, warm_up, bf16=True),
        })  # fmt: skip
        for number in ("fp32", "bf16"):
            found = best[f"ours, {number}"]
            yield speed(f"train_{number}_{name}", f"training {name} in {number}", found, best["PEFT"], note)

    return part


def train_real(bench: Bench) -> Iterator[Row]:
    """A prefix of 6, and one of five worked examples, on a real model."""
    steps, warm_up = bench.steps(8), 2
    for length in (6, 275):
        best = in_turns(bench, 2, {
            "ours, fp32": ours(bench, REAL, length, steps, warm_up),
            "PEFT": theirs(REAL, length, steps, warm_up),
            "ours, bf16": ours(bench, REAL, length, steps, warm_up, bf16=True),
        })  # fmt: skip
        peer = best["PEFT"]
        for number in ("fp32", "bf16"):
            found = best[f"ours, {number}"]
            note = f"; losses of {steps} steps differ by at most {apart(found['losses'], peer['losses']):.1e}"
            what = f"training a prefix of {length} on {REAL} in {number}"
            yield speed(f"train_{number}_{REAL}_{length}", what, found, peer, note)
            said = f"peaks with imports {found['peak_mb']:,.0f} and {peer['peak_mb']:,.0f} MB"
            ratio = memory(found) / memory(peer)
            yield Row(
                f"memory_{number}_{REAL}_{length}",
                f"its memory, {number}",
                memory(found),
                memory(peer),
                "MB",
                ratio,
                said,
            )


def finetune(bench: Bench) -> Iterator[Row]:
    """All weights, beside transformers' Trainer in the same precision."""
    sizes = {"name": REAL, "steps": bench.steps(6), "warm_up": 2}
    best = in_turns(bench, 2, {
        f"{who}, {number}": (f"bench.finetune.{function}", sizes | {"bf16": number == "bf16"} | more)
        for number in ("fp32", "bf16")
        for who, function, more in (("ours", "ours", {"rates": bench.limits}), ("Trainer", "theirs", {}))
    })  # fmt: skip
    for number in ("fp32", "bf16"):
        found, peer = best[f"ours, {number}"], best[f"Trainer, {number}"]
        note = f"; losses of {sizes['steps']} steps differ by at most {apart(found['losses'], peer['losses']):.1e}"
        yield speed(f"finetune_{number}", f"fine-tuning {REAL} in {number}; peer: Trainer", found, peer, note)
        said = f"peaks with imports {found['peak_mb']:,.0f} and {peer['peak_mb']:,.0f} MB"
        ratio = memory(found) / memory(peer)
        yield Row(f"memory_finetune_{number}", f"its memory, {number}", memory(found), memory(peer), "MB", ratio, said)


def prefix_200(bench: Bench) -> Iterator[Row]:
    """All of it in turns, those of length 10 too: the machine may not be what it was."""
    steps, warm_up, long = bench.steps(10), 2, 200
    best = in_turns(bench, 2, {
        f"{side} {length}": call(length)
        for length in (LENGTH, long)
        for side, call in (
            ("fp32", lambda length: ours(bench, "gpt2", length, steps, warm_up)),
            ("bf16", lambda length: ours(bench, "gpt2", length, steps, warm_up, bf16=True)),
            ("PEFT", lambda length: theirs("gpt2", length, steps, warm_up)),
        )
    })  # fmt: skip
    grows = {
        side: best[f"{side} {long}"]["seconds"] / best[f"{side} {LENGTH}"]["seconds"]
        for side in ("fp32", "bf16", "PEFT")
    }
    for name, side in (("prefix_200_vs_10", "fp32"), ("prefix_200_vs_10_bf16", "bf16")):
        said = f"PEFT: {grows['PEFT']:.2f} times"
        mine, peer = (per_token(best[f"{who} {long}"]) for who in (side, "PEFT"))
        what = f"a prefix of 200 in {side}; ratio: our time over that of 10"
        yield Row(name, what, mine, peer, "ms/token", grows[side], said, per_token(best[f"{side} {long}"], "limit"))


def cell(bench: Bench) -> Iterator[Row]:
    yield from _cell(bench, "gpt2", "")


def cell_real(bench: Bench) -> Iterator[Row]:
    yield from _cell(bench, REAL, f"_{REAL}")


def _cell(bench: Bench, name: str, end: str) -> Iterator[Row]:
    arguments = {"name": name, "steps": bench.steps(4)}
    best = in_turns(bench, 1, {
        "ours together": ("bench.cell.ours", arguments | {"together": True}),
        "ours alone": ("bench.cell.ours", arguments | {"together": False}),
        "PEFT": ("bench.cell.theirs", arguments),
    })  # fmt: skip
    together, alone, peer = best["ours together"], best["ours alone"], best["PEFT"]
    mine = together if bench.gpu else alone  # as the studies train them
    said = f"mean losses differ by at most {apart(mine['losses'], peer['losses']):.1e}"
    what = f"10 runs of {name}, 5 subsets x 2 seeds, {arguments['steps']} steps each"
    yield timed(f"cell_fp32{end}", what, mine, peer, said)
    said = f"mean losses differ by at most {apart(together['losses'], alone['losses']):.1e}"
    yield timed(f"gang_fp32{end}", "the same runs in one batch; peer: ours, one after another", together, alone, said)
