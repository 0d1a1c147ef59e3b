"""What the outputs of a study's variants look like: length, variety, fields left out."""

import pytest
import yaml

from stages.core.errors import UserError
from stages.core.files import write_jsonl
from stages.core.record import Record, write_records
from stages.studies import outputs
from stages.studies.grid import cells_of, merged
from stages.studies.plan import linearized
from stages.tasks import task_of

RECORDS = [
    Record("a", "name : Oak | area : riverside", ["Oak is by the river.", "Oak."]),
    Record("b", "name : Elm", ["Elm is a pub."]),
]


def test_a_text_for_each_record():
    found = outputs.Outputs.of(task_of("e2e"), ["Oak is here.", "Elm"], RECORDS)
    assert found == outputs.Outputs(2.0, 1.0, 0.5, {"name": 1.0, "area": 0.0})
    assert outputs.Outputs.of(task_of("xsum"), ["same", "same"], RECORDS) == outputs.Outputs(1.0, 0.5, None, {})
    several = outputs.Outputs.mean([found, outputs.Outputs(4.0, 0.5, 1.0, {"name": 0.5, "area": 1.0})])
    assert several == outputs.Outputs(3.0, 0.75, 0.75, {"name": 0.75, "area": 0.5})


@pytest.fixture
def study(project):
    """One cell of two runs on two records, of a study of e2e."""
    raw = yaml.safe_load((project / "params.yaml").read_text())
    raw["studies"]["lowdata"] = merged(raw["studies"]["lowdata"], {
        "run": {"task": "e2e"}, "sizes": [1, 2], "subsets": 2, "seeds": [101], "test": "full",
    })  # fmt: skip
    for variant in raw["studies"]["lowdata"]["variants"].values():
        variant["steps"] = [1, 1]
    (project / "params.yaml").write_text(yaml.safe_dump(raw, sort_keys=False))
    write_records(linearized("e2e") / "test.jsonl", RECORDS)
    return cells_of(raw, "lowdata")


def test_a_row_for_each_cell_that_was_run(study, project, capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["outputs", "lowdata"])
    with pytest.raises(SystemExit, match=r"study lowdata has not been run: dvc --cd studies repro summary@lowdata"):
        outputs.main()
    plan = study[1].plan
    write_jsonl(plan.out / "hypotheses.jsonl", (
        {"subset": run.subset, "seed": run.seed, "id": record.id, "hypothesis": text}
        for run, texts in zip(plan.runs, (["Oak, by the river", "Elm"], ["a pub", "a pub"]), strict=True)
        for record, text in zip(RECORDS, texts, strict=True)
    ))  # fmt: skip
    outputs.main()
    assert capsys.readouterr().out.splitlines() == [
        "|  | examples | words | distinct | all fields | name | area |",
        "|---|---:|---:|---:|---:|---:|---:|",
        "| references |  | 3.3 | 100.0 | 66.7 | 100.0 | 50.0 |",
        "| prefix | 2 | 2.2 | 75.0 | 50.0 | 50.0 | 50.0 |",
    ]


def test_one_study_is_asked_for(monkeypatch, project):
    monkeypatch.setattr("sys.argv", ["outputs"])
    with pytest.raises(SystemExit, match=r"give the name of one study: python -m stages\.studies\.outputs STUDY"):
        outputs.main()
    with pytest.raises(UserError, match=r"studies has .*, no nothing"):
        outputs.rows_of("nothing")
