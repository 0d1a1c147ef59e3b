"""The server when things go wrong: clients that leave or never read, full queues, damage, a stop, many at a time."""

import json
import socket
import threading

import openai
import pytest

from stages.decoding.sampling import Sampling
from stages.serving.engine import Engine, Request, run_all
from tests.conftest import tiny_gpt2
from tests.serving.served import MOST, client_of, expected_text, get, served, text, waited
from tests.serving.test_engine import PROMPTS, filled


@pytest.fixture(scope="module")
def lm(tokenizer):
    return tiny_gpt2(tokenizer)


@pytest.fixture(scope="module")
def bank(lm, tmp_path_factory):
    return filled(lm, tmp_path_factory.mktemp("served") / "bank")


def test_a_client_that_leaves_gives_its_texts_up(lm, bank):
    """A stream that is closed, and a request that is broken off, leave the batch."""
    with served(lm, bank, rows=2) as (address, worker):
        stream = client_of(address).completions.create(
            model="p0", prompt=PROMPTS[0], max_tokens=MOST, temperature=0, stream=True
        )
        next(iter(stream))
        stream.close()
        waited(lambda: worker.running == 0)
        host, port = address.removeprefix("http://").split(":")
        body = json.dumps({"model": "p0", "prompt": PROMPTS * 20, "max_tokens": MOST}).encode()
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                               b"Content-Length: %d\r\n\r\n%s" % (len(body), body))  # fmt: skip
            waited(lambda: worker.waiting > 5)
        waited(lambda: worker.waiting == worker.running == 0)
        assert client_of(address).completions.create(model="p0", prompt="a", max_tokens=2).choices[0].text is not None


def test_a_full_queue_and_a_request_that_takes_too_long(lm, bank):
    with served(lm, bank, waiting=2, rows=1) as (address, _):
        with pytest.raises(openai.RateLimitError) as full:
            client_of(address).completions.create(model="p0", prompt=PROMPTS * 4, max_tokens=MOST)
        assert full.value.body["message"] == "too many requests wait: try again later"
        assert full.value.response.headers["retry-after"] == "1"
    with served(lm, bank, rows=1, seconds=0.02) as (address, _):
        with pytest.raises(openai.InternalServerError) as late:
            client_of(address).completions.create(model="p0", prompt=PROMPTS[:3], max_tokens=MOST)
        assert late.value.status_code == 504 and "took too long" in late.value.body["message"]


def test_a_stop_finishes_what_was_asked(lm, bank):
    found = []
    with served(lm, bank) as (address, worker):
        thread = threading.Thread(target=lambda: found.append(
            client_of(address).completions.create(model="p0", prompt=PROMPTS * 8, max_tokens=MOST, temperature=0)
        ))  # fmt: skip
        thread.start()
        waited(lambda: worker.running > 0)
    thread.join()
    assert len(found[0].choices) == 40 and not worker.alive
    assert isinstance(worker.submit(Request("p0", "a", Sampling(2)), found.append).exception(1), Exception)


def test_an_error_in_the_model_reaches_who_waits(lm, bank, monkeypatch):
    with served(lm, bank) as (address, worker):
        monkeypatch.setattr(worker.engine.sampling, "step", lambda: 1 / 0)
        monkeypatch.setattr(threading, "excepthook", lambda _: None)
        with pytest.raises(openai.InternalServerError):
            client_of(address).completions.create(model="p0", prompt=PROMPTS[0], max_tokens=4)
        waited(lambda: not worker.alive)
        assert get(f"{address}/health")[0] == 503
        with pytest.raises(openai.InternalServerError) as stopped:
            client_of(address).completions.create(model="p0", prompt=PROMPTS[0], max_tokens=4)
        assert stopped.value.status_code == 503 and "the server is stopping" in stopped.value.body["message"]


def test_a_client_that_never_reads_holds_up_nobody(lm, bank):
    with served(lm, bank, seconds=2.0) as (address, worker):
        host, port = address.removeprefix("http://").split(":")
        body = json.dumps({"model": "p0", "prompt": PROMPTS * 20, "max_tokens": MOST, "stream": True, "n": 1}).encode()
        with socket.create_connection((host, int(port))) as deaf:
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
            deaf.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                         b"Content-Length: %d\r\n\r\n%s" % (len(body), body))  # fmt: skip
            waited(lambda: worker.running > 0)
            found = client_of(address).completions.create(model="p1", prompt=PROMPTS[1], max_tokens=9, temperature=0)
            assert (found.choices[0].text, "length") == expected_text(lm, bank, "p1", PROMPTS[1], Sampling(9))
            waited(lambda: worker.running == worker.waiting == 0)


def test_a_damaged_entry_is_refused_and_the_server_goes_on(lm, tmp_path):
    bank = filled(lm, tmp_path / "bank", [2, 3])
    file = bank.path_of("p0") / "prefix.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with served(lm, bank) as (address, _):
        with pytest.raises(openai.BadRequestError, match="is not the file that was written"):
            client_of(address).completions.create(model="p0", prompt="a", max_tokens=2)
        assert client_of(address).completions.create(model="p1", prompt="a", max_tokens=2).choices


@pytest.mark.slow
def test_a_thousand_requests_of_fifty_clients(lm, tmp_path):
    """Streamed and not, of 32 prefixes; every tenth leaves in the middle. None is lost, and each text is its prefix's."""
    lengths = [1 + 4 * number for number in range(32)]
    bank = filled(lm, tmp_path / "bank", lengths)
    names = [f"p{number}" for number in range(32)]
    asked = [(names[7 * i % 32], PROMPTS[i % 5]) for i in range(1000)]
    options = Sampling(8)
    engine = Engine(lm, bank, 32, MOST)
    distinct = sorted(set(asked))
    wanted = {
        distinct[index]: text(lm, ids)
        for index, ids, _ in run_all(engine, [Request(*pair, options) for pair in distinct])
    }
    found, left = {}, []
    with served(lm, bank, rows=32, waiting=1000) as (address, worker):

        def work(client_number):
            with client_of(address) as client:
                for i in range(client_number, 1000, 50):
                    model, prompt = asked[i]
                    common = {"model": model, "prompt": prompt, "max_tokens": 8, "temperature": 0}
                    if i % 10 == 9:
                        stream = client.completions.create(**common | {"max_tokens": MOST}, stream=True)
                        next(iter(stream))
                        stream.close()
                        left.append(i)
                    elif i % 2:
                        stream = client.completions.create(**common, stream=True)
                        found[i] = "".join(chunk.choices[0].text for chunk in stream)
                    else:
                        found[i] = client.completions.create(**common).choices[0].text

        threads = [threading.Thread(target=work, args=(number,)) for number in range(50)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        waited(lambda: worker.running == worker.waiting == 0)
    assert len(left) == 100 and len(found) == 900
    assert [i for i, one in found.items() if one != wanted[asked[i]]] == []
