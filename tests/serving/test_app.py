"""The server beside OpenAI's own client: models, completions, streams, limits, and what happens when someone leaves."""

import json
import threading
import time

import openai
import pytest

from stages.decoding.beam import Search
from stages.decoding.sampling import Sampling
from stages.methods.parts import saved
from stages.models.identity import base_model_id
from stages.serving.engine import Engine, Request
from tests.conftest import config_of, tiny_gpt2
from tests.serving.served import MOST, client_of, expected, expected_text, get, post, served, text
from tests.serving.test_engine import PROMPTS, alone, filled, prefixes_of


@pytest.fixture(scope="module")
def lm(tokenizer):
    return tiny_gpt2(tokenizer)


@pytest.fixture(scope="module")
def bank(lm, tmp_path_factory):
    return filled(lm, tmp_path_factory.mktemp("served") / "bank")


@pytest.fixture(scope="module")
def server(lm, bank):
    with served(lm, bank) as found:
        yield found


@pytest.fixture(scope="module")
def client(server):
    return client_of(server[0])


def test_models(client, lm):
    found = {model.id: model.parent for model in client.models.list()}
    assert found == {lm.name: None} | dict.fromkeys(["p0", "p1", "p2", "v0", "v1"], lm.name)


def test_greedy_texts_of_several_prompts_and_their_usage(client, lm, bank):
    for model in ("p1", "v0", lm.name):
        found = client.completions.create(model=model, prompt=PROMPTS[:3], max_tokens=9, temperature=0)
        wanted = [expected_text(lm, bank, model, prompt, Sampling(9)) for prompt in PROMPTS[:3]]
        assert [(choice.index, choice.text, choice.finish_reason) for choice in found.choices] == [
            (index, *one) for index, one in enumerate(wanted)
        ]
        lengths = [len(ids) for ids in lm.source_ids(PROMPTS[:3], None)]
        assert found.usage.prompt_tokens == sum(lengths) and found.model == model
        assert found.usage.total_tokens == sum(lengths) + found.usage.completion_tokens


def test_beams_and_their_best_hypotheses(client, lm, bank):
    beams = {"use_beam_search": True, "beam_width": 4, "length_penalty": 0.5}
    found = client.completions.create(model="p2", prompt=PROMPTS[1], max_tokens=9, n=3, extra_body=beams)
    texts = [choice.text for choice in found.choices]
    assert texts[0] == text(lm, alone(lm, bank.get("p2"), PROMPTS[1], Search(4, 0.5, 9, lm.end)))
    assert [choice.index for choice in found.choices] == [0, 1, 2] and len(set(texts)) == 3
    engine = Engine(lm, bank, 12, MOST)
    engine.submit(Request("p2", PROMPTS[1], Search(4, 0.5, 9, lm.end)))
    [event] = [event for _ in range(9) for event in engine.step()]
    assert texts[1:] == [text(lm, ids) for ids in event.others[:2]]


def test_sampling_is_repeated_by_its_seed(client):
    def ask(seed, n=2):
        found = client.completions.create(
            model="p0", prompt=PROMPTS[0], max_tokens=12, n=n, seed=seed, temperature=1.3, top_p=0.9
        )
        return [choice.text for choice in found.choices]

    first = ask(5)
    assert ask(5) == first != ask(50) and ask(6, n=1) == first[1:], "the second text has the next seed"


@pytest.mark.parametrize("beams", [False, True])
def test_a_stream_adds_up_to_the_text(client, lm, bank, beams):
    more = {"use_beam_search": True} if beams else {}
    options = Search(3, 1.0, 30, lm.end) if beams else Sampling(30)
    chunks = list(client.completions.create(
        model="p1", prompt=PROMPTS[1], max_tokens=30, temperature=0, stream=True, stream_options={"include_usage": True},
        extra_body=more,
    ))  # fmt: skip
    *parts, last = chunks
    found, reason = expected(lm, bank, Request("p1", PROMPTS[1], options))
    assert "".join(chunk.choices[0].text for chunk in parts) == found
    assert [chunk.choices[0].finish_reason for chunk in parts] == [None] * (len(parts) - 1) + [reason]
    assert last.choices == [] and last.usage.completion_tokens > 0 and len({chunk.id for chunk in chunks}) == 1
    assert beams or len(parts) > 10


def test_requests_of_many_at_a_time_share_the_batch(server, lm, bank):
    """A stream of each prefix and the base model, all of them open at a time."""
    names, found, most = [*bank.names(), lm.name] * 2, {}, []

    def ask(number, name):
        stream = client_of(server[0]).completions.create(
            model=name, prompt=PROMPTS[number % 5], max_tokens=30, temperature=0, stream=True
        )
        found[number] = "".join(chunk.choices[0].text for chunk in stream)

    threads = [threading.Thread(target=ask, args=pair) for pair in enumerate(names)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        most.append(server[1].running)
        time.sleep(0.002)
    assert max(most) > 3
    for number, name in enumerate(names):
        assert found[number] == expected_text(lm, bank, name, PROMPTS[number % 5], Sampling(30))[0]


@pytest.mark.parametrize(
    ("change", "status", "said"),
    [
        ({"model": "nobody"}, 404, "model nobody does not exist: GET /v1/models lists those that do"),
        ({"model": "../p0"}, 404, "model ../p0 does not exist"),
        ({"max_tokens": 0}, 400, "max_tokens: Input should be greater than or equal to 1"),
        ({"max_tokens": 41}, 400, "41 tokens are more than the 40 that a text may have here"),
        ({"prompt": "a " * 500}, 400, "exceed the 256 positions of tiny-gpt2"),
        ({"prompt": [1, 2]}, 400, "prompt."),
        ({"temperature": -1}, 400, "temperature: Input should be greater than or equal to 0"),
        ({"extra_body": {"beam_width": 3}}, 400, "beam_width is given, but not use_beam_search"),
        ({"extra_body": {"use_beam_search": True, "beam_width": 20}}, 400, "20 beams are more than the 12 rows"),
        ({"extra_body": {"use_beam_search": True, "beam_width": 2}, "n": 3}, 400, "n is 3, more than the hypotheses"),
        ({"stop": ["x"]}, 400, "stop: Extra inputs are not permitted"),
        ({"stream": True, "max_tokens": 41}, 400, "41 tokens are more than the 40"),
    ],
)
def test_what_is_wrong_is_one_line(client, change, status, said):
    with pytest.raises(openai.APIStatusError) as error:
        client.completions.create(**{"model": "p0", "prompt": PROMPTS[0], "max_tokens": 4} | change)
    assert error.value.status_code == status and said in error.value.body["message"]
    assert "\n" not in error.value.body["message"]


def test_health_metrics_and_the_page(server, client):
    client.completions.create(model="p0", prompt=PROMPTS[0], max_tokens=4, temperature=0)
    assert get(f"{server[0]}/health") == (200, '{"status":"ok"}')
    status, measured = get(f"{server[0]}/metrics")
    assert status == 200 and 'serve_completions_total{status="200"}' in measured and "serve_loaded_bytes" in measured
    status, page = get(server[0])
    assert (
        status == 200
        and "<title>Two prefixes, one model</title>" in page
        and "http://" not in page
        and "https://" not in page
    )
    assert get(f"{server[0]}/docs")[0] == 404


def test_a_large_request_is_refused_with_and_without_its_length(server):
    address, body = f"{server[0]}/v1/completions", json.dumps({"model": "p0", "prompt": "x" * 5000}).encode()
    wanted = "the request is larger than 4,096 bytes"
    status, answer = post(address, body)
    assert (status, answer["error"]["message"]) == (413, wanted)
    status, answer = post(address, iter([body[:3000], body[3000:]]))  # chunked
    assert (status, answer["error"]["message"]) == (413, wanted)
    assert post(address, b"{")[0] == 400


def test_a_token_guards_v1_alone(lm, bank):
    with served(lm, bank, token="secret") as (address, _):
        assert client_of(address, "secret").completions.create(model="p0", prompt="a", max_tokens=2).choices
        for key in ("wrong", "sécret"):
            status, answer = post(
                f"{address}/v1/completions", b"{}", Authorization=f"Bearer {key}".encode().decode("latin-1")
            )
            assert (
                status == 401 and answer["error"]["message"] == "give the server's token: Authorization: Bearer TOKEN"
            )
        assert get(f"{address}/v1/models")[0] == 401 and get(f"{address}/health")[0] == 200


def test_runs_are_loaded_and_unloaded_where_that_is_on(lm, tmp_path):
    bank = filled(lm, tmp_path / "bank", [2])
    saved.save(tmp_path / "runs/new", config_of(), next(prefixes_of(lm, [7])), base_model_id(lm))
    with served(lm, bank) as (address, _):
        said = "loading is off: start the server with --adapters DIR"
        for act, body in (("load", {"name": "new", "path": "new"}), ("unload", {"name": "p0"})):
            status, answer = post(f"{address}/v1/{act}_adapter", json.dumps(body).encode())
            assert (status, answer["error"]["message"]) == (403, said)
    with served(lm, bank, adapters=tmp_path / "runs") as (address, _):

        def act(what, **body):
            return post(f"{address}/v1/{what}_adapter", json.dumps(body).encode())

        assert act("load", name="new", path="new") == (200, {"status": "loaded", "model": "new"})
        assert client_of(address).completions.create(model="new", prompt="a", max_tokens=2).choices
        assert act("unload", name="new") == (200, {"status": "unloaded", "model": "new"})
        with pytest.raises(openai.NotFoundError):
            client_of(address).completions.create(model="new", prompt="a", max_tokens=2)
        for path in ("../bank/p0", "/etc", "../runs2"):
            assert (
                act("load", name="x", path=path)[1]["error"]["message"]
                == f"path: {path} is not below the server's --adapters"
            )
        assert "is no name of a prefix" in act("load", name="../x", path="new")[1]["error"]["message"]
        assert "has no prefix zoe" in act("unload", name="zoe")[1]["error"]["message"]
        assert "cannot read" in act("load", name="x", path="none")[1]["error"]["message"]
    assert bank.names() == ["p0", "v0", "v1"]


def test_a_prompt_of_ten_megabytes_and_a_body_that_is_no_json(server):
    status, answer = post(
        f"{server[0]}/v1/completions", json.dumps({"model": "p0", "prompt": "x" * 10_000_000}).encode()
    )
    assert (status, answer["error"]["type"]) == (413, "invalid_request_error")
    for body in (b"", b"{", b"[]", b"\xff\xfe", b'"' + b"[" * 4000):
        status, answer = post(f"{server[0]}/v1/completions", body)
        assert status == 400 and answer["error"]["message"] and "Traceback" not in answer["error"]["message"]
    assert get(f"{server[0]}/health")[0] == 200
