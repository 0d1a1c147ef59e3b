"""What the bench's comparison rests on, and what it writes; no times."""

import json

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from bench import cell, peer
from bench.__main__ import measuring
from bench.gpu import STOPPED, step
from bench.inputs import Ids
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


def test_the_table():
    rows = [
        Row("train_fp32", "training", 2.0, 4.5, "ms/token", 2.25, "losses differ by 1e-07"),
        Row("scaling_decoding_100", "100 sources", 12.0, None, "s", None, "peak 90 MB"),
    ]
    text = document(MACHINE, "make bench", "Generated records", "tokenizer mini-gpt2", rows)
    assert "| `train_fp32` | training | 2.00 | 4.50 | ms/token | 2.25 | losses differ by 1e-07 |" in text
    assert "| `scaling_decoding_100` | 100 sources | 12.00 |  | s |  | peak 90 MB |" in text
    assert "no GPU" in text and "{" not in text
    numbers = results(MACHINE, "make bench", rows)
    assert (numbers["train_fp32"], numbers["scaling_decoding_100"]) == (2.25, 12.0)
    assert numbers["rows"][0]["peer"] == 4.5 and numbers["machine"] == MACHINE


def test_a_step_has_the_status_of_its_program_or_is_stopped_with_all_that_it_started(tmp_path):
    assert step(["-c", "print('said'); raise SystemExit(3)"], 60, tmp_path / "log")["status"] == 3
    assert (tmp_path / "log").read_text() == "said\n"
    child = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(600)'])"
    found = step(["-c", child], 2, tmp_path / "log")
    assert found["status"] == STOPPED and 2 <= found["seconds"] < 60
