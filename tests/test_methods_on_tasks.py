"""Every method on every mini task that it fits: train, decode and score as the stages do, on a few examples."""

import json

import pytest
import torch
import yaml
from safetensors.torch import load_file

from stages import decode, download, linearize, run, score, subsample, train
from stages.core.errors import UserError
from stages.decoding import texts
from stages.methods import module_of, names
from stages.methods.parts import saved
from stages.methods.parts.given import RUN
from stages.training import loop as engine
from tests.conftest import merged, project_params

FIRST_METRIC = {
    "mini_e2e": "BLEU", "mini_webnlg": "BLEU_unseen", "mini_xsum": "rouge1", "mini_rte": "accuracy", "mini_conll2003": "F1",
}  # fmt: skip
FAMILY = {"mini-gpt2": "decoder-only", "mini-bart": "encoder-decoder", "minilm": "encoder"}
PAIRS = [(task, "mini-gpt2") for task in ("mini_e2e", "mini_webnlg", "mini_xsum")]
PAIRS += [("mini_xsum", "mini-bart"), ("mini_rte", "mini-bart"), ("mini_rte", "minilm"), ("mini_conll2003", "minilm")]
OF_MINILM = ("prefix", "apt", "linear_probe", "lora", "finetune")  # the other methods have no recipe
FITTING = [
    (task, model, method) for task, model in PAIRS for method in names()
    if FAMILY[model] in module_of(method).FAMILIES and (model != "minilm" or method in OF_MINILM)
]  # fmt: skip
# The quick tier has each method once, and each model with its own task.
FIRST = {method: (task, model) for task, model, method in reversed(FITTING)} | {"prefix": ("mini_xsum", "mini-bart")}
RUNS = [
    pytest.param(*one, marks=[] if FIRST[one[2]] == one[:2] else pytest.mark.slow, id="-".join(one)) for one in FITTING
]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """One directory for all runs: a task's data are made once."""
    return tmp_path_factory.mktemp("runs")


@pytest.fixture
def configure(project, data, monkeypatch):
    monkeypatch.chdir(data)
    if not (data / "data/base").exists():
        (data / "data").mkdir()
        (data / "data/base").symlink_to((project / "data/base").resolve())
        saved.write(data / "kept", "prompt_tuning", {"embeddings": torch.randn(1, 3, 20)}, {})
    settled = torch.are_deterministic_algorithms_enabled(), torch.get_num_threads()

    def write(**changes):
        small = {
            "train": {"steps": 2, "batch_size": 2},
            "decode": {"beam": 2, "max_new_tokens": 12},
            "threads": 1,
            "methods": {"prompt_projection": {"source": "kept"}, "in_context": {"examples": 1}},
            "sources": {mini: {"train": 12, "dev": 6, "test": 6} for mini in FIRST_METRIC},
        }
        (data / "params.yaml").write_text(yaml.safe_dump(merged(merged(project_params(), small), changes)))

    yield write
    torch.use_deterministic_algorithms(settled[0])
    torch.set_num_threads(settled[1])


@pytest.mark.parametrize(("task", "model", "method"), RUNS)
def test_a_run_end_to_end(configure, data, task, model, method, capsys):
    configure(task=task, model=model, method=method)
    if not (data / "data/linearized" / task).exists():
        download.main()
        linearize.main()
    subsample.main()
    train.main()
    decode.main()
    counts = json.loads((data / "metrics/train.json").read_text())
    assert (
        f"{method} on {task}, {model}: {counts['parameters_trained']:,} parameters trained" in capsys.readouterr().out
    )
    assert (counts["parameters_trained"] > 0) == (method not in ("none", "in_context"))
    head = 10_000 if model == "minilm" else 0  # at most, of so few classes
    assert counts["parameters_stored"] <= counts["parameters_of_model"] + head
    rows = [json.loads(line) for line in (data / "data/run/predictions.jsonl").read_text().splitlines()]
    assert len(rows) == 6 and all(row["references"] for row in rows)
    if method == "finetune":  # starts Java for some
        score.main()
        assert isinstance(json.loads((data / "metrics/scores.json").read_text())[FIRST_METRIC[task]], float)


@pytest.mark.parametrize(
    ("task", "model"), [("mini_e2e", "mini-gpt2"), ("mini_rte", "mini-bart"), ("mini_rte", "minilm")]
)
def test_words_before_the_source(configure, data, task, model, monkeypatch):
    """The model reads them in training, on dev and when it answers; what is kept for people is the source."""
    configure(task=task, model=model, method="finetune", source_words="In words:")
    download.main()
    linearize.main()
    subsample.main()
    read = {"trained": [], "tested": []}

    def spied(stage, name, where, place):
        real = getattr(stage, name)

        def spy(*given):
            texts = list(given[place])
            own = (
                text if isinstance(text, str) else text.parts[0][0] if model == "minilm" else text.source
                for text in texts
            )
            read[where].extend(own)
            return real(*given[:place], texts, *given[place + 1 :])

        monkeypatch.setattr(stage, name, spy)

    spied(run, "encode", "trained", 1)
    spied(run, "classify" if model == "minilm" else "decode", "tested", 2)
    train.main()
    decode.main()
    assert read["trained"] and len(read["tested"]) == 6
    assert all(text.startswith("In words: ") for texts in read.values() for text in texts)
    rows = [json.loads(line) for line in (data / "data/run/predictions.jsonl").read_text().splitlines()]
    assert not any("In words" in row["source"] for row in rows)


@pytest.mark.slow
@pytest.mark.parametrize(("model", "method"), [("minilm", "apt"), ("mini-bart", "prefix")])
def test_what_was_done_outlives_what_cannot_be_written(configure, data, monkeypatch, model, method):
    """As on a full disk: the same command goes on from the checkpoint, and a beam search from its last batches."""
    configure(task="mini_rte", model=model, method=method)
    for stage in (download, linearize, subsample, train, decode):
        stage.main()
    out, said = data / f"data/run/model/{method}.safetensors", data / "data/run/predictions.jsonl"
    expected = out.read_bytes(), said.read_bytes()
    work = {"steps": 0, "searches": 0}

    def counting(module, name, what):
        real = getattr(module, name)

        def spy(*given):
            work[what] += 1
            return real(*given)

        monkeypatch.setattr(module, name, spy)

    counting(engine, "backward", "steps")
    counting(texts, "search_runs", "searches")
    monkeypatch.setattr(engine, "CHECKPOINT_SECONDS", -1)
    monkeypatch.setattr(engine, "CHECKPOINT_SHARE", float("inf"))

    def failing(path, *given):
        if path in (RUN, decode.OUT):
            raise UserError("cannot write")
        return real_write(path, *given)

    real_write = decode.write_jsonl
    for stage, name in ((train, "stages.methods.parts.saved.save"), (decode, "stages.decode.write_jsonl")):
        with monkeypatch.context() as patched, pytest.raises(SystemExit, match="cannot write"):
            patched.setattr(name, failing)
            stage.main()
        kept = list((data / ".scratch").glob("*/*"))
        assert len(kept) == (1 if stage is train or model == "mini-bart" else 0)  # encoders classify at once
        done = dict(work)
        stage.main()
        assert work == done, "nothing is left to do"
        assert not list((data / ".scratch").glob("*/"))
    assert (out.read_bytes(), said.read_bytes()) == expected


def test_another_tasks_prompt_as_it_is(configure, data):
    """Prompt transfer: no step is trained, and what answers is the prompt that was given."""
    configure(task="mini_rte", model="mini-bart", method="prompt_tuning")
    for stage in (download, linearize, subsample, train):
        stage.main()
    trained = data / "data/run/model"
    trained.rename(data / "prompt_of_rte")
    first = load_file(data / "prompt_of_rte/prompt_tuning.safetensors")["embeddings"]
    configure(
        task="mini_xsum",
        model="mini-bart",
        method="prompt_tuning",
        methods={"prompt_tuning": {"init": "file", "file": "prompt_of_rte"}},
        train={"steps": 0},
    )
    for stage in (download, linearize, subsample, train, decode):
        stage.main()
    assert torch.equal(load_file(trained / "prompt_tuning.safetensors")["embeddings"], first)
    assert json.loads((data / "metrics/train.json").read_text())["loss"] is None
    assert len((data / "data/run/predictions.jsonl").read_text().splitlines()) == 6


def test_a_method_that_does_not_fit(configure):
    configure(task="mini_xsum", model="mini-bart", method="infix")
    with pytest.raises(SystemExit) as ended:
        train.main()
    assert str(ended.value) == (
        "error: params.yaml: method infix is not for encoder-decoder models such as mini-bart; "
        "adapter, adapter_small, finetune, ft_top2, lora, none, prefix, prompt_projection, prompt_tuning are"
    )
