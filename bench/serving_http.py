"""The server under 50 clients at a time, all rows of the batch in use, beside one request at a time."""

import json
import socket
import statistics
import tempfile
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import uvicorn

from bench.serving import bank_of, sources_of
from stages.models.linear import pack
from stages.run import open_named
from stages.serving.app import Settings, create_app
from stages.serving.engine import Engine
from stages.serving.worker import Worker

CLIENTS = 50


def latencies(home: str, name: str, users: int, count: int, rows: int, tokens: int) -> dict:
    """Wall seconds of each request, from its first byte to the answer's last, of greedy texts of `tokens` tokens."""
    lm = open_named(name, "main", threads=1)
    with tempfile.TemporaryDirectory() as directory, socket.create_server(("127.0.0.1", 0)) as listening:
        bank = bank_of(lm, users, Path(directory))
        pack(lm.model)
        app = create_app(Worker(Engine(lm, bank, rows, tokens), count), Settings(1, (), 2**16, 600.0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        while not server.started:
            time.sleep(0.01)
        address = f"http://127.0.0.1:{listening.getsockname()[1]}/v1/completions"
        sources = sources_of(home, count)

        def ask(number: int) -> tuple[float, str]:
            body = {
                "model": f"user-{number % users}", "prompt": sources[number % len(sources)], "max_tokens": tokens,
                "min_tokens": tokens, "temperature": 0,
            }  # fmt: skip
            request = urllib.request.Request(address, json.dumps(body).encode(), {"Content-Type": "application/json"})
            began = time.perf_counter()
            with urllib.request.urlopen(request) as answer:
                text = json.loads(answer.read())["choices"][0]["text"]
            return time.perf_counter() - began, text

        ask(0)  # warm-up
        began = time.perf_counter()
        with ThreadPoolExecutor(CLIENTS) as clients:
            found = list(clients.map(ask, range(count)))
        seconds = time.perf_counter() - began
        server.should_exit = True
        thread.join()
    times = sorted(one for one, _ in found)
    hundredths = statistics.quantiles(times, n=100)
    return {"seconds": seconds, "p50": hundredths[49], "p99": hundredths[98], "texts": [text for _, text in found]}
