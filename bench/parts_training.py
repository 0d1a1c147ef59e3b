"""Training, beside PEFT: time, memory, a longer prefix, a cell of runs."""

from collections.abc import Callable, Iterator

from bench.turns import Bench, Row, in_turns, memory, timed

LENGTH = 10


def ours(name: str, length: int, steps: int, warm_up: int, bf16=False, recomputed=False) -> tuple[str, dict]:
    sizes = {"name": name, "length": length, "steps": steps, "warm_up": warm_up}
    return "bench.training.ours", sizes | {"bf16": bf16, "recomputed": recomputed}


def theirs(name: str, length: int, steps: int, warm_up: int) -> tuple[str, dict]:
    return "bench.training.theirs", {"name": name, "length": length, "steps": steps, "warm_up": warm_up}


def per_token(result: dict) -> float:
    return 1000 * result["seconds"] / result["tokens"]


def apart(losses: list[float], others: list[float]) -> float:
    """The greatest relative difference."""
    return max(abs(one - other) / other for one, other in zip(losses, others, strict=True))


def speed(name: str, what: str, found: dict, peer: dict, note: str = "") -> Row:
    said = f"{found['tokens'] / found['seconds']:,.0f} and {peer['tokens'] / peer['seconds']:,.0f} tokens/s" + note
    return Row(name, what, per_token(found), per_token(peer), "ms/token", per_token(peer) / per_token(found), said)


def train(bench: Bench) -> Iterator[Row]:
    steps, warm_up = bench.steps(24), 4
    best = in_turns(bench, 2, {
        "ours, fp32": ours("gpt2", LENGTH, steps, warm_up),
        "PEFT": theirs("gpt2", LENGTH, steps, warm_up),
        "ours, bf16": ours("gpt2", LENGTH, steps, warm_up, bf16=True),
    })  # fmt: skip
    best |= in_turns(bench, 1, {"ours, recomputing": ours("gpt2", LENGTH, steps, warm_up, recomputed=True)})
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
            "ours, fp32": ours(name, LENGTH, steps, warm_up),
            "PEFT": theirs(name, LENGTH, steps, warm_up),
            "ours, bf16": ours(name, LENGTH, steps, warm_up, bf16=True),
        })  # fmt: skip
        for number in ("fp32", "bf16"):
            found = best[f"ours, {number}"]
            yield speed(f"train_{number}_{name}", f"training {name} in {number}", found, best["PEFT"], note)

    return part


def prefix_200(bench: Bench) -> Iterator[Row]:
    """All of it in turns, those of length 10 too: the machine may not be what it was."""
    steps, warm_up, long = bench.steps(10), 2, 200
    best = in_turns(bench, 2, {
        f"{side} {length}": call(length)
        for length in (LENGTH, long)
        for side, call in (
            ("fp32", lambda length: ours("gpt2", length, steps, warm_up)),
            ("bf16", lambda length: ours("gpt2", length, steps, warm_up, bf16=True)),
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
        yield Row(name, what, mine, peer, "ms/token", grows[side], said)


def cell(bench: Bench) -> Iterator[Row]:
    arguments = {"name": "gpt2", "steps": bench.steps(4)}
    best = in_turns(bench, 1, {
        "ours together": ("bench.cell.ours", arguments | {"together": True}),
        "ours alone": ("bench.cell.ours", arguments | {"together": False}),
        "PEFT": ("bench.cell.theirs", arguments),
    })  # fmt: skip
    together, alone, peer = best["ours together"], best["ours alone"], best["PEFT"]
    mine = together if bench.gpu else alone  # as the studies train them
    said = f"mean losses differ by at most {apart(mine['losses'], peer['losses']):.1e}"
    what = f"10 runs of gpt2, 5 subsets x 2 seeds, {arguments['steps']} steps each"
    yield timed("cell_fp32", what, mine, peer, said)
    said = f"mean losses differ by at most {apart(together['losses'], alone['losses']):.1e}"
    yield timed("gang_fp32", "the same runs in one batch; peer: ours, one after another", together, alone, said)
