"""The real validation files of SuperGLUE: all right is 1, and one answer for all is the share of its label."""

import json
from pathlib import Path

import pytest

from stages.scoring.scores import Scores
from stages.scoring.superglue import TASKS

pytestmark = pytest.mark.shared
DATA = Path(__file__).parents[3] / "shared/data/superglue"
DATASETS = {"BoolQ": "true", "CB": "contradiction", "COPA": "1", "RTE": "entailment", "WSC": "false"}


@pytest.mark.parametrize(("dataset", "answer"), DATASETS.items())
def test_dataset(dataset, answer, tmp_path):
    gold, task = DATA / dataset / "val.jsonl", TASKS[f"superglue/{dataset.lower()}"]
    labels = [str(json.loads(line)["label"]).lower() for line in gold.read_text(encoding="utf-8").splitlines()]
    (tmp_path / "said.txt").write_text("".join(f"{answer}\n" for _ in labels))
    for said, share in ((gold, 1), (tmp_path / "said.txt", labels.count(answer) / len(labels))):
        with task.opened() as measure:
            scores = Scores.of(measure(*task.read(said, [gold]))).metrics
        assert scores["accuracy"] == round(share, 4)
        if dataset == "CB":
            others = len({*labels}) - 1
            assert scores["F1"] == (1 if share == 1 else round(2 * share / (1 + share) / (1 + others), 4))
