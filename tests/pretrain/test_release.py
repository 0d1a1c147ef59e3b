"""The gate and the card: what misses a bound is refused in one line and writes nothing; what passes says how it was made."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from safetensors.numpy import load_file

from stages.core.files import sha256
from stages.pretrain import release
from stages.pretrain.gate import bound, misses
from stages.pretrain.made import made
from stages.pretrain.section import Bounds

ROOT = Path(__file__).parents[2]
BOUNDS = Bounds(
    least={"copying": {"first_name": 0.9}, "style": {"lower": 0.5}},
    most={"in_context": {"added": 0.1}, "loss": {"told": 1.5}},
)
GOOD = {"copying": {"first_name": 0.9}, "style": {"lower": 1.0}, "in_context": {"added": 0.1}, "loss": {"told": 1.25}}
MADE = {
    "seconds": 3541, "documents": 1000, "tokens": 123456, "steps": 77, "threads": 1, "machine": "A machine", "corpus": "c0ffee"
}  # fmt: skip


def test_bounds_are_inclusive():
    assert misses(GOOD, BOUNDS) == []


@pytest.mark.parametrize(
    ("probe", "measure", "value", "said"),
    [
        ("copying", "first_name", 0.8999, "copying.first_name 0.8999 (at least 0.9)"),
        ("in_context", "added", 0.2, "in_context.added 0.2 (at most 0.1)"),
        ("loss", "told", 1.6, "loss.told 1.6 (at most 1.5)"),
        ("style", "lower", None, "style.lower not measured (at least 0.5)"),
    ],
)
def test_what_is_missed_is_named(probe, measure, value, said):
    assert misses(GOOD | {probe: {measure: value}}, BOUNDS) == [said]


def test_a_measure_that_nobody_took_misses_its_bound():
    assert misses({}, BOUNDS) == [
        "copying.first_name not measured (at least 0.9)", "style.lower not measured (at least 0.5)",
        "in_context.added not measured (at most 0.1)", "loss.told not measured (at most 1.5)",
    ]  # fmt: skip


def test_bounds_as_people_write_them():
    both = Bounds(least={"a": {"b": 0.5}}, most={"a": {"b": 1.0}})
    assert [bound(both, *of) for of in (("a", "b"), ("a", "c"), ("b", "b"))] == ["at least 0.5, at most 1", "", ""]


def test_made_is_what_the_card_reads(tmp_path):
    (tmp_path / "train.npy").write_bytes(b"tokens")
    noted = made(12.6, 3, 400, 5, 1, tmp_path / "train.npy").noted()
    assert set(noted) == set(MADE) and noted["seconds"] == 13 and noted["machine"]
    assert noted["corpus"] == sha256(tmp_path / "train.npy")


@pytest.fixture
def pretrained(project, monkeypatch):
    """A repository in which both models are pretrained and probed, and good enough."""
    (project / "data/base").unlink()  # a link to the project's own
    raw = yaml.safe_load((project / "params.yaml").read_text())
    for name, training, probes in (
        ("mini-gpt2", "pretrain", "probes_gpt2"), ("mini-bart", "denoise", "probes_bart")
    ):  # fmt: skip
        shutil.copytree(ROOT / "data/base" / name, project / "pretrain/data" / name)
        (project / "pretrain/data" / name / "README.md").unlink(missing_ok=True)
        bounds = {"least": {"copying": {"first_name": 0.9}}, "most": {"loss": {"told": 1.5}}}
        raw["probes"]["bounds"][name] = bounds
        weights = sha256(project / "pretrain/data" / name / "model.safetensors")
        write(project / f"pretrain/metrics/{training}.json", {"loss": {"told": 1.25}, "made": MADE})
        write(
            project / f"pretrain/metrics/{probes}.json",
            {"copying": {"first_name": 0.9432, "second_name": None}, "weights": weights},
        )
    (project / "params.yaml").write_text(yaml.safe_dump(raw, sort_keys=False))
    git("init", "-q")
    git("add", "params.yaml")
    git("-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "all")
    monkeypatch.setattr(sys, "argv", ["release"])
    return project


def git(*arguments):
    return subprocess.run(["git", *arguments], check=True, capture_output=True, text=True).stdout.strip()


def write(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def changed(path, **values):
    write(path, json.loads(path.read_text()) | values)


def refused(project) -> str:
    """The line that `release` ends with; nothing is written."""
    with pytest.raises(SystemExit) as end:
        release.main()
    assert not (project / "data/base").exists()
    assert "\n" not in str(end.value.code) and str(end.value.code).startswith("error: ")
    return end.value.code


def test_both_models_are_released_with_cards(pretrained, capsys):
    release.main()
    assert capsys.readouterr().out == "released data/base/mini-gpt2\nreleased data/base/mini-bart\n"
    for name, kind in (
        ("mini-gpt2", "`GPT2LMHeadModel`: 6 layers"),
        ("mini-bart", "`BartForConditionalGeneration`: 3 + 3 layers"),
    ):
        source, released = pretrained / "pretrain/data" / name, pretrained / "data/base" / name
        for file in source.iterdir():
            assert (released / file.name).read_bytes() == file.read_bytes()
        text = (released / "README.md").read_text()
        assert text.startswith(f"# {name}\n") and kind in text
        for said in ("seed 1; sha256 of its tokens c0ffee", "| read | 1,000 documents, 123,456 tokens |", "| steps | 77 |",
                     "| time | 60 minutes with 1 thread(s) on A machine |", f"| commit | {git('rev-parse', 'HEAD')} |",
                     "| copying | first_name | 0.9432 | at least 0.9 |", "| copying | second_name | none |  |",
                     "| loss | told | 1.25 | at most 1.5 |", f"stages.pretrain.release {name}\n", "must not be used"):  # fmt: skip
            assert said in text
        assert "{" not in text


def test_a_card_counts_the_parameters_that_are_stored(pretrained):
    release.main()
    for released in (pretrained / "data/base").iterdir():
        stored = sum(weight.size for weight in load_file(released / "model.safetensors").values())
        assert f" {stored:,} parameters in 16 bits" in (released / "README.md").read_text()


def test_a_card_is_the_same_but_for_commit_and_date(pretrained, monkeypatch):
    def text(commit, date):
        monkeypatch.setattr(release, "origin", lambda: release.Origin(commit, date))
        release.main()
        return (pretrained / "data/base/mini-gpt2/README.md").read_text()

    assert text("one", "2001-01-01") == text("two", "2002-02-02").replace("two", "one").replace(
        "2002-02-02", "2001-01-01"
    )


def test_one_model_is_released_alone(pretrained, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["release", "mini-bart"])
    changed(pretrained / "pretrain/metrics/probes_gpt2.json", copying={"first_name": 0.1})
    release.main()
    assert [path.name for path in (pretrained / "data/base").iterdir()] == ["mini-bart"]


def test_changes_that_no_commit_holds_are_on_the_card(pretrained):
    with open(pretrained / "params.yaml", "a") as file:
        file.write("# changed\n")
    release.main()
    assert "with changes in params.yaml |" in (pretrained / "data/base/mini-bart/README.md").read_text()


def test_a_model_that_misses_a_bound_holds_back_all(pretrained):
    changed(pretrained / "pretrain/metrics/probes_bart.json", copying={"first_name": 0.61})
    changed(pretrained / "pretrain/metrics/denoise.json", loss={})
    assert refused(pretrained) == (
        "error: mini-bart is not good enough: copying.first_name 0.61 (at least 0.9), loss.told not measured (at most 1.5)"
    )


def test_probes_of_other_weights_are_refused(pretrained):
    with open(pretrained / "pretrain/data/mini-gpt2/model.safetensors", "ab") as file:
        file.write(b" ")
    assert "pretrain/metrics/probes_gpt2.json is of other weights than pretrain/data/mini-gpt2" in refused(pretrained)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("pretrain/metrics/probes_gpt2.json", "pretrain/metrics/probes_gpt2.json is missing"),
        ("pretrain/metrics/denoise.json", "pretrain/metrics/denoise.json is missing"),
        ("pretrain/data/mini-bart/model.safetensors", "pretrain/data/mini-bart holds no model"),
    ],
)
def test_what_is_missing_is_named(pretrained, path, said):
    (pretrained / path).unlink()
    assert said in refused(pretrained)


def test_training_that_says_nothing_of_itself_is_refused(pretrained):
    changed(pretrained / "pretrain/metrics/pretrain.json", made={"seconds": 1})
    assert "pretrain/metrics/pretrain.json does not say how mini-gpt2 was made" in refused(pretrained)


def test_outside_a_repository_nothing_is_released(pretrained):
    shutil.rmtree(pretrained / ".git")
    assert "no git repository" in refused(pretrained)


def test_an_unknown_model_is_named(pretrained, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["release", "mini-gpt3"])
    assert "no such model: mini-gpt3; there are mini-gpt2 and mini-bart" in refused(pretrained)
