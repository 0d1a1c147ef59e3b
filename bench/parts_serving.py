"""One model for many users: all of them in one batch, beside one after the other."""

from collections.abc import Iterator

from bench.turns import Bench, Row, in_turns, timed

USERS = 32
REQUESTS = 1000
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
    yield from _over_http(bench)


def _over_http(bench: Bench) -> Iterator[Row]:
    """What a client waits for, by the clock."""
    sizes = {"name": "mini-gpt2", "users": USERS, "count": REQUESTS, "tokens": 20}
    together, alone = in_turns(bench, 1, {
        "server": ("bench.serving_http.latencies", sizes | {"rows": USERS}),
        "one at a time": ("bench.serving_http.latencies", sizes | {"rows": 1}),
    }).values()  # fmt: skip
    same = sum(one == other for one, other in zip(together["texts"], alone["texts"], strict=True))
    what = f"{REQUESTS} requests by 50 clients over HTTP, mini-gpt2, greedy, 20 tokens"
    waits = ", ".join(f"{key} {together[key]:.2f} and {alone[key]:.2f} s" for key in ("p50", "p99"))
    said = f"{same} of {REQUESTS} the same; {waits}"
    yield timed("serving_http", f"{what}; peer: one request at a time", together, alone, said)
