"""The official validation files that are here: read as they are, scored against themselves and by one constant."""

import json
from collections import Counter
from pathlib import Path

import pytest

from stages.core.files import TextFile
from stages.scoring.scores import Scores
from stages.scoring.superglue import METRIC_SETS

pytestmark = [pytest.mark.shared, pytest.mark.slow]
SHARED = Path(__file__).parents[3] / "shared"

EXAMPLES = {"BoolQ": 3_270, "CB": 56, "COPA": 100, "RTE": 277, "WSC": 104}


def score(dataset, hypotheses):
    task = METRIC_SETS[f"superglue/{dataset.lower()}"]
    with task.scorer() as measure:
        mine, golds = task.read(TextFile(hypotheses), [TextFile(gold_file(dataset))])
        assert len(mine) == EXAMPLES[dataset]
        return Scores.of(measure(mine, golds)).metrics


def gold_file(dataset):
    return SHARED / "data/superglue" / dataset / "val.jsonl"


def gold_labels(dataset):
    """As a text model writes them."""
    lines = gold_file(dataset).read_text("utf-8").splitlines()
    return [str(json.loads(line)["label"]).lower() for line in lines]


@pytest.mark.parametrize("dataset", EXAMPLES)
def test_the_gold_file_is_a_perfect_submission(dataset, tmp_path):
    names = {"accuracy", "F1"} if dataset == "CB" else {"accuracy"}
    assert score(dataset, gold_file(dataset)) == dict.fromkeys(names, 1.0)
    lines = tmp_path / "hyp.txt"
    lines.write_text("\n".join(gold_labels(dataset)) + "\n")
    assert score(dataset, lines) == dict.fromkeys(names, 1.0)


@pytest.mark.parametrize("dataset", EXAMPLES)
def test_a_constant_has_the_share_of_its_class(dataset, tmp_path):
    counts, total = Counter(gold_labels(dataset)), EXAMPLES[dataset]
    for label, count in counts.items():
        hypotheses = tmp_path / "hyp.txt"
        hypotheses.write_text(f"{label}\n" * total)
        metrics = score(dataset, hypotheses)
        assert metrics["accuracy"] == round(count / total, 4)
        if dataset == "CB":  # one class of three has a precision of its share and a recall of 1
            assert metrics["F1"] == round(2 * count / (total + count) / 3, 4)
