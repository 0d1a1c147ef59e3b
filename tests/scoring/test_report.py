"""JSON and Markdown of invented metrics."""

from stages.scoring import report
from stages.scoring.scores import Unavailable, detail, mean

SUBSETS = ["seen", "new", "seen", "new"]
METRICS = {
    "score": mean([1, 0, 1, 0], decimals=2),
    "words": detail([1, 2, 3, 4]),
    "weighted": mean([1, 1, 1, 0], whole_set_only=True),
    "encoder": Unavailable("needs weights"),
}
OTHER = METRICS | {"score": mean([0, 0, 0, 0], decimals=2)}
WEIGHTED = "weighs by all references, so that the subset's files scored alone give another number"


def test_one_system():
    assert report.as_json(report.rows(METRICS, None, [], False)) == {
        "metrics": {"score": 0.5, "words": 10, "weighted": 0.75, "encoder": None},
        "reasons": {"encoder": "needs weights"},
    }


def test_nothing_beside_the_metrics_where_there_is_nothing():
    assert report.as_json(report.rows({"score": METRICS["score"]}, None, [], False)) == {"metrics": {"score": 0.5}}


def test_subsets():
    answer = report.as_json(report.rows(METRICS, None, SUBSETS, False))
    assert answer["metrics"] == {
        "all": {"score": 0.5, "words": 10, "weighted": 0.75, "encoder": None},
        "seen": {"score": 1, "words": 4, "weighted": None, "encoder": None},
        "new": {"score": 0, "words": 6, "weighted": None, "encoder": None},
    }
    assert answer["reasons"]["all"] == {"encoder": "needs weights"}
    assert answer["reasons"]["new"] == {"weighted": WEIGHTED, "encoder": "needs weights"}
    assert list(answer) == ["metrics", "reasons"]


def test_two_systems():
    answer = report.as_json(report.rows(METRICS, OTHER, [], True))
    assert answer["against"]["metrics"]["score"] == 0
    assert answer["against"]["intervals"]["score"] == {"mean": 0, "low": 0, "high": 0}
    assert answer["against"]["reasons"] == {"encoder": "needs weights"}
    assert set(answer["intervals"]) == set(answer["p_values"]) == {"score", "weighted"}
    assert answer["p_values"]["weighted"] == 1 > answer["p_values"]["score"] > 0
    assert answer["intervals"]["score"]["low"] < 0.5 < answer["intervals"]["score"]["high"]


def test_markdown():
    p_value = report.as_json(report.rows(METRICS, OTHER, [], False))["p_values"]["score"]
    assert report.as_markdown(report.rows(METRICS, OTHER, [], False), METRICS) == (
        "|  | score | words | weighted | encoder |\n"
        "| --- | ---: | ---: | ---: | ---: |\n"
        "| all | 0.50 | 10 | 0.7500 | null |\n"
        "| all, against | 0.00 | 10 | 0.7500 | null |\n"
        f"| all, p | {p_value:.4f} |  | 1.0000 |  |\n"
        "\n"
        "null encoder: needs weights"
    )


def test_markdown_of_subsets_and_intervals():
    table = report.as_markdown(report.rows(METRICS, None, SUBSETS, True), METRICS)
    low, high = (
        report.as_json(report.rows(METRICS, None, [], True))["intervals"]["score"][end] for end in ("low", "high")
    )
    assert f"| all | 0.50 [{low:.2f}, {high:.2f}] | 10 | 0.7500 [" in table
    assert "| seen | 1.00 [1.00, 1.00] | 4 | null | null |" in table
    assert table.endswith(f"\n\nnull encoder: needs weights\n\nnull weighted: {WEIGHTED}")
