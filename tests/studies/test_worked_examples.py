"""Cells of a study whose runs read worked examples of their own training data."""

import pytest
import yaml

from stages.core.files import write_jsonl
from stages.methods import config_from
from stages.studies.check import settings_of
from stages.studies.grid import cells_of
from stages.studies.plan import linearized
from stages.studies.run import batches_of, run_all
from stages.studies.run_batch import hypotheses_of

VARIANTS = {
    "in_context": {"run": {"method": "in_context", "methods": {"in_context": {"examples": 2}}}},
    "prefix": {
        "run": {
            "method": "prefix",
            "prefix_len": 12,
            "methods": {"prefix": {"mlp": False, "init": "examples", "init_words": None}},
            "train": {"steps": 2, "lr": 1e-3, "eval_every": 1},
        }
    },
}


@pytest.fixture
def cells(project):
    """By variant and runs per batch: two samples of three examples, two seeds each."""
    for split in ("train", "dev", "test"):
        write_jsonl(linearized("mini_e2e") / f"{split}.jsonl", (
            {"id": f"{i}", "source": f"name : {i} | area : {i % 3}", "targets": [f"{i} is there."], "group": None, "name": None}
            for i in range(9)
        ))  # fmt: skip
    raw = yaml.safe_load((project / "params.yaml").read_text())
    raw["studies"]["lowdata"] |= {"sizes": [3], "subsets": 2, "seeds": [1, 2], "test": 3, "variants": VARIANTS}
    raw["studies"]["lowdata"]["run"]["decode"] = {"max_new_tokens": 8}
    found = {}
    for size in (1, 4):
        raw["studies"]["lowdata"]["run"]["cells"] = {"runs_per_batch": size}
        found |= {(cell.variant, size): cell for cell in cells_of(raw, "lowdata")}
    return found


def answers(cell, directory):
    """The hypotheses of each run, and how many runs trained in each batch."""
    settings = settings_of(cell)
    config = config_from(settings.candidates[0][1])
    run_all(settings, config, directory, processes=1)
    batches = [len(runs) for runs in batches_of(settings, config, on_gpu=False)]
    return [hypotheses_of(run, directory) for run in cell.plan.runs], batches


@pytest.mark.parametrize(("variant", "batches"), [("in_context", [1, 1, 1, 1]), ("prefix", [4])])
def test_a_run_is_the_same_alone_and_beside_others(cells, project, variant, batches):
    alone, _ = answers(cells[variant, 1], project / "alone")
    together, found = answers(cells[variant, 4], project / "together")
    assert together == alone and found == batches
    assert all(len(texts) == 3 for texts in alone)
    assert len({str(texts) for texts in alone}) > 1, "samples and seeds make a difference"
