"""Means and deviations of hand-made runs, in metrics, tables, pictures and the report."""

import hashlib
import json
from dataclasses import replace
from statistics import stdev

import pytest
import yaml
from matplotlib.figure import Figure
from stages.studies.ensemble import voted
from stages.studies.settings import file_of, settings_of

from stages.core.errors import UserError
from stages.core.files import write_json, write_jsonl
from stages.studies import figures, report
from stages.studies.data import directory_of
from stages.studies.grid import VOTES, cells_of, merged
from stages.studies.paper import STUDIES, shown_of
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
        write_jsonl(cell.out / "runs.jsonl", (
            {"subset": run.subset, "seed": run.seed, "BLEU": 0.5 + number / 10 + index / 100, "ROUGE_L": 0.25, "METEOR": None,
             "reasons": {"METEOR": "needs Java"}}
            for index, run in enumerate(cell.runs)
        ))  # fmt: skip
    return cells


@pytest.fixture
def results(cells):
    return [(cell, scores_of(cell)) for cell in cells]


def test_spread_is_the_samples():
    values = [0.5, 0.51, 0.52, 0.53]
    subsets = (pytest.approx(0.505), pytest.approx(0.525))
    assert Spread.of(values, 2) == Spread(pytest.approx(0.515), pytest.approx(stdev(values)), 0.53, subsets)
    assert Spread.of([0.5], 1) == Spread(0.5, None, 0.5, (0.5,))


def test_what_is_independent_of_a_difference_is_the_subset():
    """Two seeds on the same examples are no two draws: 4 runs of 2 subsets have 2 differences, 0.1 and 0.3."""
    one, other = Spread.of([0.5, 0.7, 0.6, 1.0], 2), Spread.of([0.4, 0.6, 0.5, 0.5], 2)
    assert ahead(one, other) == (pytest.approx(0.2), pytest.approx(0.1))
    assert ahead(Spread.of([0.5, 0.7], 1), Spread.of([0.4, 0.6], 1)) is None, "of one subset nothing is known"


def test_metrics(results):
    found = numbers(results)
    assert found["prefix"] | {"n00200": None} == {
        "model": "mini-gpt2", "task": "mini_e2e", "n00200": None,
        "n00050": {"runs": 4, "BLEU": 0.515, "BLEU_sd": 0.0129, "ROUGE_L": 0.25, "ROUGE_L_sd": 0.0},
    }  # fmt: skip
    behind = {key: value for key, value in found["finetune"]["n00050"].items() if "behind" in key}
    assert behind == {"BLEU_behind": -0.2, "BLEU_behind_se": 0.0, "ROUGE_L_behind": 0.0, "ROUGE_L_behind_se": 0.0}
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
    rows = [json.loads(line) for line in (cells[0].out / "runs.jsonl").read_text().splitlines()]
    write_jsonl(cells[0].out / "runs.jsonl", rows[:3])
    with pytest.raises(UserError, match=r"runs.jsonl is of other runs than params.yaml: dvc repro .*dvc.yaml:lowdata"):
        scores_of(cells[0])


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


def test_the_report_names_what_was_not_run_and_the_papers_numbers(results, project, capsys):
    (project / "metrics").mkdir()
    (project / "metrics/lowdata.json").write_text(json.dumps(numbers(results)))
    report.main()
    text = (project / report.OUT).read_text()
    assert capsys.readouterr().out == "metrics/report.md\n"
    assert "mini-gpt2 on mini_e2e, 4 runs a cell" in text
    assert "| prefix | 50 | 4 | 51.50 ± 1.29 | 25.00 ± 0.00 |" in text and "BLEU, ROUGE_L times 100" in text
    assert "| 50 | prefix - finetune | -20.00 ± 0.00 |" in text and "the 2 subsets' differences" in text
    assert "Not run: `dvc repro stages/studies/dvc.yaml:unseen`" in text
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
    file = project / "metrics/placement.json"
    write_json(file, {"prefix": {"model": "mini-gpt2", "task": "mini_e2e", **own}})
    text = report.section("placement", cells, file, {})
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


@pytest.mark.parametrize(("change", "said"), [
    ({"run": {"task": "mini_xsum"}}, "mini-gpt2 on mini_xsum, 4 runs"),
    ({"run": {"model": "gpt2-medium"}}, "gpt2-medium on mini_e2e, 4 runs"),
    ({"subsets": 1}, "mini-gpt2 on mini_e2e, 2 runs"),
])  # fmt: skip
def test_numbers_of_other_parameters_are_not_reported(cells, results, project, change, said):
    raw = yaml.safe_load((project / "params.yaml").read_text())
    (project / "metrics").mkdir()
    write_json(project / "metrics/lowdata.json", numbers(results))
    now = cells_of(merged(raw, {"studies": {"lowdata": change}}), "lowdata")
    text = report.section("lowdata", now, project / "metrics/lowdata.json", {})
    wanted = f"(prefix-50 was run with mini-gpt2 on mini_e2e, 4 runs, params.yaml says {said})"
    assert text[2:] == [f"Run with other parameters {wanted}: `dvc repro stages/studies/dvc.yaml:lowdata`", ""]


@pytest.mark.parametrize("key", ["lr", "batch_size"])
def test_numbers_of_other_settings_are_not_reported(cells, results, project, key):
    """As DVC has locked them, whichever they are."""
    write_json(project / "metrics/lowdata.json", numbers(results))
    for cell in cells:
        write_json(project / file_of(cell), settings_of(cell))
    lock = {f"lowdata-cell@{cell.name}": {"deps": [
        {"path": "stages/models", "md5": "0.dir"},
        {"path": file_of(cell).as_posix(), "md5": hashlib.md5((project / file_of(cell)).read_bytes()).hexdigest()},
    ]} for cell in cells}  # fmt: skip
    (project / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": lock}))
    locked = report.settings_in(project / "dvc.lock")
    assert len(locked) == len(cells)
    file = project / "metrics/lowdata.json"
    assert "4 runs a cell" in "".join(report.section("lowdata", cells, file, locked))
    changed = [
        replace(cell, raw=merged(cell.raw, {"train": {key: 3}})) if cell.variant == "finetune" else cell
        for cell in cells
    ]
    text = report.section("lowdata", changed, file, locked)
    said = f"finetune-50 was run with others than {file_of(cells[2])} has now"
    assert text[2:] == [f"Run with other parameters ({said}): `dvc repro stages/studies/dvc.yaml:lowdata`", ""]
    assert report.settings_in(project / "none.lock") == {}


def test_models_that_differ_are_named_with_the_variants(cells, results, project):
    write_json(project / "metrics/lowdata.json", numbers(results))
    found = json.loads((project / "metrics/lowdata.json").read_text())
    found["finetune"]["model"] = "gpt2"
    write_json(project / "metrics/lowdata.json", found)
    two = [replace(cell, raw=cell.raw | {"model": "gpt2"}) if cell.variant == "finetune" else cell for cell in cells]
    text = report.section("lowdata", two, project / "metrics/lowdata.json", {})
    assert text[2].startswith("mini-gpt2, gpt2 on mini_e2e, 4 runs")
    assert any(line.startswith("| prefix, mini-gpt2 | 50 |") for line in text)
    assert any(line.startswith("| finetune, gpt2 | 50 |") for line in text)


def test_a_study_of_ones_own_is_bars_under_its_name():
    assert shown_of("mine").title == "mine" and shown_of("mine").how is figures.bars
    assert shown_of("lengths") is STUDIES["lengths"]


def test_runs_of_a_task_with_classes_vote(project):
    """Three runs, four records: two of three right is right."""
    raw = yaml.safe_load((project / "params.yaml").read_text())
    raw["studies"]["ensemble"] |= {"seeds": [1, 2, 3]}
    [cell] = cells_of(raw, "ensemble")
    yes, no = "entailment", "not_entailment"
    golds, said = [yes, no, yes, no], [[yes, no, no, no], [yes, yes, yes, "?"], [no, no, no, yes]]
    write_jsonl(directory_of("mini_rte") / "test.jsonl", (
        {"id": f"{i}", "source": "a", "targets": [gold]} for i, gold in enumerate(golds)
    ))  # fmt: skip
    votes = voted(cell, said)
    assert votes == {"accuracy": 0.75}  # yes, no, no, and of three answers once each the first, no
    assert voted(cell, said[:1]) == {}, "of one run"
    write_json(cell.out / VOTES, votes)
    write_jsonl(cell.out / "runs.jsonl", (
        {"subset": 0, "seed": run.seed, "accuracy": accuracy, "reasons": {}}
        for run, accuracy in zip(cell.runs, (0.75, 0.5, 0.25), strict=True)
    ))  # fmt: skip
    assert numbers([(cell, scores_of(cell))])["prompt_tuning"]["full"] == {
        "runs": 3, "accuracy": 0.5, "accuracy_sd": 0.25, "accuracy_best": 0.75, "accuracy_ensemble": 0.75,
    }  # fmt: skip


def test_texts_do_not_vote(cells, results):
    assert voted(cells[0], [["a"], ["a"]]) == {}
    assert "ensemble" not in str(numbers(results))
