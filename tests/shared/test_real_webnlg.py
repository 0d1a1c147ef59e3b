"""The challenge's own files: counts, exact linearized strings, and the references that its scripts use."""

from collections import Counter
from pathlib import Path

import pytest

from stages import params
from stages.core.files import TextFile
from stages.scoring.formats import read_references
from stages.scoring.segments import collapse
from stages.scoring.webnlg import prepare_reference
from stages.tasks import webnlg

pytestmark = [pytest.mark.shared, pytest.mark.slow]
SHARED = Path(__file__).parents[3] / "shared"


@pytest.fixture(scope="module")
def splits(tmp_path_factory):
    chosen = params.load(Path(__file__).parents[2] / "params.yaml")
    raw = tmp_path_factory.mktemp("webnlg") / "raw"
    webnlg.download(chosen.sources["webnlg"].model_copy(update={"root": str(SHARED / "data/webnlg")}), raw)
    return webnlg.linearize(raw, chosen.linearize)


def test_counts(splits):
    assert {split: len(records) for split, records in splits.items()} == {"train": 6_935, "dev": 871, "test": 1_862}
    assert sum(len(r.targets) for r in splits["train"]) == 18_025
    assert sum(len(r.targets) for r in splits["dev"]) == 2_258
    assert sum(len(r.targets) for r in splits["test"]) == 4_928
    assert Counter(r.group for r in splits["test"]) == {"seen": 971, "unseen": 891}


def test_linearized_strings(splits):
    sources = {split: [r.source for r in records] for split, records in splits.items()}
    assert sources["dev"][0] == " | Aarhus : leaderName : Jacob_Bundsgaard"
    assert sources["test"][0] == " | Abilene_Regional_Airport : cityServed : Abilene,_Texas"
    assert sources["test"][1] == (
        ' | Adolfo_Suárez_Madrid–Barajas_Airport : location : "Madrid, Paracuellos de Jarama, San Sebastián de los Reyes '
        'and Alcobendas"'
    )
    assert (
        " | Adirondack_Regional_Airport : elevationAboveTheSeaLevel_(in_metres) : 507" in sources["dev"]
        and " | Adirondack_Regional_Airport : location : Harrietstown,_New_York" in sources["dev"]
    )


def test_references_are_the_official_ones(splits):
    case = SHARED / "golden/webnlg_test/melbourne"
    official = read_references([TextFile(path) for path in sorted(case.glob("refs.*.txt"))]).values
    official = [[collapse(text) for text in segment if text] for segment in official]
    ours = [[collapse(prepare_reference(text)) for text in r.targets[:3]] for r in splits["test"]]
    assert ours == official
