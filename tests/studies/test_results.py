"""Means and deviations of hand-made runs, in metrics, tables, pictures and the report."""

import json
from dataclasses import replace
from statistics import stdev

import pytest
import yaml
from matplotlib.figure import Figure

from stages.core.errors import UserError
from stages.core.files import write_json, write_jsonl
from stages.studies import figures, report
from stages.studies.check import settings_of
from stages.studies.grid import cells_of, merged
from stages.studies.paper import PUBLISHED
from stages.studies.plan import METRICS, TESTS
from stages.studies.results import Spread, ahead, scores_of
from stages.studies.summary import numbers, table
from tests.conftest import ROOT


@pytest.fixture
def cells(project):
    raw = yaml.safe_load((project / "params.yaml").read_text())
    raw["studies"]["lowdata"] |= {"sizes": [50, 200], "subsets": 2}
    for variant in raw["studies"]["lowdata"]["variants"].values():
        variant["steps"] = [2, 3]
    (project / "params.yaml").write_text(yaml.safe_dump(raw, sort_keys=False))
    cells = cells_of(raw, "lowdata")
    for number, cell in enumerate(cells):
        write_jsonl(cell.plan.scores / "runs.jsonl", (
            {"subset": run.subset, "seed": run.seed, "BLEU": 0.5 + number / 10 + index / 100, "ROUGE_L": 0.25, "METEOR": None,
             "reasons": {"METEOR": "needs Java"}}
            for index, run in enumerate(cell.plan.runs)
        ))  # fmt: skip
    return cells


@pytest.fixture
def results(cells):
    return [(cell.plan, scores_of(cell.plan)) for cell in cells]


def digests(cells):
    return {cell.name: settings_of(cell).digest for cell in cells}


@pytest.fixture
def found(cells, results):
    return numbers(results, digests(cells))


def test_spread_is_the_samples():
    values = [0.5, 0.51, 0.52, 0.53]
    subsets = (pytest.approx(0.505), pytest.approx(0.525))
    assert Spread.of(values, 2) == Spread(pytest.approx(0.515), pytest.approx(stdev(values)), 0.53, subsets)
    assert Spread.of([0.5], 1) == Spread(0.5, None, 0.5, (0.5,))


def test_what_is_independent_of_a_difference_is_the_subset():
    """Two seeds on the same examples are no two draws: 4 runs of 2 subsets have 2 differences, 0.1 and 0.3."""
    one, other = Spread.of([0.5, 0.7, 0.6, 1.0], 2), Spread.of([0.4, 0.6, 0.5, 0.5], 2)
    assert ahead(one, other) == (pytest.approx(0.2), pytest.approx(0.1))
    one, other = Spread.of([0.5, 0.9], 1), Spread.of([0.4, 0.6], 1)
    assert ahead(one, other) == (pytest.approx(0.2), pytest.approx(0.1)), "of one subset, the runs of the same seed"
    assert ahead(Spread.of([0.5], 1), Spread.of([0.4], 1)) is None, "of one run nothing is known"


def test_metrics(cells, results, found):
    assert found["prefix"] | {"n00200": None} == {
        "model": "mini-gpt2", "task": "mini_e2e", "n00200": None,
        "n00050": {"runs": 4, "settings": settings_of(cells[0]).digest, "BLEU": 0.515, "BLEU_sd": 0.0129, "ROUGE_L": 0.25,
                   "ROUGE_L_sd": 0.0},
    }  # fmt: skip
    behind = {key: value for key, value in found["finetune"]["n00050"].items() if "behind" in key}
    assert behind == {"BLEU_behind": -0.2, "BLEU_behind_se": 0.0, "ROUGE_L_behind": 0.0, "ROUGE_L_behind_se": 0.0}
    write_json(cells[2].plan.scores / TESTS, {"BLEU": 0.00031, "METEOR": 0.5})
    tested = {
        key: value for key, value in numbers(results, digests(cells))["finetune"]["n00050"].items() if "behind" in key
    }
    assert tested == behind | {"BLEU_behind_p": 0.0003}, "a metric that was not computed has no test"
    assert found["finetune"]["n00200"]["BLEU"] == 0.815 and list(found) == ["prefix", "finetune"]
    assert table(results, ["BLEU", "ROUGE_L"]).splitlines()[:6] == [
        "metric,variant,size,prefix_len,mean,low,high",
        "BLEU,prefix,50,20,0.5150,0.5021,0.5279",
        "BLEU,prefix,200,20,0.6150,0.6021,0.6279",
        "BLEU,finetune,50,,0.7150,0.7021,0.7279",
        "BLEU,finetune,200,,0.8150,0.8021,0.8279",
        "ROUGE_L,prefix,50,20,0.2500,0.2500,0.2500",
    ]


def test_runs_of_other_parameters_are_refused(cells):
    plan = cells[0].plan
    rows = [json.loads(line) for line in (plan.scores / "runs.jsonl").read_text().splitlines()]
    write_jsonl(plan.scores / "runs.jsonl", rows[:3])
    said = r"runs.jsonl is of other runs than params.yaml: dvc --cd studies repro summary@lowdata"
    with pytest.raises(UserError, match=said):
        scores_of(plan)


def test_lines_in_bands(results):
    axes = Figure().add_subplot()
    figures.by_size(axes, results, "BLEU")
    assert [line.get_label() for line in axes.lines] == ["prefix", "finetune"]
    assert axes.lines[0].get_xydata().tolist() == [[50, pytest.approx(0.515)], [200, pytest.approx(0.615)]]
    band = axes.collections[0].get_paths()[0].vertices[:, 1]
    assert (band.min(), band.max()) == (
        pytest.approx(0.515 - 0.0129, abs=1e-4),
        pytest.approx(0.615 + 0.0129, abs=1e-4),
    )


def test_all_examples_stand_at_the_right_end(results):
    axes = Figure().add_subplot()
    whole = [(replace(cell, size="full"), scores) if cell.size == 200 else (cell, scores) for cell, scores in results]
    figures.by_size(axes, whole, "BLEU")
    assert axes.lines[0].get_xdata().tolist() == [50, 100]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["50", "full"]
    alone = Figure().add_subplot()
    figures.by_size(alone, whole[1:2], "BLEU")
    assert alone.lines[0].get_xdata().tolist() == [1]


def test_bars_in_groups(results):
    axes = Figure().add_subplot()
    figures.bars(axes, results, "BLEU")
    assert [round(bar.get_height(), 4) for bar in axes.patches] == [0.515, 0.715, 0.615, 0.815]
    places = [bar.get_x() for bar in axes.patches]
    assert places[0] < places[2] < places[1] < places[3], "a variant's sizes side by side"
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["prefix", "finetune"]
    assert 0 < axes.get_ylim()[0] < 0.5 and axes.get_ylim()[1] > 0.83


def test_over_the_length(results):
    axes = Figure().add_subplot()
    figures.by_length(axes, [results[0], results[2]], "BLEU")
    assert axes.lines[0].get_xydata().tolist() == [[20, pytest.approx(0.515)]]
    assert axes.lines[1].get_ydata() == [pytest.approx(0.715)] * 2, "what has no length is a line across"
    axes = Figure().add_subplot()
    figures.by_length(axes, results, "BLEU")
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    assert names == ["50 examples", "200 examples", "finetune, 50", "finetune, 200"], "sizes are not joined to one line"


def test_a_picture_is_the_same_file_again(results, project):
    for name in ("one.png", "two.png"):
        figures.draw(project / name, figures.by_size, results, ("BLEU", "ROUGE_L"), "Low data")
    assert (project / "one.png").read_bytes() == (project / "two.png").read_bytes()


def test_the_report_names_what_was_not_run_and_the_papers_numbers(found, project, capsys):
    found["finetune"]["n00200"]["BLEU_behind_p"] = 0.0003
    write_json(project / METRICS / "lowdata.json", found)
    report.main()
    text = (project / report.OUT).read_text()
    assert capsys.readouterr().out == "studies/metrics/report.md\n"
    assert "mini-gpt2 on mini_e2e, 4 runs a cell" in text
    assert "| prefix | 50 | 4 | 51.50 ± 1.29 | 25.00 ± 0.00 |" in text and "BLEU, ROUGE_L times 100" in text
    assert (
        "| 50 | prefix - finetune | -20.00 ± 0.00 |  |" in text
        and "| 200 | prefix - finetune | -20.00 ± 0.00 | 0.0003 |" in text
    )
    assert "the 2 subsets' differences" in text
    assert "Not run: `dvc --cd studies repro summary@unseen`" in text
    assert "prefix-tuning is above fine-tuning by 2.9 BLEU" in text and (ROOT / "docs/studies.md").exists()


def test_the_papers_numbers_stand_behind_the_variants(cells, project):
    """Of all that the paper gives, also of those that were not run."""
    raw = yaml.safe_load((project / "params.yaml").read_text())
    raw["studies"]["placement"]["variants"] = {
        name: raw["studies"]["placement"]["variants"][name] for name in ("infix_01", "prefix")
    }
    cells, own = (
        cells_of(raw, "placement"),
        {"full": {"runs": 3, "BLEU": 0.8, "BLEU_sd": 0.01, "NIST": 9.876, "NIST_sd": 0.1}},
    )
    own["full"]["settings"] = digests(cells)["prefix-full"]
    file = project / METRICS / "placement.json"
    write_json(file, {"prefix": {"model": "mini-gpt2", "task": "mini_e2e", **own}})
    text = report.section("placement", cells, file)
    assert (
        text[2]
        == "mini-gpt2 on mini_e2e, 3 runs a cell (mean ± standard deviation over them). BLEU times 100, as the papers print them."
    )
    start = text.index("| variant | examples | runs | BLEU | NIST |")
    assert text[start + 2 : start + 6] == [
        "| infix_01 | full | not run | | |",
        "| *infix_01, the paper* | | | *67.9* | *8.63* |",
        "| prefix | full | 3 | 80.00 ± 1.00 | 9.876 ± 0.100 |",
        "| *prefix, the paper* | | | *69.7* | *8.81* |",
    ]
    assert "| *embedding_only_01, the paper* | | | *48.1* | *3.33* |" in text
    assert "The paper's rows: GPT-2 medium on E2E (arXiv v1)." in text


@pytest.mark.parametrize("change", [
    {"run": {"task": "mini_xsum"}}, {"run": {"model": "gpt2-medium"}}, {"subsets": 1}, {"run": {"train": {"batch_size": 3}}},
])  # fmt: skip
def test_numbers_of_other_parameters_are_not_reported(cells, found, project, change):
    raw = yaml.safe_load((project / "params.yaml").read_text())
    write_json(project / METRICS / "lowdata.json", found)
    now = cells_of(merged(raw, {"studies": {"lowdata": change}}), "lowdata")
    text = report.section("lowdata", now, project / METRICS / "lowdata.json")
    said = "prefix-50 was run with other parameters than params.yaml has now: `dvc --cd studies repro summary@lowdata`"
    assert text[2:] == [said, ""]


def test_other_code_leaves_numbers_as_they_are(cells):
    settings = settings_of(cells[0])
    assert replace(settings, code="other").digest == settings.digest != settings_of(cells[1]).digest


def test_models_that_differ_are_named_with_the_variants(cells, results, project):
    two = [replace(cell, raw=cell.raw | {"model": "gpt2"}) if cell.variant == "finetune" else cell for cell in cells]
    write_json(project / METRICS / "lowdata.json", numbers(results, digests(two)))
    text = report.section("lowdata", two, project / METRICS / "lowdata.json")
    assert text[2].startswith("mini-gpt2, gpt2 on mini_e2e, 4 runs")
    assert any(line.startswith("| prefix, mini-gpt2 | 50 |") for line in text)
    assert any(line.startswith("| finetune, gpt2 | 50 |") for line in text)


def test_votes_stand_beside_the_mean_and_the_best(project):
    raw = yaml.safe_load((project / "params.yaml").read_text())
    raw["studies"]["ensemble"] |= {"seeds": [1, 2, 3]}
    [cell] = cells_of(raw, "ensemble")
    write_json(cell.plan.scores / "votes.json", {"accuracy": 0.75})
    write_jsonl(cell.plan.scores / "runs.jsonl", (
        {"subset": 0, "seed": run.seed, "accuracy": accuracy, "reasons": {}}
        for run, accuracy in zip(cell.plan.runs, (0.75, 0.5, 0.25), strict=True)
    ))  # fmt: skip
    found = numbers([(cell.plan, scores_of(cell.plan))], digests([cell]))["prompt_tuning"]["full"]
    assert found | {"settings": ""} == {
        "runs": 3, "settings": "", "accuracy": 0.5, "accuracy_sd": 0.25, "accuracy_best": 0.75, "accuracy_ensemble": 0.75,
    }  # fmt: skip


def test_every_kind_of_axis_has_its_picture(project):
    raw = yaml.safe_load((project / "params.yaml").read_text())
    assert {study["figure"]["x"] for study in raw["studies"].values()} == set(figures.PLOTS)
    assert set(PUBLISHED) <= set(raw["studies"])
