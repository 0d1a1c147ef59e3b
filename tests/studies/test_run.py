"""Which runs train in one batch, and what is refused of the data; the rest as a user runs it: tests/pipeline/test_studies.py."""

import json
from dataclasses import replace

import pytest
import torch
import yaml

import stages.run as one_run
from stages.core.errors import UserError
from stages.core.files import read_json, write_jsonl
from stages.methods import config_from
from stages.studies import run_batch as batch
from stages.studies.check import settings_of
from stages.studies.grid import cells_of
from stages.studies.plan import linearized
from stages.studies.run import batches_of, cache_key, run_all
from stages.studies.run_batch import hypotheses_of, run_batch
from stages.studies.score import score_cell
from stages.studies.selection import check_data, records_to_decode, training_groups
from stages.tasks import task_of


@pytest.fixture
def raw(project):
    return yaml.safe_load((project / "params.yaml").read_text())


def first(raw, study, **changes):
    raw["studies"][study] |= changes
    return cells_of(raw, study)[0]


def plan_of(raw, study, **changes):
    return first(raw, study, **changes).plan


def configured(cell):
    """Settings and configuration of a cell."""
    settings = settings_of(cell)
    return settings, config_from(settings.candidates[0][1])


def batches(cell, on_gpu):
    return batches_of(*configured(cell), on_gpu)


def sizes(cell, on_gpu):
    return [len(runs) for runs in batches(cell, on_gpu)]


def work(cell, directory):
    """All runs of a cell in one batch."""
    run_batch(cell.plan, configured(cell)[1], cell.plan.runs, directory)


def test_runs_train_together_on_a_gpu(raw):
    cell = first(raw, "lowdata")
    assert sizes(cell, on_gpu=True) == [10]
    raw["cells"]["runs_per_batch"] = 4
    assert [sizes(first(raw, "lowdata"), on_gpu) for on_gpu in (True, False)] == [[4, 4, 2]] * 2
    assert [run for runs in batches(first(raw, "lowdata"), True) for run in runs] == cell.plan.runs


@pytest.mark.parametrize(("runs", "expected"), [(1, [1]), (2, [1, 1]), (3, [2, 1]), (10, [5, 5]), (12, [5, 5, 2])])
def test_on_a_cpu_two_processes_have_runs_that_train_together(raw, runs, expected):
    raw["studies"]["lowdata"] |= {"subsets": runs, "seeds": [101]}
    assert sizes(first(raw, "lowdata"), on_gpu=False) == expected


@pytest.mark.parametrize(("tuned", "expected"), [(2, [1, 1, 2, 1]), (5, [1] * 5), (9, [1] * 5)])
def test_runs_that_tune_has_trained_are_not_trained_again_beside_others(raw, tuned, expected):
    """They were trained one at a time: in a batch with a run that is not trained yet, all of it would be trained."""
    values = {"train.lr": [0.001, 0.002]}
    tune = {"values": values, "runs": tuned, "examples": 9, "by": "loss", "best": "lowest"}
    raw["studies"]["lowdata"] |= {"subsets": 5, "seeds": [101]}
    raw["studies"]["lowdata"]["variants"]["prefix"]["tune"] = tune
    cell = first(raw, "lowdata")
    assert sizes(cell, on_gpu=False) == expected
    assert [run for runs in batches(cell, False) for run in runs] == cell.plan.runs


def test_runs_that_would_disturb_each_other_train_alone(raw):
    """Of one model's weights there is one set, and the model's own dropout is drawn for a batch."""
    raw["cells"]["runs_per_batch"] = 4
    finetune = next(cell for cell in cells_of(raw, "lowdata") if cell.variant == "finetune")
    assert sizes(finetune, on_gpu=True) == [1] * 10
    raw["studies"]["lowdata"]["run"]["train"]["lm_dropout"] = True
    assert sizes(first(raw, "lowdata"), on_gpu=True) == [1] * 10


def test_an_error_names_the_run(raw, project):
    """A target that no model can hold is met in the middle of the grid."""
    for split in ("train", "dev", "test"):
        write_jsonl(linearized("mini_e2e") / f"{split}.jsonl", [
            {"id": "0", "source": "name : A", "targets": ["A" + " word" * 600], "group": None, "name": None}
        ])  # fmt: skip
    cell = first(raw, "lowdata", sizes=[1], subsets=2, variants={"prefix": {"run": {"method": "prefix"}}})
    with pytest.raises(UserError, match=r"^study lowdata, cell prefix-1, subset 1 seed 102: .* tokens"):
        run_batch(cell.plan, configured(cell)[1], cell.plan.runs[3:], project / "scratch")


def test_fine_tuning_in_low_data_reads_the_words_that_the_prefix_starts_from(raw, project, monkeypatch):
    """In training, on dev and when it describes (appendix A.2); what is scored is the record as it was."""
    for split in ("train", "dev", "test"):
        write_jsonl(linearized("mini_e2e") / f"{split}.jsonl", [
            {"id": "0", "source": "name : Aromi", "targets": ["Aromi."], "group": None, "name": "Aromi"}
        ])  # fmt: skip
    raw["studies"]["lowdata"] |= {"sizes": [1], "subsets": 1, "seeds": [101]}
    raw["studies"]["lowdata"]["variants"] = {
        name: {"run": variant["run"], "steps": [1]} for name, variant in raw["studies"]["lowdata"]["variants"].items()
    }
    read = []
    encode, decode = one_run.encode, one_run.decode
    monkeypatch.setattr(one_run, "encode", lambda lm, records, *most: encode(lm, kept(records), *most))
    monkeypatch.setattr(one_run, "decode", lambda lm, by, sources, *more: decode(lm, by, kept(sources), *more))

    def kept(texts):
        texts = list(texts)
        read.extend(getattr(text, "source", text) for text in texts)
        return texts

    for cell in cells_of(raw, "lowdata"):
        work(cell, project / cell.name)
    assert read == ["name : Aromi"] * 3 + ["In words: name : Aromi"] * 3
    assert configured(cells_of(raw, "lowdata")[0])[1].options["prefix"].init_words == "In words:"


def test_a_run_whose_model_was_not_saved_whole_trains_again(raw, project):
    """Killed between the making of its directory and the renaming of the model into it."""
    for split in ("train", "dev", "test"):
        write_jsonl(linearized("mini_e2e") / f"{split}.jsonl", [
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
    work(cell, project / "scratch")
    left = [path.name for path in (project / "scratch/0-101").iterdir() if path.suffix != ".jsonl"]
    assert sorted(left) == ["costs.json", "hypotheses.json"]


@pytest.mark.slow
def test_a_batch_that_is_killed_while_it_writes_says_the_same(raw, project, monkeypatch):
    """All its runs stand in the batches again, though the texts of some are written."""
    for split in ("train", "dev", "test"):
        write_jsonl(linearized("mini_e2e") / f"{split}.jsonl", (
            {"id": f"{i}", "source": f"name : {i}", "targets": [f"It is {i}."], "group": None, "name": None} for i in range(4)
        ))  # fmt: skip
    raw["studies"]["lowdata"]["run"]["cells"] = {"runs_per_batch": 3}
    cell = first(
        raw,
        "lowdata",
        sizes=[2],
        subsets=1,
        seeds=[1, 2, 3],
        variants={"prefix": {"run": {"method": "prefix"}, "steps": [1]}},
    )
    real, decode, runs, written = batch.write_json, one_run.decode, [], []
    monkeypatch.setattr(one_run, "decode", lambda *given: runs.append(given[-1]) or decode(*given))

    def killed(path, value):
        if len(written) == 1:
            raise KeyboardInterrupt
        written.append(path)
        real(path, value)

    work(cell, project / "straight")
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(batch, "write_json", killed)
        work(cell, project / "killed")
    work(cell, project / "killed")
    assert runs == [3, 3, 3]
    for run in cell.plan.runs:
        assert (project / "killed" / run.name / "hypotheses.json").read_bytes() == (
            project / "straight" / run.name / "hypotheses.json"
        ).read_bytes()
        assert not (project / "killed" / run.name / "model").exists()


def test_work_of_a_gpu_is_not_gone_on_with_on_a_cpu(raw, monkeypatch):
    """Runs that train together there train alone here, and numbers are rounded otherwise."""
    cell = cells_of(raw, "lowdata")[0]
    settings = settings_of(cell)
    here = cache_key(settings)
    assert cache_key(settings) == here
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)
    assert cache_key(settings) != here


def test_work_of_other_code_is_not_gone_on_with(raw):
    settings = settings_of(first(raw, "lowdata"))
    assert cache_key(replace(settings, code="other")) != cache_key(settings)


@pytest.mark.parametrize("method", ["prompt_tuning", pytest.param("lora", marks=pytest.mark.slow)])
def test_runs_that_train_together_answer_in_one_pass_and_vote(raw, project, monkeypatch, method):
    """With what they would say one by one; the study of ensembles is one of such runs, on a CPU too."""
    for split in ("train", "dev", "test"):
        write_jsonl(linearized("mini_rte") / f"{split}.jsonl", (
            {"id": f"{i}", "source": f"premise: It is {i}. hypothesis: It is {i % 3}.", "group": None, "name": None,
             "targets": ["entailment" if i % 3 == i else "not_entailment"]} for i in range(12)
        ))  # fmt: skip
    study = raw["studies"]["ensemble"]
    assert sizes(cells_of(raw, "ensemble")[0], on_gpu=False) == [5]
    # Adafactor's first step is one of signs, which rounding may turn: it must not be long.
    study["run"]["train"] |= {"steps": 3, "eval_every": 2, "lr": 0.001}
    study["run"]["prefix_len"] = 4
    study["variants"] = {method: {"run": {"method": method}}}
    passes, said = [], {}
    decode = one_run.decode
    monkeypatch.setattr(one_run, "decode", lambda *given: passes.append(given[-1]) or decode(*given))
    for size in (3, 1):
        study["run"]["cells"]["runs_per_batch"] = size
        cell, directory = first(raw, "ensemble", seeds=[1, 2, 3]), project / f"scratch-{size}"
        run_all(*configured(cell), directory, processes=1)
        said[size] = [hypotheses_of(run, directory) for run in cell.plan.runs]
    assert [count for count in passes if isinstance(count, int)] == [3] and said[3] == said[1]


@pytest.fixture
def news(raw, project):
    """Five articles of sport and of the world in each split."""
    for split in ("train", "dev", "test"):
        write_jsonl(linearized("mini_xsum") / f"{split}.jsonl", (
            {"id": f"{i}", "source": f"article {i}", "targets": ["a", "b"], "group": "sport" if i % 2 else "world", "name": None}
            for i in range(10)
        ))  # fmt: skip
    return raw


def test_records_of_groups_are_described(news):
    cell = first(news, "news_to_sports", groups={"train": ["world"], "test": ["sport"]})
    assert [record.id for record in records_to_decode(cell.plan)] == ["1", "3", "5", "7", "9"]
    assert [record.id for record in records_to_decode(plan_of(news, "news_to_sports", test=2))] == ["1", "3"]
    assert len(records_to_decode(plan_of(news, "news_to_sports", groups=None, test="full"))) == 10


def test_all_groups_are_learnt_but_those_that_are_described(news):
    """News to sports: whatever topics a data set has (section 6.4)."""
    cell = first(news, "news_to_sports")
    assert cell.grid.groups.train is None and training_groups(cell.plan) == {"world"}
    assert [record.group for record in records_to_decode(cell.plan)] == ["sport"] * 5
    check_data(cell.plan)
    with pytest.raises(
        UserError, match=r"groups: no training example of mini_xsum is left beside those of \['sport', 'world'\]"
    ):
        check_data(plan_of(news, "news_to_sports", groups={"train": None, "test": ["sport", "world"]}))


def test_a_rare_topic_need_not_be_in_the_dev_split(news):
    """Where the topics are those that the data happen to have; topics that a study names must be there."""
    for split, rare in (("train", "travel"), ("dev", "world")):
        write_jsonl(linearized("mini_xsum") / f"{split}.jsonl", (
            {"id": f"{i}", "source": "a", "targets": ["b"], "group": rare if i else "world", "name": None} for i in range(3)
        ))  # fmt: skip
    check_data(plan_of(news, "news_to_sports"))
    with pytest.raises(UserError, match="groups: mini_xsum has no dev record of travel: it has world"):
        check_data(plan_of(news, "news_to_sports", groups={"train": ["travel"], "test": ["sport"]}))


def test_what_the_data_lacks_is_named(news):
    groups = {"train": ["world"], "test": ["sport"]}
    check_data(plan_of(news, "news_to_sports", groups=groups, sizes=[10, "full"]))
    with pytest.raises(UserError, match=r"news_to_sports.sizes: 11 is more than the 10 training examples of mini_xsum"):
        check_data(plan_of(news, "news_to_sports", groups=groups, sizes=[11]))
    check_data(plan_of(news, "news_to_sports", groups=groups, sizes=[10], test=5))
    with pytest.raises(UserError, match=r"news_to_sports.test: 6 is more than the 5 test records of mini_xsum"):
        check_data(plan_of(news, "news_to_sports", groups=groups, test=6))
    with pytest.raises(UserError, match="groups: mini_xsum has no test record of spots: it has sport, world"):
        check_data(plan_of(news, "news_to_sports", groups=groups | {"test": ["spots"]}))


def test_runs_of_a_task_with_classes_vote(raw, project):
    """Three runs, four records: two of three right is right; texts cannot vote."""
    plan = plan_of(raw, "ensemble", seeds=[1, 2, 3])
    yes, no = "entailment", "not_entailment"
    golds, said = [yes, no, yes, no], [[yes, no, no, no], [yes, yes, yes, "?"], [no, no, no, yes]]
    write_jsonl(plan.linearized / "test.jsonl", (
        {"id": f"{i}", "source": "a", "targets": [gold]} for i, gold in enumerate(golds)
    ))  # fmt: skip
    write_jsonl(plan.out / "hypotheses.jsonl", (
        {"subset": 0, "seed": run.seed, "id": f"{i}", "hypothesis": text}
        for run, texts in zip(plan.runs, said, strict=True) for i, text in enumerate(texts)
    ))  # fmt: skip
    task = task_of("mini_rte")
    with task.metrics.scorer() as scorer:
        score_cell(plan, task, scorer, project / "scores")
        # yes, no, no, and of three answers once each the first, no
        assert read_json(project / "scores/votes.json") == {"accuracy": 0.75}
        score_cell(plan, replace(task, votes=False), scorer, project / "texts")
        assert not (project / "texts/votes.json").exists()
        rows = [json.loads(line) for line in (project / "scores/runs.jsonl").read_text().splitlines()]
        assert [row["accuracy"] for row in rows] == [0.75, 0.5, 0.25]
        with pytest.raises(
            UserError, match=r"hypotheses.jsonl is of other runs than params.yaml: dvc --cd studies repro"
        ):
            score_cell(replace(plan, seeds=(1, 2)), task, scorer, project / "other")
