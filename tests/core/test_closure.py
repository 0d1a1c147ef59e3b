"""The closure of imports: every file that a run reads, and no other; its hash is of the code alone."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from stages.core.closure import closure
from stages.core.record import Record, write_records
from stages.methods import module_of, names
from stages.methods.parts import saved
from stages.methods.prompt_tuning import EMBEDDINGS
from tests.conftest import ROOT, bare_encoder, tiny_gpt2
from tests.methods.test_options import config_for

CLOSURE = "import sys; from stages.core.closure import closure, code_hash; found = closure(*sys.argv[1:]);"
CLOSURE += "print(*map(str, found), code_hash(found), sep='\\n')"


def python(code, *arguments, root=ROOT, cwd=None):
    """What a process of its own prints, line by line, with the project below `root`, where it runs unless `cwd` is given."""
    environment = os.environ | {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=cwd or root, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.fixture
def small(tmp_path):
    """A project of some files, with the closure's own."""
    files = {
        "stages/__init__.py": '"""A package."""\n',
        "stages/start.py": "import json\nfrom stages.a.one import number\n\n\ndef later():\n    import stages.b.three\n",
        "stages/a/__init__.py": "from stages.a import beside\n",
        "stages/a/beside.py": "",
        "stages/a/one.py": "import stages.two as two\n\nnumber = two.number\n",
        "stages/a/unread.py": "from stages import alone\n",
        "stages/two.py": '"""Two."""\n\n\ndef number():\n    """A number."""\n    return 2  # two\n',
        "stages/b/__init__.py": "",
        "stages/b/three.py": "class Three:\n    value = 3\n",
        "stages/alone.py": "",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "stages/core").mkdir()
    for name in ("__init__.py", "closure.py"):
        shutil.copy(ROOT / "stages/core" / name, tmp_path / "stages/core")
    return tmp_path


def test_it_follows_imports_of_imports_of_packages_and_of_functions(small):
    *files, _ = python(CLOSURE, "stages.start", root=small)
    assert files == [
        "stages/__init__.py", "stages/a/__init__.py", "stages/a/beside.py", "stages/a/one.py", "stages/b/__init__.py",
        "stages/b/three.py", "stages/start.py", "stages/two.py",
    ]  # fmt: skip
    *files, _ = python(CLOSURE, "stages.alone", "stages.two", root=small)
    assert files == ["stages/__init__.py", "stages/alone.py", "stages/two.py"]


def test_the_hash_is_of_the_code_alone(small):
    def hash_with(name, text):
        file = small / name
        before = file.read_text()
        file.write_text(text)
        found = python(CLOSURE, "stages.start", root=small)[-1]
        file.write_text(before)
        return found

    plain = python(CLOSURE, "stages.start", root=small)[-1]
    assert len(plain) == 64 and int(plain, 16)
    for same in (
        '"""Another."""\n\n\ndef number():\n    """Another\n    number.\n    """\n    return 2\n',
        "def number():\n    return (2)\n",
        "# The number.\ndef number(): return 2  # as before\n",
    ):
        assert hash_with("stages/two.py", same) == plain, same
    for other in (
        "def number():\n    return 3\n",
        "def number():\n    return '2'\n",
        "def number() -> int:\n    return 2\n",
        "def number():\n    return 2\n\n\nmore = 1\n",
    ):
        assert hash_with("stages/two.py", other) != plain, other
    assert hash_with("stages/a/unread.py", "x = 1\n") == plain
    assert hash_with("stages/__init__.py", "x = 1\n") != plain, "a package's own file is run, too"


def test_a_file_of_another_name_is_other_code(small):
    before = python(CLOSURE, "stages.b.three", root=small)
    (small / "stages/b/three.py").rename(small / "stages/b/four.py")
    after = python(CLOSURE, "stages.b.four", root=small)
    assert (before[2], after[2]) == ("stages/b/three.py", "stages/b/four.py") and before[-1] != after[-1]


# Each method in a process of its own, which is forked where torch and transformers are there already: that saves seconds.
RUNS = """
import json, os, sys, traceback
from pathlib import Path
import torch
from transformers import AutoModel, AutoModelForCausalLM, AutoTokenizer, BertModel, GPT2LMHeadModel

assert not any(name.startswith("stages") for name in sys.modules)

def run(home, method):
    from stages.core.record import read_records
    from stages.methods import config_from
    from stages.run import code_of, predict, prepare
    from stages.training.checkpoint import Checkpoint

    config = config_from(json.loads((home / f"{method}.json").read_text()))
    prepared = prepare(config, [1], home)
    data = lambda: tuple(list(read_records(home / f"{split}.jsonl")) for split in ("train", "dev"))
    with Checkpoint.of([code_of(method)], home / "train.jsonl") as checkpoint:
        trained = prepared.train([data], checkpoint)
    trained.save(home / f"runs/{method}", config)
    from stages.run import load_run, open_model
    lm = open_model(config)
    records = data()[1]
    [said] = predict(lm, [load_run(home / f"runs/{method}", lm, config)], records, config, [home / f"{method}.part"])
    assert len(said) == len(records) and len(trained.curve) == (config.training is not None)
    modules = [m for n, m in sys.modules.items() if n.split(".")[0] == "stages"]
    return sorted(str(Path(m.__file__).relative_to(root)) for m in modules)

home, root = map(Path, sys.argv[1:3])
for method in sys.argv[3:]:
    if not (child := os.fork()):
        try:
            (home / f"{method}.found").write_text(json.dumps(run(home, method)))
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        sys.exit(f"{method} failed")
"""


@pytest.fixture(scope="module")
def read_by_runs(tmp_path_factory, tokenizer, word_pieces):
    """The project's files in `sys.modules` of a real run of each method, by method."""
    home = tmp_path_factory.mktemp("runs")
    lm = tiny_gpt2(tokenizer)
    for kind, model, its_own in (
        ("decoder-only", lm.model, tokenizer), ("encoder", bare_encoder("bert", len(word_pieces)), word_pieces),
    ):  # fmt: skip
        model.save_pretrained(home / kind)
        its_own.save_pretrained(home / kind)
    saved.write(home / "kept", "prompt_tuning", {EMBEDDINGS: torch.ones(1, 3, lm.width)}, {})
    records = [Record(str(i), f"name : Oak {i}", ["yes" if i % 2 else "no"], parts=[["an oak"]]) for i in range(4)]
    for split in ("train", "dev"):
        write_records(home / f"{split}.jsonl", records)
    for method in names():
        family = "decoder-only" if "decoder-only" in module_of(method).FAMILIES else "encoder"
        config = config_for(method, family, home / "kept")
        training = config.training and replace(config.training, steps=1, epochs=None)
        decoding = replace(config.decoding, beam=2, max_new_tokens=3)
        config = replace(config, model=str(home / family), threads=1, training=training, decoding=decoding)
        (home / f"{method}.json").write_text(json.dumps(config.as_json()))
    python(RUNS, str(home), str(ROOT), *names(), cwd=home)
    return {method: json.loads((home / f"{method}.found").read_text()) for method in names()}


GGUF = "stages/models/gguf_read.py"  # imported for a GGUF file that is not in the cache yet


@pytest.mark.slow
@pytest.mark.parametrize("method", names())
def test_a_run_reads_its_closure_and_no_more(read_by_runs, method):
    expected = [str(file) for file in closure("stages.run", f"stages.methods.{method}")]
    assert read_by_runs[method] == [file for file in expected if file != GGUF]
    assert {file.split("/")[1] for file in expected} == {
        "__init__.py", "core", "decoding", "methods", "models", "run.py", "training",
    }  # fmt: skip
