"""The bank of trained runs: what is added, replaced and deleted, what is refused, and what stays in memory."""

import json
import os
import shutil
import subprocess
import sys
import time

import pytest
import torch

from stages import bank as command
from stages.core.errors import UserError
from stages.methods import lora
from stages.methods.parts import saved
from stages.models.identity import base_model_id
from stages.serving.bank import Bank, Entry, PrefixBank, bytes_of
from tests.conftest import config_of, tiny_gpt2, tiny_llama
from tests.serving.test_engine import filled, prefixes_of


def test_entries_are_listed_without_a_model(lm, tmp_path):
    filled(lm, tmp_path / "bank", [2])
    (tmp_path / "bank/.p9.1.tmp").mkdir()  # as an interrupted copy leaves it
    (tmp_path / "bank/notes.txt").write_text("no run")
    bank = Bank(tmp_path / "bank")
    assert bank.names() == ["p0", "v0", "v1"] and "p0" in bank and "notes.txt" not in bank and "../bank" not in bank
    assert next(iter(bank.entries())) == Entry("p0", "prefix", lm.name, 40)
    (tmp_path / "bank/v0/config.json").write_text("[]")
    with pytest.raises(UserError, match=r"bank/v0/config\.json is not of a trained run"):
        list(bank.entries())
    assert Bank(tmp_path / "none").names() == []


@pytest.mark.parametrize("name", ["", ".", "..", ".hidden", "a/b", "a b", "-x", "ä", "x" * 101, "a\n"])
def test_names_are_names_of_files(lm, tmp_path, name):
    bank = filled(lm, tmp_path / "bank", [2])
    for act in (lambda: bank.add(name, bank.path_of("p0")), lambda: bank.get(name), lambda: bank.remove(name)):
        with pytest.raises(UserError, match="is no name of a prefix: up to 100 letters"):
            act()
    assert bank.names() == ["p0", "v0", "v1"]


def test_what_is_refused_leaves_the_bank_as_it_was(tokenizer, tmp_path):
    lm, other = tiny_gpt2(tokenizer), tiny_llama(tokenizer)
    bank = filled(lm, tmp_path / "bank", [2])
    before = {path: path.read_bytes() for path in bank.directory.rglob("*") if path.is_file()}
    run = tmp_path / "foreign"
    saved.save(run, config_of(), next(prefixes_of(other, [2])), base_model_id(other))
    with pytest.raises(UserError, match="is of another model: its base_model_fingerprint is"):
        bank.add("p0", run)
    with pytest.raises(UserError, match=r"cannot read .*nothing/config\.json: No such file"):
        bank.add("p0", tmp_path / "nothing")
    name, (inputs, outputs) = "transformer.h.0.attn.c_attn", (32, 96)
    state = {f"{name}.{lora.A}": torch.zeros(1, 2, inputs), f"{name}.{lora.B}": torch.zeros(1, outputs, 2)}
    saved.save(run, config_of("lora"), state, base_model_id(lm))
    with pytest.raises(UserError, match="cannot share a batch with other runs"):
        bank.add("p0", run)
    assert {path: path.read_bytes() for path in bank.directory.rglob("*") if path.is_file()} == before


def test_the_memory_of_loaded_entries_is_bounded(lm, tmp_path):
    """The one that was used least recently goes; one that is larger than the bound stays alone."""
    bank = filled(lm, tmp_path / "bank", [4, 4, 4, 9])
    size = bytes_of(bank.get("p0"))
    bank.most_bytes = 2 * size
    assert bank.loaded_bytes == size
    first = bank.get("p0")
    bank.get("p1")
    assert bank.get("p0") is first and bank.loaded_bytes == 2 * size
    bank.get("p2")
    assert list(bank.loaded) == ["p0", "p2"] and bank.get("p0") is first
    bank.get("p3")
    assert list(bank.loaded) == ["p3"] and bank.loaded_bytes == 9 * size / 4
    bank.get("p0")
    assert list(bank.loaded) == ["p0"]


def test_a_replaced_entry_is_loaded_anew(lm, tmp_path):
    bank = filled(lm, tmp_path / "bank", [2, 3])
    assert bank.get("p0").length == 2
    Bank(tmp_path / "bank").path_of("p0")
    PrefixBank(tmp_path / "bank", lm, 2**20).add("p0", bank.path_of("p1"))  # another process
    assert bank.get("p0").length == 3 and bank.loaded_bytes == bytes_of(bank.get("p0"))
    bank.remove("p0")
    with pytest.raises(UserError, match="has no prefix p0"):
        bank.get("p0")
    assert sorted(path.name for path in bank.directory.iterdir()) == ["p1", "v0", "v1"]


def test_a_damaged_entry_is_refused_when_it_is_asked_for(lm, tmp_path):
    bank = filled(lm, tmp_path / "bank", [2, 3])
    file = tmp_path / "bank/p0/prefix.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with pytest.raises(UserError, match=r"p0/prefix\.safetensors is not the file that was written: its sha256 is"):
        bank.get("p0")
    with pytest.raises(UserError, match="is not the file that was written"):
        bank.add("p1", tmp_path / "bank/p0")
    assert bank.get("p1").length == 3


@pytest.mark.slow
def test_ten_thousand_entries_open_in_a_second(tokenizer, tmp_path):
    """A lookup loads no other entry, and takes less than a millisecond once the entry is loaded."""
    lm = tiny_gpt2(tokenizer)
    first = filled(lm, tmp_path / "bank", [2]).path_of("p0")
    for number in range(10_000):
        shutil.copytree(first, tmp_path / f"bank/user-{number}", copy_function=os.link)
    began = time.perf_counter()
    bank = PrefixBank(tmp_path / "bank", lm, 2**20)
    assert len(bank.names()) == 10_003
    assert time.perf_counter() - began < 1 and bank.loaded_bytes == 0
    bank.get("user-7777")
    began = time.perf_counter()
    for _ in range(100):
        bank.get("user-7777")
    assert (time.perf_counter() - began) / 100 < 1e-3 and list(bank.loaded) == ["user-7777"]


ADDING = """
import sys
from pathlib import Path
from transformers import PreTrainedTokenizerFast
from stages.serving.bank import PrefixBank
from tests.conftest import ROOT, tiny_gpt2

lm = tiny_gpt2(PreTrainedTokenizerFast.from_pretrained(ROOT / "data/base/mini-gpt2"))
bank = PrefixBank(Path(sys.argv[1]), lm, 2**20)
for number in range(1000):
    bank.add(f"user-{number % 200}", bank.path_of(f"p{number % 2}"))
    print(f"user-{number % 200}", flush=True)
"""


@pytest.mark.slow
def test_a_kill_loses_no_entry_that_was_added(tokenizer, tmp_path, request):
    """Also of those that were replaced: each is one of the two, whole."""
    lm = tiny_gpt2(tokenizer)
    filled(lm, tmp_path / "bank", [2, 3])
    command = [sys.executable, "-c", ADDING, str(tmp_path / "bank")]
    for wanted in (30, 310):
        process = subprocess.Popen(command, cwd=request.config.rootpath, stdout=subprocess.PIPE, text=True)
        added = {process.stdout.readline().strip() for _ in range(wanted)}
        process.kill()
        added |= set(process.stdout.read().split())
        process.wait()
        bank = PrefixBank(tmp_path / "bank", lm, 2**20)
        assert added <= set(bank.names()) | {""} and len(added) >= min(wanted, 200)
        assert {bank.get(name).length for name in bank.names() if name.startswith("user")} == {2, 3}


def test_the_labels_of_a_run_do_not_become_the_models(lm, tmp_path):
    saved.save(tmp_path / "run", config_of(), next(prefixes_of(lm, [2])), base_model_id(lm), ["yes", "no"])
    bank = PrefixBank(tmp_path / "bank", lm, 2**20)
    bank.add("p", tmp_path / "run")
    bank.get("p")
    assert lm.labels == []


def call(monkeypatch, *arguments):
    monkeypatch.setattr("sys.argv", ["bank", *map(str, arguments)])
    command.main()


def test_the_command(project, monkeypatch, capsys):
    """With the embedded model: a run of it is added under two names, listed and deleted; one of another is refused."""
    from stages.models.load import load

    lm = load("data/base/mini-gpt2", "mini-gpt2", "main")
    saved.save(project / "run", config_of(prefix_len=3), next(prefixes_of(lm, [3])), base_model_id(lm))
    call(monkeypatch, "add", "bank", "alice", "run")
    assert capsys.readouterr().out == "alice: 36.0 KB of keys and values, or of vectors, for mini-gpt2\n"
    card = (project / "bank/alice/README.md").read_text()
    assert "# prefix on mini_e2e, mini-gpt2" in card and card.startswith("---\n")
    shutil.copytree(project / "run", project / "data/run/model")
    call(monkeypatch, "add", "bank", "bob")
    call(monkeypatch, "list", "bank")
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "alice: prefix, 3 virtual tokens, of mini-gpt2",
        "bob: prefix, 3 virtual tokens, of mini-gpt2",
    ]
    call(monkeypatch, "remove", "bank", "alice")
    with pytest.raises(SystemExit, match="bank has no prefix alice"):
        call(monkeypatch, "remove", "bank", "alice")
    config = json.loads((project / "run/config.json").read_text())
    (project / "run/config.json").write_text(json.dumps(config | {"base_model_fingerprint": "0" * 16}))
    with pytest.raises(SystemExit, match=r"error: .*is of another model: its base_model_fingerprint is 0000"):
        call(monkeypatch, "add", "bank", "carol", "run")
    call(monkeypatch, "list", "bank")
    assert capsys.readouterr().out.splitlines()[-1:] == ["bob: prefix, 3 virtual tokens, of mini-gpt2"]
