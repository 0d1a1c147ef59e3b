"""`python -m stages.generate`: JSON lines in, JSON lines out, the texts those of the pipeline."""

import io
import json

import pytest

from stages import generate
from stages.core.record import Record
from stages.decoding.beam import Search
from stages.decoding.sampling import Sampling
from stages.methods.parts import saved
from stages.models.identity import base_model_id
from stages.models.load import load
from stages.run import load_runs, predict
from stages.serving.bank import PrefixBank
from stages.serving.engine import Engine, Request, run_all
from tests.conftest import change, config_of
from tests.serving.test_engine import alone, prefixes_of

SOURCES = ["name : The Oak | Type : pub", "name : Elm | food : Thai", "name : Ash | area : riverside | price : high"]


@pytest.fixture
def bank(project):
    """`bank` with runs `a` and `b` of mini-gpt2, of 2 and 5 virtual tokens."""
    lm = load("data/base/mini-gpt2", "mini-gpt2", "main")
    bank = PrefixBank(project / "bank", lm, 2**20)
    for name, state in zip("ab", prefixes_of(lm, [2, 5]), strict=True):
        saved.save(project / name, config_of(), state, base_model_id(lm))
        bank.add(name, project / name)
    change(project, "threads", 1)
    change(project, "decode.max_new_tokens", 8)
    return bank


def call(monkeypatch, capsys, *arguments, text=""):
    monkeypatch.setattr("sys.argv", ["generate", *arguments])
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    generate.main()
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_texts_in_order_as_the_pipeline_writes_them(bank, project, monkeypatch, capsys):
    asked = [{"model": name, "prompt": source, "n": n} for n, source in enumerate(SOURCES) for name in "ab"]
    asked.append({"prompt": SOURCES[0]})
    (project / "in.jsonl").write_text("\n".join(map(json.dumps, asked)) + "\n\n")
    found = call(monkeypatch, capsys, "--bank", "bank", "in.jsonl")
    assert [{key: value for key, value in one.items() if key != "text"} for one in found] == asked
    config = config_of(threads=1, decode={"max_new_tokens": 8})
    lm = load("data/base/mini-gpt2", "mini-gpt2", "main")
    records = [Record(str(n), source, []) for n, source in enumerate(SOURCES)]
    texts = predict(lm, load_runs([project / "a", project / "b"], lm, config), records, config, [project / "x"] * 2)
    for name, own in zip("ab", texts, strict=True):
        assert [one["text"] for one in found if one.get("model") == name] == own
    done = call(monkeypatch, capsys, "--bank", "bank", "--as-done", text="\n".join(map(json.dumps, asked)))
    assert sorted(map(json.dumps, done)) == sorted(map(json.dumps, found))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"model": "a"}', 'standard input, line 2: not {"model": ..., "prompt": a text}'),
        ('["a"]', 'standard input, line 2: not {"model": ..., "prompt": a text}'),
        ('{"model": 3, "prompt": "x"}', "standard input, line 2: model is no text"),
        ("{", "standard input, line 2: not JSON"),
        ('{"model": "zoe", "prompt": "x"}', "has no prefix zoe"),
    ],
)
def test_a_wrong_line_is_named(bank, monkeypatch, capsys, line, said):
    first = json.dumps({"model": "a", "prompt": SOURCES[0]})
    with pytest.raises(SystemExit) as error:
        call(monkeypatch, capsys, "--bank", "bank", text=f"{first}\n{line}\n")
    assert said in str(error.value)


def test_a_file_that_is_not_utf8_is_one_line(bank, project, monkeypatch, capsys):
    (project / "in.jsonl").write_bytes(b'{"model": "a", "prompt": "caf\xe9"}\n')
    with pytest.raises(SystemExit, match=r"in\.jsonl is not UTF-8 \(byte 0xe9\)"):
        call(monkeypatch, capsys, "--bank", "bank", "in.jsonl")


def test_a_bank_that_is_empty_or_of_another_model(bank, project, monkeypatch, capsys):
    with pytest.raises(SystemExit, match=r"none holds no prefix: python -m stages\.bank add none NAME"):
        call(monkeypatch, capsys, "--bank", "none")
    with pytest.raises(SystemExit, match=r"cannot read nothing\.jsonl: No such file"):
        call(monkeypatch, capsys, "--bank", "bank", "nothing.jsonl")
    file = project / "bank/a/config.json"
    config = json.loads(file.read_text())
    file.write_text(json.dumps(config | {"base_model_fingerprint": "0" * 16}))
    with pytest.raises(SystemExit, match=r"bank/a is of another model: its base_model_fingerprint is 0000"):
        call(monkeypatch, capsys, "--bank", "bank", text='{"model": "b", "prompt": "x"}')


@pytest.mark.slow
@pytest.mark.parametrize("model", ["mini-gpt2", "mini-bart"])
def test_thirty_two_prefixes_of_1_to_200_answer_200_requests(project, model):
    """Greedy and by beams, in one batch: the tokens of each request are those of it alone."""
    lm = load(f"data/base/{model}", model, "main")
    bank, lengths = PrefixBank(project / "bank", lm, 2**30), [1 + 199 * number // 31 for number in range(32)]
    for number, state in enumerate(prefixes_of(lm, lengths)):
        saved.save(project / "run", config_of(), state, base_model_id(lm))
        bank.add(f"user-{number}", project / "run")
    beams, greedy = Search(4, 1.0, 12, lm.end), Search(1, 1.0, 12, lm.end)
    asked = [
        Request(f"user-{7 * i % 32}", f"{SOURCES[i % 3]} | near : {i}", Sampling(12) if i % 2 else beams)
        for i in range(200)
    ]
    found = {index: ids for index, ids, _ in run_all(Engine(lm, bank, 48, 16), asked)}
    assert len(found) == 200 and len({tuple(ids) for ids in found.values()}) > 100
    for index, one in enumerate(asked):
        search = beams if one.options == beams else greedy
        assert found[index] == alone(lm, bank.get(one.model), one.prompt, search), index
