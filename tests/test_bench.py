"""What the bench's comparison rests on, and what it writes; no times."""

import json

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from bench import cell, limits, peer
from bench.check import slower
from bench.gpu import STOPPED, step
from bench.inputs import Ids
from bench.kept import Kept, Part, measuring
from bench.report import document, results
from bench.training import Clocked, training_of
from bench.turns import Row
from stages.core.closure import closure
from stages.decoding.beam import Search, search_sources
from stages.methods import names
from stages.methods.prefix import Prefix
from stages.models.adaptation import Adaptation
from stages.models.batches import Example
from stages.models.decoder_only import DecoderOnly
from stages.models.encode import Examples
from stages.training.checkpoint import Checkpoint
from stages.training.loop import train

pytestmark = pytest.mark.slow

EXAMPLES = [Example([5, 300, 700], [4, 8, 15, 0]), Example([42, 7, 9, 11, 13], [23, 0]), Example([7], [3, 1, 2, 0])]
MACHINE = {"processor": "P", "cores": 2, "memory_gb": 8, "gpu": None}
MACHINE |= dict.fromkeys(("python", "torch", "transformers", "peft"), "1")


@pytest.fixture
def tiny(tokenizer):
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=3072, n_positions=256, n_embd=32, n_layer=3, n_head=4, initializer_range=0.3, attn_pdrop=0.0,
        embd_pdrop=0.0, resid_pdrop=0.0, bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    return DecoderOnly(GPT2LMHeadModel(config).requires_grad_(False).eval(), tokenizer, "tiny")


@pytest.fixture
def ids(project, tiny):
    train_ids = [[example.source, example.target] for example in EXAMPLES]
    kept = {"before": [tiny.separator], "end": tiny.end, "train": train_ids, "test": [e.source for e in EXAMPLES]}
    (project / "tiny.json").write_text(json.dumps(kept))
    return Ids(str(project), "tiny")


def test_peft_loses_what_we_lose(project, tiny, ids):
    """From the same parameters, on the same batches: two steps, the second behind an update."""
    method, examples = Clocked(tiny, 5, warm_up=1), ids.examples(0, 3)
    assert isinstance(examples, Examples)
    checkpoint = Checkpoint(project / "run/checkpoint.safetensors")
    _, points = train(tiny, method, [examples], examples, training_of(5, 2), checkpoint)
    assert method.ended > method.began
    peft = peer.prefixed(tiny.model, 5, 512)
    peer.start_from(peft, method.seeds[0])
    losses, _ = peer.train(peft, examples, ids.before, method.seeds[0], 5, training_of(5, 2).lr, 2, 1)
    assert losses[0] != losses[1]
    assert [point.loss for point in points] == pytest.approx(losses, rel=1e-5)


def test_peft_says_what_we_say(tiny, ids):
    """Sources of different lengths in one batch, behind the same prefix."""
    adaptation = Adaptation(Prefix(tiny, 5, 512, [3]).state())
    found = dict(search_sources(tiny, adaptation, [0] * 3, ids.test, Search(4, 1.0, 8, ids.end), 3))
    peft = peer.prefixed(tiny.model, 5, None)
    peer.hold(peft, 512, 3)
    assert peer.generate(peft, ids.test, ids, 3, 4, 8) == [found[number] for number in range(3)]


def test_what_is_measured_is_kept_by_the_code_of_all_that_runs():
    """Numbers of other code are not taken for those of this one."""
    found = set(map(str, measuring()))
    reached = {str(file) for file in closure("stages.run", *(f"stages.methods.{name}" for name in names()))}
    assert reached - found == {"stages/__init__.py", "stages/run.py"}, "the bench opens and trains by itself"
    assert {"bench/training.py", "bench/fresh.py"} < found and "bench/report.py" not in found


def test_losses_of_runs_are_weighed_by_their_tokens(monkeypatch):
    """As a training of several runs weighs them: three target tokens and one."""
    parts = [Examples([Example([5], [1, 2, 0])]), Examples([Example([5], [0])])]
    monkeypatch.setattr(cell, "runs_of", lambda ids: ([1, 2], parts))
    assert cell.per_token([[2.0], [6.0]], None) == [3.0]


RATES = {"fp32": 1e11, "bf16": 2e11, "bytes": 3e10}


def part(code="of now", **changes):
    rows = [
        Row("train_fp32", "training", 2.0, 4.5, "ms/token", 2.25, "losses differ by 1e-07", 1.0),
        Row("scaling_decoding_100", "100 sources", 12.0, None, "s", None, "peak 90 MB"),
    ]
    return Part(**{"rows": rows, "date": "2026-11-29", "commit": "abc1234", "code": code, "limits": RATES} | changes)


def test_the_table(monkeypatch):
    monkeypatch.setattr("bench.kept.hashed", lambda settings, files: "of now")
    parts = {"train": part(), "scaling": part("of another day", date="2026-11-01", commit="0000000")}
    text = document(MACHINE, "make bench", "Generated records", "tokenizer mini-gpt2", parts, ["cell"])
    assert "| `train_fp32` | training | 2.00 | 4.50 | ms/token | 2.25 | 50% | losses differ by 1e-07 |" in text
    assert (
        "| `scaling_decoding_100` | 100 sources | 12.00 |  | s |  |  | **old: 0000000, 2026-11-01**; peak 90 MB |"
        in text
    )
    assert "2026-11-29, commit abc1234; 2026-11-01, commit 0000000: P, 2 cores" in text
    assert "at 100 GFLOP/s in fp32 and at 200 in bf16, and reads memory at\n30 GB/s" in text
    assert "Not measured with this code yet: cell (`python -m bench --only NAME`).\n" in text
    assert "no GPU" in text and "{" not in text
    numbers = results(MACHINE, "make bench", parts)
    assert (numbers["train_fp32"], numbers["scaling_decoding_100"]) == (2.25, 12.0)
    assert numbers["rows"][0]["peer"] == 4.5 and numbers["machine"] == MACHINE


def test_what_is_kept_is_that_of_the_settings_and_the_machine(monkeypatch, tmp_path):
    monkeypatch.setattr("bench.kept.KEPT", tmp_path)
    monkeypatch.setattr("bench.kept.COMMITTED", tmp_path / "committed.json")
    kept = Kept.of({"e2e": None}, MACHINE)
    assert kept.parts == {}
    kept.parts["train"] = part()
    kept.write(tmp_path / "committed.json")
    assert Kept.of({"e2e": None}, MACHINE) == kept
    assert Kept.of({"e2e": None}, MACHINE | {"processor": "Q"}).parts == {}
    kept.parts["cell"] = part()
    kept.write(kept.file)
    assert list(Kept.of({"e2e": None}, MACHINE).parts) == ["train", "cell"]


def test_a_part_is_old_if_other_code_measured_it():
    now = Part.now([], RATES)
    assert not now.old and part().old and now.commit != "unknown"


def test_the_check_names_what_is_slower_or_missing():
    committed = {"train_fp32": 2.0, "decode_fp32_b1": 3.0, "gone": 1.0}
    assert slower(committed, {"train_fp32": 1.71, "decode_fp32_b1": 2.5, "new": 0.1}) == [
        "gone was not measured", "decode_fp32_b1 is 2.50, less than 85% of 3.00",
    ]  # fmt: skip


def test_the_work_of_a_training_step(tiny):
    """By hand: 3 layers of width 32, with 12 * 32 * 32 weights each, an output of 3072 words."""
    example = Example([1, 2, 3], [4, 0])
    linear, output, layers = 3 * 12 * 32 * 32, 3072 * 32, 3
    pairs = 5 * 10 + 5 * 6 / 2
    attention = 12 * layers * 32 * pairs
    assert limits.training(tiny, [example], 10) == 4 * (linear * 5 + output * 2) + attention
    assert limits.training(tiny, [example], 10, tuned=True) == 6 * (linear * 5 + output * 2) + attention


def test_the_limit_of_decoding_is_reading_or_multiplying():
    size = limits.Size(source=10, target=1000, output=500, layers=1, width=1)
    rates = {"fp32": 1e6, "bf16": 1e6, "bytes": 6e6}
    # reading 1,500 weights of 4 bytes: 1 ms; multiplying for 80 rows: 240 ms
    assert limits.decoding(size, rates, 50, {80: 2}, bf16=False) == pytest.approx(1000 / 1e6 + 2 * 0.24)
    slow = rates | {"fp32": 1e9}
    assert limits.decoding(size, slow, 0, {80: 2}, bf16=False) == pytest.approx(2 * 0.001)


def test_a_step_has_the_status_of_its_program_or_is_stopped_with_all_that_it_started(tmp_path):
    assert step(["-c", "print('said'); raise SystemExit(3)"], 60, tmp_path / "log")["status"] == 3
    assert (tmp_path / "log").read_text() == "said\n"
    child = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(600)'])"
    found = step(["-c", child], 2, tmp_path / "log")
    assert found["status"] == STOPPED and 2 <= found["seconds"] < 60
