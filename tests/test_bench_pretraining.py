"""The bench of recipes of pretraining, on a model of two layers."""

import itertools
import math
import sys

import numpy as np
import pytest
import torch
import yaml
from torch.nn import functional as F

from bench import pretraining as bench
from stages import params
from stages.pretrain import train
from stages.world.corpus import documents

pytestmark = pytest.mark.slow

TINY = {"documents": 3000, "copies_first": 60, "vocabulary": 300, "layers": 2, "width": 32, "heads": 2}


@pytest.fixture
def tiny(project, monkeypatch):
    """A project whose mini-gpt2 is small, and four of the recipes."""
    given = yaml.safe_load((project / "params.yaml").read_text())
    given["pretrain"] |= TINY
    (project / "params.yaml").write_text(yaml.safe_dump(given))
    named = {recipe.name: recipe for recipe in bench.RECIPES}
    kept = [
        named[name] for name in ("released", "AdamW alone", "initial weights not primed", "no lists of names first")
    ]
    monkeypatch.setattr(bench, "RECIPES", kept)
    monkeypatch.setattr(bench, "PROMPTS", 2)
    monkeypatch.setattr(bench, "HEARD", 4)
    monkeypatch.setattr(sys, "argv", ["python -m bench.pretraining", "--documents", "100"])
    return params.load().pretrain


def test_a_row_for_each_recipe_and_no_work_twice(tiny, capsys, monkeypatch):
    bench.main()
    rows = [line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines()]
    assert [row[0] for row in rows[2:]] == [recipe.name for recipe in bench.RECIPES]
    losses = [row[rows[0].index("bits_per_byte")] for row in rows[2:]]
    assert len(set(losses)) == len(losses), "each recipe is another training"
    monkeypatch.setattr(bench, "measure", None)
    bench.main()
    assert [line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines()] == rows


def test_more_documents_than_the_corpus_has(tiny, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["python -m bench.pretraining", "--documents", "3001"])
    with pytest.raises(SystemExit, match="3001, but the corpus has 1 to 3000"):
        bench.main()


def test_bits_per_byte_are_of_what_is_heard(tokenizer):
    chosen = params.load().pretrain.model_copy(update={"layers": 2, "width": 32, "heads": 2, "length": 16})
    model = train.build(chosen, tokenizer.eos_token_id).eval()
    heard = [text for _, text in itertools.islice(documents(3, 0), 5)]
    ids = np.concatenate([[*tokenizer(text)["input_ids"], 0] for text in heard]).astype(np.int64)
    rows = torch.from_numpy(ids[: len(ids) // 16 * 16]).view(-1, 16)
    with torch.no_grad():
        nats = F.cross_entropy(model(rows).logits[:, :-1].flatten(0, 1), rows[:, 1:].flatten()).item()
    wanted = nats / math.log(2) * len(ids) / sum(len(text.encode()) + 1 for text in heard)
    assert bench.bits_per_byte(model, tokenizer, heard, 16) == pytest.approx(wanted, rel=0.01)


def test_other_optimisers_move_every_parameter():
    for kind in (bench.AdamWAlone, bench.Cosine):
        model = train.build(params.load().pretrain.model_copy(update={"layers": 2, "width": 32, "heads": 2}), 0)
        optimizers = kind(model, ".h.", 0.01, 0.003, 100)
        held = [p for optimizer in optimizers.all for group in optimizer.param_groups for p in group["params"]]
        assert {id(p) for p in held} == {id(p) for p in model.parameters()} and len(held) == len(set(map(id, held)))
        rates = []
        for index in range(100):
            optimizers.step(index)
            rates.append(optimizers.all[0].param_groups[0]["lr"] / optimizers.peaks[0])
        assert max(rates) == pytest.approx(1.0, abs=0.01) and rates[5] < rates[6]
        assert rates[-1] == pytest.approx(0.03, abs=0.02)
