"""METEOR with the paraphrases that can match, against METEOR with all: 10,000 segments recombined from real texts.

The texts are of ../shared, which is no part of the project.
"""

import csv
import random
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from stages.scoring import java, meteor
from stages.scoring.meteor_paraphrases import Paraphrases
from stages.scoring.scores import Unavailable
from tests.scoring.meteor_segments import by_the_jar, segments, some_pairs

SHARED = Path(__file__).parents[3] / "shared"
SEGMENTS = 10_000

pytestmark = [pytest.mark.shared, pytest.mark.slow]


def texts():
    with open(SHARED / "data/e2e/devset.csv", encoding="utf-8", newline="") as table:
        found = [row["ref"] for row in csv.DictReader(table)]
    for file in sorted((SHARED / "golden").glob("*/*/*.txt")):
        if file.name.startswith(("hyp", "refs.")) and file.parents[1].name != "e2e_dev":
            found += file.read_text(encoding="utf-8").split("\n")
    return sorted({text.strip() for text in found if text.strip()})


def test_the_same_statistics():
    try:
        java.find()
    except Unavailable as error:
        pytest.skip(str(error))
    rng = random.Random(20261129)
    paraphrases = Paraphrases.of(meteor.table())
    drawn = segments(rng, texts(), some_pairs(rng, paraphrases, 50_000))
    hypotheses, references = map(list, zip(*islice(drawn, SEGMENTS), strict=True))
    ours, official = meteor.statistics(paraphrases, hypotheses, references), by_the_jar(hypotheses, references)
    by_module = [int((official[:, 4 + 4 * module : 8 + 4 * module].sum(axis=1) > 0).sum()) for module in range(4)]
    print(f"{SEGMENTS} segments, {sum(map(len, references))} references; segments with matches of words, stems, synonyms,"
          f" paraphrases: {by_module}; segments that differ: {int((ours != official).any(axis=1).sum())}")  # fmt: skip
    assert official.shape == (SEGMENTS, 23) and min(by_module) > SEGMENTS / 20
    np.testing.assert_array_equal(ours, official)
