"""One model for many users: all of them in one batch, beside one after the other."""

from collections.abc import Iterator

from bench.turns import Bench, Row, in_turns, timed

USERS = 32
COUNTS = {"mini-gpt2": 200, "smollm2": 64}  # requests


def serving(bench: Bench) -> Iterator[Row]:
    """On a small model and a real one."""
    for name, count in COUNTS.items():
        sizes = {"name": name, "users": USERS, "count": count}
        for dtype, bf16 in (("fp32", False), ("bf16", True)):
            together, switching = in_turns(bench, 1, {
                "ours": ("bench.serving.ours", sizes | {"rows": USERS, "bf16": bf16}),
                "one by one": ("bench.serving.ours", sizes | {"rows": 1, "bf16": bf16}),
            }).values()  # fmt: skip
            same = sum(one == other for one, other in zip(together["found"], switching["found"], strict=True))
            what = f"{count} requests of {USERS} prefixes of 1 to 200, {name}, greedy, 40 tokens, {dtype}"
            held, grown = (together[key] / USERS / 2**20 for key in ("held", "grown"))
            said = f"{same} of {count} the same; a user holds {held:.2f} MB, and the process grew by {grown:.2f} MB for each"
            yield timed(f"serving_{dtype}_{name}", f"{what}; peer: ours, one by one", together, switching, said)
