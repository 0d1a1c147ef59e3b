"""What was measured, for programs (.bench/results.json) and for people (docs/benchmarks.md)."""

from dataclasses import asdict

from bench.kept import Part

HEAD = """# Benchmarks

```
{command}
```

This project beside PEFT's prefix-tuning and transformers' `generate`, on the same work.

{when}: {processor}, {cores} cores of which one is used, {memory_gb} GB of memory, {gpu}.
Python {python}, torch {torch}, transformers {transformers}, PEFT {peft}. {records}, {tokenizer}.

With one thread this machine multiplies matrices at {fp32:,.0f} GFLOP/s in fp32 and at {bf16:,.0f} in bf16, and reads memory at
{bytes:,.0f} GB/s. `of limit` is the time that the work would take at these rates, over ours.

"""

TEXT = """
`ratio` is the peer's time divided by ours: more than 1 means that ours is faster. For memory it is ours divided by the peer's,
and for the prefix of 200 our time divided by that of 10. The JSON file beside this one holds the same numbers.

## How it is measured

- Every measurement runs in a process of its own with one thread, ours and the peer in turns. The best of two counts; decoding,
  the cell and scaling run once.
- On a CPU the clock is the CPU time of the process. Other work on the machine still shares its caches and memory.
- On a GPU it is wall time after the GPU has finished. Scoring is wall time.
- Memory is the peak of the process (on a GPU, of torch's allocation) minus what its imports take.
- A token is one of a source or a target; padding does not count.
- The limit counts the products of linear layers and of attention, without padding. A frozen weight is used twice in a training
  step, a trained one three times. In decoding a step reads each weight once; its limit is the longer of multiplying and reading.
  The rates are those of the fastest product of large matrices, and of a sum over 1 GB.
- A part that other code measured is marked as old by the bench.

## Slower than before?

`make bench-check` measures the fast parts in five minutes and fails if a ratio is below 85% of the one in `bench/check.json`. CI
runs it every night. `python -m bench.check --record` writes that file anew.

## What is the same on both sides

- `smollm2` is SmolLM2-135M-Instruct. Its prefixes start from the keys and values of training examples, without an MLP. The other
  models have the shapes that the table names, and random weights.
- Batches and their order, the initial parameters, AdamW, clipping and schedule are the same. Dropout is off.
- Ours is `stages.training.loop.train` itself; the peer is a plain loop around `get_peft_model` with padded batches. Fine-tuning is
  beside transformers' `Trainer` in the same precision.
- In decoding both have the same prefix, the sources in the same order, beam 5, length penalty 1 and at most 40 tokens.
- The table shows how far losses differ, and how many hypotheses are the same token for token.

## What is not the same

- PEFT computes in fp32 beside our bf16 too: so it does with these models unless told otherwise. In bf16 its `generate` is
  measured on one batch.
- In an encoder-decoder model PEFT has one prefix, of the decoder, and ours three. So PEFT needs no gradients of the encoder, and
  ours does. bart-base compares only the time of training, and decodes without a prefix on both sides.
- Random weights rarely end a sentence. What ours gains by sentences that end early is in the rows of smollm2 alone.
- A random BART repeats few words, so its hypotheses say less about equality than those of GPT-2. `tests/test_bench.py` shows both
  equalities on a tiny model.

## What makes it fast

- Logits are computed only at target positions, in chunks (`stages/training/loss.py`).
- Batches hold texts of similar length. Nothing is stored for weights that do not train.
- On a CPU, oneDNN computes fp32 products instead of MKL (`stages/models/linear.py`). Frozen weights are kept in the order that
  it needs, for both directions. The numbers are the same bit for bit. The second copy, of up to 1 GB, is in our memory.
- A source is read once. All beams share its keys and values, and none is ever copied (`stages/models/caches.py`). Sentences enter
  the batch as others end.
- Query heads that share keys and values are further queries of one head, so nothing is repeated (`stages/models/attention.py`).
- Fine-tuning in bf16 casts each weight once a step (`stages/training/step.py`).
- METEOR's program gets only the paraphrases that can match (`stages/scoring/meteor_paraphrases.py`).
- Token ids stay on the disk. The peak of memory still rises with the examples, by code that oneDNN compiles for each length of
  text, of which at most 256 are kept.
- torch.compile and CUDA graphs are not used: without a GPU nobody could measure whether they pay.
"""


def results(machine: dict, command: str, parts: dict[str, Part]) -> dict:
    """Ratios by name (of what has no peer, the seconds), then all there is."""
    rows = [row for part in parts.values() for row in part.rows]
    numbers = {row.name: row.ours if row.ratio is None else row.ratio for row in rows}
    return numbers | {"machine": machine, "command": command, "rows": [asdict(row) for row in rows]}


def number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}" if value < 1 else f"{value:.2f}"


def lines(part: Part) -> list[str]:
    """The rows of a part in the table. What other code measured is marked."""
    mark = f"**old: {part.commit}, {part.date}**; " if part.old else ""
    return [
        f"| `{row.name}` | {row.what} | {number(row.ours)} | {number(row.peer)} | {row.unit} | "
        f"{'' if row.ratio is None else f'{row.ratio:.2f}'} | "
        f"{'' if row.limit is None else f'{row.limit / row.ours:.0%}'} | {mark}{row.note} |"
        for row in part.rows
    ]


def when(parts: dict[str, Part]) -> str:
    """The days and commits of the parts: `2026-11-29, commit abc1234`."""
    return "; ".join(dict.fromkeys(f"{part.date}, commit {part.commit}" for part in parts.values()))


def document(
    machine: dict, command: str, records: str, tokenizer: str, parts: dict[str, Part], missing: list[str]
) -> str:
    """The whole page. `missing`: the names of the parts that were not measured."""
    rates = {name: rate / 1e9 for name, rate in list(parts.values())[-1].limits.items()}
    head = HEAD.format(
        **machine | rates | {"gpu": machine["gpu"] or "no GPU (so nothing here says how it is on one)"},
        command=command, when=when(parts), records=records, tokenizer=tokenizer,
    )  # fmt: skip
    table = ["| | what | ours | peer | | ratio | of limit | |", "|---|---|---:|---:|---|---:|---:|---|"]
    table += [line for part in parts.values() for line in lines(part)]
    left = (
        f"\nNot measured with this code yet: {', '.join(missing)} (`python -m bench --only NAME`).\n" if missing else ""
    )
    return head + "\n".join(table) + "\n" + left + TEXT
