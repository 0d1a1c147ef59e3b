"""A server in a thread of the tests, its clients, and what they are to get."""

import json
import socket
import threading
import time
import urllib.request
from contextlib import contextmanager

import openai
import uvicorn

from stages.serving.app import Settings, create_app
from stages.serving.engine import Engine, Request, run_all
from stages.serving.worker import Worker

MOST = 40  # tokens of a text


@contextmanager
def served(lm, bank, waiting=64, rows=12, **settings):
    """A server in a thread: its address and its worker."""
    worker = Worker(Engine(lm, bank, rows, MOST), waiting)
    chosen = Settings(**{"beam": 3, "banned": (), "request_bytes": 4096, "seconds": 60.0} | settings)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(create_app(worker, chosen), log_level="warning"))
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            while not server.started:
                assert thread.is_alive()
                time.sleep(0.01)
            yield f"http://127.0.0.1:{listening.getsockname()[1]}", worker
        finally:
            server.should_exit = True
            thread.join()


def client_of(address, key="none"):
    return openai.OpenAI(base_url=f"{address}/v1", api_key=key, max_retries=0)


def text(lm, ids):
    return lm.tokenizer.decode(ids, skip_special_tokens=True)


def expected(lm, bank, request):
    [(_, ids, reason)] = run_all(Engine(lm, bank, 12, MOST), [request])
    return text(lm, ids), {"end": "stop", "length": "length"}[reason]


def expected_text(lm, bank, model, prompt, options):
    return expected(lm, bank, Request(model, prompt, options))


def get(address, **headers):
    try:
        with urllib.request.urlopen(urllib.request.Request(address, headers=headers)) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def post(address, body, **headers):
    request = urllib.request.Request(address, body, {"Content-Type": "application/json"} | headers)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def waited(condition, seconds=30):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)
