"""What `make repro` prints of costs: exact text, with a dash where a product's costs are not known."""

import json
from dataclasses import asdict

from stages.core.costs import Cost
from stages.core.stage_costs import COSTS, write_stage_cost
from stages.summary import costs_table

PRODUCTS = {
    "download": "data/raw/mini_e2e", "linearize": "data/linearized/mini_e2e", "subsample": "data/run/train",
    "train": "data/run/model", "decode": "data/run/predictions.jsonl", "score": "metrics/scores.json",
}  # fmt: skip
TABLE = """\
  stage         seconds  CPU seconds  peak MB
  download          0.2          0.1       42
  linearize         0.9          1.0       51
  subsample         0.1          0.1       40
  train            61.2        100.7      731
  decode           45.0         80.0      702
  score             9.9         12.3     1234"""
COSTS_OF = {
    "download": (0.16, 0.12, 41.6), "linearize": (0.94, 1.0, 50.6), "subsample": (0.1, 0.1, 40.0),
    "train": (61.23, 100.66, 731.4), "decode": (45.0, 80.0, 702.0), "score": (9.9, 12.3, 1234.0),
}  # fmt: skip


def test_the_table_of_costs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for stage, place in PRODUCTS.items():
        product = tmp_path / place
        product.parent.mkdir(parents=True, exist_ok=True)
        product.write_text(stage)
        write_stage_cost(stage, product)
        file = COSTS / f"{stage}.json"
        cost = asdict(Cost(*COSTS_OF[stage], peak_is_own=True, gpu_peak_mb=None))
        file.write_text(json.dumps(json.loads(file.read_text()) | {"cost": cost}))
    assert costs_table("mini_e2e") == TABLE
    (tmp_path / "data/run/model").write_text("of another run")
    lines = TABLE.splitlines()
    lines[4] = "  train               -            -        -"
    assert costs_table("mini_e2e").splitlines() == [
        *lines,
        "  -: not run now: its output was there already, or in DVC's cache",
    ]
