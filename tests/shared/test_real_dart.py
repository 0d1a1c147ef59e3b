"""DART's own files: counts, exact linearized strings, and the official references, which the texts give exactly."""

import json
from collections import Counter
from pathlib import Path

import pytest

from stages import params
from stages.tasks import Linearize, dart

pytestmark = [pytest.mark.shared, pytest.mark.slow]
SHARED = Path(__file__).parents[3] / "shared"


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    """The official files; the dev file is the train set too, for the train file is not here."""
    source = params.load(Path(__file__).parents[2] / "params.yaml").sources["dart"]
    out = tmp_path_factory.mktemp("dart") / "raw"
    dart.download(source.model_copy(update={"root": str(SHARED / "data/dart"), "train": source.dev}), out)
    return out


@pytest.fixture(scope="module")
def splits(raw):
    return dart.linearize(raw, Linearize(tokenize_targets=False, authors_first_entry=False))


def test_counts(splits):
    counts = {split: (len(records), sum(len(r.targets) for r in records)) for split, records in splits.items()}
    assert counts == {"train": (2_768, 6_980), "dev": (2_768, 6_980), "test": (5_097, 11_245)}
    assert Counter(len(r.targets) for r in splits["test"]) == {3: 2_527, 2: 1_094, 1: 1_476}
    assert all(target and "\r" not in target for records in splits.values() for r in records for target in r.targets)


def test_linearized_strings(splits):
    dev, test = ([r.source for r in splits[split]] for split in ("dev", "test"))
    assert dev[0] == "Mars Hill College : joined : 1973 | Mars Hill College : location : Mars Hill, North Carolina"
    assert dev[3] == (
        "Queens University of Charlotte : nickname : Royals | Queens University of Charlotte : enrollment : 2386"
    )
    assert dev[104] == "ÍR : position : 4"
    assert test[0] == (
        "Hawaii Five-O : notes : Episode: The Flight of the Jewels | [TABLECONTEXT] : [title] : Jeff Daniels | "
        "[TABLECONTEXT] : title : Hawaii Five-O"
    )
    assert test[94] == "1 : attendance : 8,024"


def test_the_references_are_the_texts(raw, splits):
    """Letters and digits first, whatever the preparation; then what makes the references of the texts."""
    entries = json.loads((raw / "dart-v1.1.1-full-test.json").read_text(encoding="utf-8"))
    texts = [[a["text"] for a in entry["annotations"] if a["text"].strip()] for entry in entries]

    def bare(text):
        return "".join(filter(str.isalnum, text.lower()))

    assert all(bare(ours[0]) == bare(r.targets[0]) for ours, r in zip(texts, splits["test"], strict=True))
    assert [[dart.as_references(text) for text in ours[:3]] for ours in texts] == [r.targets for r in splits["test"]]
