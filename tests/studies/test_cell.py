"""Which runs train together, and what is refused of the data; the rest as a user runs it: tests/pipeline/test_studies.py."""

import pytest
import torch
import yaml
from stages.studies.cell import check_data, files_of, gangs, what_decides, work_off
from stages.studies.ensemble import voted
from stages.studies.gang import test_records as records_to_describe

import stages.decode
from stages.core.errors import UserError
from stages.core.files import write_jsonl
from stages.decode import decode
from stages.studies import gang
from stages.studies.data import directory_of
from stages.studies.grid import cells_of
from tests.conftest import ROOT


@pytest.fixture
def raw(project):
    return yaml.safe_load((project / "params.yaml").read_text())


def first(raw, study, **changes):
    raw["studies"][study] |= changes
    return cells_of(raw, study)[0]


def sizes(cell, on_gpu):
    return [len(runs) for runs in gangs(cell, on_gpu)]


def test_runs_train_together_on_a_gpu(raw):
    cell = first(raw, "lowdata")
    assert sizes(cell, on_gpu=True) == [10] and sizes(cell, on_gpu=False) == [1] * 10
    raw["cells"]["together"] = 4
    assert [sizes(first(raw, "lowdata"), on_gpu) for on_gpu in (True, False)] == [[4, 4, 2]] * 2
    assert [run for runs in gangs(first(raw, "lowdata"), True) for run in runs] == cell.runs


def test_runs_that_would_disturb_each_other_train_alone(raw):
    """Of one model's weights there is one set, and the model's own dropout is drawn for a batch."""
    raw["cells"]["together"] = 4
    finetune = next(cell for cell in cells_of(raw, "lowdata") if cell.variant == "finetune")
    assert sizes(finetune, on_gpu=True) == [1] * 10
    raw["studies"]["lowdata"]["run"]["train"]["lm_dropout"] = True
    assert sizes(first(raw, "lowdata"), on_gpu=True) == [1] * 10


def test_an_error_names_the_run(raw, project):
    """A target that no model can hold is met in the middle of the grid."""
    for split in ("train", "dev", "test"):
        write_jsonl(directory_of("mini_e2e") / f"{split}.jsonl", [
            {"id": "0", "source": "name : A", "targets": ["A" + " word" * 600], "group": None, "name": None}
        ])  # fmt: skip
    cell = first(raw, "lowdata", sizes=[1], subsets=2, variants={"prefix": {"run": {"method": "prefix"}}})
    with pytest.raises(UserError, match=r"^study lowdata, cell prefix-1, subset 1 seed 102: .* tokens"):
        gang.work(cell, cell.runs[3:], project / "scratch")


def test_fine_tuning_in_low_data_reads_the_words_that_the_prefix_starts_from(raw, project, monkeypatch):
    """In training, on dev and when it describes (appendix A.2); what is scored is the record as it was."""
    for split in ("train", "dev", "test"):
        write_jsonl(directory_of("mini_e2e") / f"{split}.jsonl", [
            {"id": "0", "source": "name : Aromi", "targets": ["Aromi."], "group": None, "name": "Aromi"}
        ])  # fmt: skip
    raw["studies"]["lowdata"] |= {"sizes": [1], "subsets": 1, "seeds": [101]}
    raw["studies"]["lowdata"]["variants"] = {
        name: {"run": variant["run"], "steps": [1]} for name, variant in raw["studies"]["lowdata"]["variants"].items()
    }
    read = []
    encode, decode = gang.encode, stages.decode.decode
    monkeypatch.setattr(gang, "encode", lambda lm, records, *most: encode(lm, kept(records), *most))
    monkeypatch.setattr(stages.decode, "decode", lambda lm, by, sources, *more: decode(lm, by, kept(sources), *more))

    def kept(texts):
        texts = list(texts)
        read.extend(getattr(text, "source", text) for text in texts)
        return texts

    for cell in cells_of(raw, "lowdata"):
        gang.work(cell, cell.runs, project / cell.name)
    assert read == ["name : Aromi"] * 3 + ["In words: name : Aromi"] * 3
    assert cells_of(raw, "lowdata")[0].first.prefix.init_words == "In words:"


def test_a_run_whose_model_was_not_saved_whole_trains_again(raw, project):
    """Killed between the making of its directory and the renaming of the model into it."""
    for split in ("train", "dev", "test"):
        write_jsonl(directory_of("mini_e2e") / f"{split}.jsonl", [
            {"id": "0", "source": "name : Aromi", "targets": ["Aromi."], "group": None, "name": "Aromi"}
        ])  # fmt: skip
    cell = first(
        raw,
        "lowdata",
        sizes=[1],
        subsets=1,
        seeds=[101],
        variants={"prefix": {"run": {"method": "prefix"}, "steps": [1]}},
    )
    (project / "scratch/0-101").mkdir(parents=True)
    gang.work(cell, cell.runs, project / "scratch")
    assert [path.name for path in (project / "scratch/0-101").iterdir() if path.suffix != ".jsonl"] == [
        "hypotheses.json"
    ]


def test_a_gang_that_is_killed_while_it_writes_says_the_same(raw, project, monkeypatch):
    """All its runs stand in the batches again, though the texts of some are written."""
    for split in ("train", "dev", "test"):
        write_jsonl(directory_of("mini_e2e") / f"{split}.jsonl", (
            {"id": f"{i}", "source": f"name : {i}", "targets": [f"It is {i}."], "group": None, "name": None} for i in range(4)
        ))  # fmt: skip
    raw["studies"]["lowdata"]["run"]["cells"] = {"together": 3}
    cell = first(
        raw,
        "lowdata",
        sizes=[2],
        subsets=1,
        seeds=[1, 2, 3],
        variants={"prefix": {"run": {"method": "prefix"}, "steps": [1]}},
    )
    real, runs, written = gang.write_json, [], []
    monkeypatch.setattr(gang, "decode", lambda *given: runs.append(given[-1]) or decode(*given))

    def killed(path, value):
        if len(written) == 1:
            raise KeyboardInterrupt
        written.append(path)
        real(path, value)

    gang.work(cell, cell.runs, project / "straight")
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(gang, "write_json", killed)
        gang.work(cell, cell.runs, project / "killed")
    gang.work(cell, cell.runs, project / "killed")
    assert runs == [3, 3, 3]
    for run in cell.runs:
        assert (project / "killed" / run.name / "hypotheses.json").read_bytes() == (
            project / "straight" / run.name / "hypotheses.json"
        ).read_bytes()
        assert not (project / "killed" / run.name / "model").exists()


def test_work_of_a_gpu_is_not_gone_on_with_on_a_cpu(raw, monkeypatch):
    """Runs that train together there train alone here, and numbers are rounded otherwise."""
    cell = cells_of(raw, "lowdata")[0]
    here = what_decides(cell)
    assert what_decides(cell) == here
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)
    assert what_decides(cell) != here


def test_what_a_cell_resumes_by_is_what_dvc_runs_it_again_by(raw):
    """Else runs of other code would be taken for its own."""
    stages = yaml.safe_load((ROOT / "stages/studies/dvc.yaml").read_text())["stages"]
    files = {file.resolve() for file in files_of(first(raw, "lowdata"))}
    deps = [ROOT / dep for dep in stages["lowdata-cell"]["deps"] if dep.startswith("stages/")]
    missing = [dep for dep in deps if not {dep, *dep.glob("*.py")} & files]
    assert len(deps) > 15 and not missing
    assert all(set(dep.glob("*.py")) <= files for dep in deps)


def test_runs_that_train_together_answer_in_one_pass_and_vote(raw, project, monkeypatch):
    """With what they would say one by one; the study of ensembles is one of such runs, on a CPU too."""
    for split in ("train", "dev", "test"):
        write_jsonl(directory_of("mini_rte") / f"{split}.jsonl", (
            {"id": f"{i}", "source": f"premise: It is {i}. hypothesis: It is {i % 3}.", "group": None, "name": None,
             "targets": ["entailment" if i % 3 == i else "not_entailment"]} for i in range(12)
        ))  # fmt: skip
    study = raw["studies"]["ensemble"]
    assert [len(runs) for runs in gangs(cells_of(raw, "ensemble")[0], on_gpu=False)] == [5]
    # Adafactor's first step is one of signs, which rounding may turn: it must not be long.
    study["run"]["train"] |= {"steps": 3, "eval_every": 2, "lr": 0.001}
    study["run"]["prefix_len"] = 4
    passes, said = [], {}
    monkeypatch.setattr(gang, "decode", lambda *given: passes.append(given[-1]) or decode(*given))
    for together in (3, 1):
        study["run"]["cells"]["together"] = together
        cell, directory = first(raw, "ensemble", seeds=[1, 2, 3]), project / f"scratch-{together}"
        work_off(cell, directory)
        said[together] = [gang.result_of(run, directory)["hypotheses"] for run in cell.runs]
    assert passes == [3] and said[3] == said[1]
    answers = [[text for _, text in texts] for texts in said[3]]
    assert set(voted(cell, answers)) == {"accuracy"}


@pytest.fixture
def news(raw, project):
    """Five articles of sport and of the world in each split."""
    for split in ("train", "dev", "test"):
        write_jsonl(directory_of("mini_xsum") / f"{split}.jsonl", (
            {"id": f"{i}", "source": f"article {i}", "targets": ["a", "b"], "group": "sport" if i % 2 else "world", "name": None}
            for i in range(10)
        ))  # fmt: skip
    return raw


def test_records_of_groups_are_described(news):
    cell = first(news, "news_to_sports", groups={"train": ["world"], "test": ["sport"]})
    assert [record.id for record in records_to_describe(cell)] == ["1", "3", "5", "7", "9"]
    assert [record.id for record in records_to_describe(first(news, "news_to_sports", test=2))] == ["1", "3"]
    assert len(records_to_describe(first(news, "news_to_sports", groups=None, test="full"))) == 10


def test_all_groups_are_learnt_but_those_that_are_described(news):
    """News to sports: whatever topics a data set has (section 6.4)."""
    cell = first(news, "news_to_sports")
    assert cell.grid.groups.train is None and gang.groups_to_train(cell) == {"world"}
    assert [record.group for record in records_to_describe(cell)] == ["sport"] * 5
    check_data(cell)
    with pytest.raises(
        UserError, match=r"groups: no training example of mini_xsum is left beside those of \['sport', 'world'\]"
    ):
        check_data(first(news, "news_to_sports", groups={"train": None, "test": ["sport", "world"]}))


def test_a_rare_topic_need_not_be_in_the_dev_split(news):
    """Where the topics are those that the data happen to have; topics that a study names must be there."""
    for split, rare in (("train", "travel"), ("dev", "world")):
        write_jsonl(directory_of("mini_xsum") / f"{split}.jsonl", (
            {"id": f"{i}", "source": "a", "targets": ["b"], "group": rare if i else "world", "name": None} for i in range(3)
        ))  # fmt: skip
    check_data(first(news, "news_to_sports"))
    with pytest.raises(UserError, match="groups: mini_xsum has no dev record of travel: it has world"):
        check_data(first(news, "news_to_sports", groups={"train": ["travel"], "test": ["sport"]}))


def test_what_the_data_lacks_is_named(news):
    groups = {"train": ["world"], "test": ["sport"]}
    check_data(first(news, "news_to_sports", groups=groups, sizes=[10, "full"]))
    with pytest.raises(UserError, match=r"news_to_sports.sizes: 11 is more than the 10 training examples of mini_xsum"):
        check_data(first(news, "news_to_sports", groups=groups, sizes=[10, 11]))
    check_data(first(news, "news_to_sports", groups=groups, sizes=[10], test=5))
    with pytest.raises(UserError, match=r"news_to_sports.test: 6 is more than the 5 test records of mini_xsum"):
        check_data(first(news, "news_to_sports", groups=groups, test=6))
    with pytest.raises(UserError, match="groups: mini_xsum has no test record of spots: it has sport, world"):
        check_data(first(news, "news_to_sports", groups=groups | {"test": ["spots"]}))
