"""The commands, as users type them: each way it goes, and one line for each way it does not."""

import json
import runpy
import sys
from functools import partial

import pytest
from huggingface_hub import HfApi

from stages import export as exporting
from stages.core.errors import UserError
from stages.exchange import hub, importing
from stages.export import export
from stages.methods.parts import saved
from tests.conftest import ROOT
from tests.exchange.conftest import save


def typed(monkeypatch, main, *words):
    monkeypatch.setattr(sys, "argv", ["command", *map(str, words)])
    main()


@pytest.fixture
def run(opened, tmp_path):
    return save(opened("mini-gpt2").lm, "prefix", tmp_path / "run")


def test_out_and_in_as_programs(project, run, tmp_path, monkeypatch, capsys):
    """`import` is a keyword of Python, and a file of that name is a program nevertheless."""
    said = []
    for program, *words in (
        ["export", run, tmp_path / "peft", "--format", "peft", "--license", "mit"],
        ["import", tmp_path / "peft", tmp_path / "back", "--model", "mini-gpt2"],
    ):
        typed(monkeypatch, partial(runpy.run_module, f"stages.{program}", run_name="__main__"), *words)
        said.append(capsys.readouterr().out)
    assert said == [
        f"{tmp_path}/peft: peft, README.md, adapter_config.json, adapter_model.safetensors, origin.json\n",
        f"{tmp_path}/back: a run of prefix of length 5 on mini-gpt2, 15,360 numbers\n",
    ]
    assert (tmp_path / "back/prefix.safetensors").read_bytes() == (run / "prefix.safetensors").read_bytes()
    assert "license: mit\n" in (tmp_path / "peft/README.md").read_text()
    with pytest.raises(SystemExit, match=r"^error: .*back exists: delete it, or give another name$"):
        typed(monkeypatch, importing.main, tmp_path / "peft", tmp_path / "back", "--model", "mini-gpt2")


class FakeApi:
    """What the hub was asked."""

    def __init__(self, *_, **__):
        self.asked = []

    def create_repo(self, repo_id, **options):
        self.asked.append(("create", repo_id, options))

    def upload_folder(self, *, repo_id, folder_path, commit_message):
        self.asked.append(("upload", repo_id, sorted(path.name for path in folder_path.iterdir()), commit_message))
        return f"https://huggingface.co/{repo_id}/tree/main"


def test_an_export_is_pushed(project, run, tmp_path, monkeypatch, capsys):
    api = FakeApi()
    monkeypatch.setattr(exporting, "HfApi", lambda: api)
    typed(monkeypatch, exporting.main, run, tmp_path / "out", "--format", "kv", "--push", "me/a-prefix")
    assert api.asked == [
        ("create", "me/a-prefix", {"private": True, "exist_ok": True}),
        ("upload", "me/a-prefix", ["README.md", "kv.json", "kv.safetensors"], "Export of a trained run"),
    ]
    assert capsys.readouterr().out.splitlines()[-1] == "https://huggingface.co/me/a-prefix/tree/main"


def test_an_export_alone_asks_the_hub_for_nothing(project, run, tmp_path, monkeypatch):
    monkeypatch.setattr(exporting, "HfApi", lambda: pytest.fail("the hub was asked"))
    typed(monkeypatch, exporting.main, run, tmp_path / "out", "--format", "peft")


def test_an_adapter_is_downloaded(project, run, opened, tmp_path, monkeypatch, capsys):
    two, asked = opened("mini-gpt2"), []
    export(run, tmp_path / "elsewhere", "peft", two.lm)

    class Api(FakeApi):
        def snapshot_download(self, repo_id, *, revision, allow_patterns):
            asked.append((repo_id, revision, allow_patterns))
            return str(tmp_path / "elsewhere")

    monkeypatch.setattr(importing, "HfApi", Api)
    typed(
        monkeypatch, importing.main, "me/a-prefix", tmp_path / "in", "--model", "mini-gpt2", "--hub", "--revision", "v1"
    )
    typed(monkeypatch, importing.main, "me/a-prefix", tmp_path / "in2", "--model", "mini-gpt2", "--hub")
    files = ["adapter_config.json", "adapter_model.safetensors", "origin.json"]
    assert asked == [("me/a-prefix", "v1", files), ("me/a-prefix", None, files)]
    assert saved.state_of(tmp_path / "in").keys() == {"decoder"}


def test_without_a_network_it_is_one_line(run, tmp_path, monkeypatch):
    """The real client, at an address where nothing listens."""
    api = HfApi(endpoint="http://127.0.0.1:9", token="hf_none")
    with pytest.raises(UserError) as error:
        hub.push(run, "me/a-prefix", api)
    assert str(error.value).startswith(f"{run} is written, but cannot be pushed to me/a-prefix: are network and token ")
    with pytest.raises(UserError) as other:
        hub.download("me/a-prefix", None, api)
    assert str(other.value).startswith(
        "cannot download me/a-prefix from the Hugging Face hub: download it elsewhere and give its directory ("
    )
    assert all("\n" not in str(one.value) for one in (error, other))


@pytest.mark.parametrize(("words", "message"), [
    (["{run}", "{here}", "--format", "peft"], "error: {here} exists: delete it, or give another name"),
    (["nowhere", "{here}/out", "--format", "kv"], "error: cannot read nowhere/config.json: No such file or directory"),
])  # fmt: skip
def test_what_cannot_be_exported(project, run, tmp_path, monkeypatch, words, message):
    places = {"run": run, "here": tmp_path}
    with pytest.raises(SystemExit, match=message.format(**places)):
        typed(monkeypatch, exporting.main, *(word.format(**places) for word in words))


def test_wrong_arguments(project, monkeypatch, capsys):
    for main, words, message in (
        (exporting.main, ["run", "out"], "the following arguments are required: --format"),
        (exporting.main, ["run", "out", "--format", "gguf"], "invalid choice: 'gguf' (choose from"),
        (importing.main, ["peft", "out"], "the following arguments are required: --model"),
        (importing.main, ["peft", "out", "--model", "m", "--revision", "v1"], "--revision is of an adapter from the hub: add --hub"),
    ):  # fmt: skip
        with pytest.raises(SystemExit):
            typed(monkeypatch, main, *words)
        assert message in capsys.readouterr().err


def test_the_model_may_lie_elsewhere(project, run, tmp_path, monkeypatch):
    """And PEFT's users may find it under another name still."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.symlink_to(ROOT / "data/base/mini-gpt2")
    typed(
        monkeypatch, exporting.main, run, tmp_path / "out", "--format", "peft", "--model", elsewhere, "--base-name", "me/gpt",
    )  # fmt: skip
    assert json.loads((tmp_path / "out/adapter_config.json").read_text())["base_model_name_or_path"] == "me/gpt"
