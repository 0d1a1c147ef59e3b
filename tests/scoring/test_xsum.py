"""ROUGE of XSum by hand: stems, words, the longest common subsequence."""

import pytest

from stages.core.errors import UserError
from stages.scoring import xsum
from stages.scoring.scores import Scores


def score(hypotheses, references):
    with xsum.XSUM.scorer() as measure:
        return Scores.of(measure(hypotheses, references)).metrics


def test_by_hand():
    # Words: 3 of 4 and 3 of 5. Pairs: "dog run" of 3 and of 4. In order: dog run.
    found = score(["Dogs running, fast cat"], [["The dog runs and cats"]])
    assert found == {"rouge1": round(2 * 3 / 9, 4), "rouge2": round(2 * 1 / 7, 4), "rougeL": round(2 * 3 / 9, 4)}
    assert score(["cat dog"], [["dog cat"]]) == {"rouge1": 1, "rouge2": 0, "rougeL": 0.5}


def test_the_mean_of_the_summaries():
    assert score(["cat", "", "\n…"], [["cat"], ["cat"], ["cat"]])["rouge1"] == 0.3333


@pytest.mark.parametrize(
    ("hypotheses", "references", "message"),
    [
        (["k"], [["k", "l"]], "segment 1 has 2 references; ROUGE of XSum takes one"),
        (["k", "l"], [["k"], [" "]], "segment 2 has no reference"),
        (["k"], [], "1 hypotheses, but references for 0 segments"),
    ],
)
def test_what_cannot_be_scored(hypotheses, references, message):
    with pytest.raises(UserError, match=message):
        score(hypotheses, references)
