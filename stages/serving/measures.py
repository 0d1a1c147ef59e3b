"""What `/metrics` says, for Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Gauge

from stages.serving.worker import Worker


class Measures:
    """Counters of a server, and gauges of its worker. No label has names of prefixes: a bank may hold thousands."""

    def __init__(self, worker: Worker):
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "serve_completions", "Completion requests, by status of the answer", ["status"], registry=self.registry
        )
        self.tokens = Counter("serve_tokens", "Tokens of texts that were answered", registry=self.registry)
        for name, what, value in (
            ("serve_waiting", "Texts that wait for a place in the batch", lambda: worker.waiting),
            ("serve_rows", "Rows of the batch in use", lambda: worker.running),
            ("serve_loaded_bytes", "Bytes of prefixes in memory", lambda: worker.loaded_bytes),
        ):
            Gauge(name, what, registry=self.registry).set_function(value)

    def count(self, status: int, tokens: int = 0) -> None:
        """Count an answer and its tokens."""
        self.requests.labels(str(status)).inc()
        self.tokens.inc(tokens)
