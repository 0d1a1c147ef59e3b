"""The server of a bank's prefixes: python -m stages.serve --bank DIR (extra `serve`).

The token, if any, is in the environment: SERVE_TOKEN. How much it does at a time: `serve` of params.yaml.
"""

import argparse
import os
from pathlib import Path

from stages.core.startup import model_imports

with model_imports():
    import uvicorn

    from stages import params
    from stages.core.errors import UserError, entry_point
    from stages.decoding.texts import banned_ids
    from stages.serving.app import Settings, create_app
    from stages.serving.bank import Bank, PrefixBank
    from stages.serving.engine import Engine
    from stages.serving.opened import base_of, make_ready, open_base
    from stages.serving.worker import Worker

TOKEN = "SERVE_TOKEN"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m stages.serve", description=__doc__.splitlines()[0])
    parser.add_argument("--bank", type=Path, required=True, metavar="DIR", help="see python -m stages.bank")
    parser.add_argument("--model", help="the base model, for a bank without prefixes (default: that of its prefixes)")
    parser.add_argument("--host", default="127.0.0.1", help="default: 127.0.0.1, this machine alone")
    parser.add_argument("--port", type=int, default=8000, help="default: 8000")
    parser.add_argument("--adapters", type=Path, metavar="DIR", help="let /v1/load_adapter take runs below DIR")
    return parser.parse_args()


@entry_point
def main() -> None:
    chosen, settings = arguments(), params.load()
    decoding, serve = settings.decoding, settings.serve
    if chosen.adapters is not None and not chosen.adapters.is_dir():
        raise UserError(f"--adapters {chosen.adapters} is no directory")
    lm = open_base(chosen.model or base_of(Bank(chosen.bank)), settings.revision, settings.threads)
    bank = PrefixBank(chosen.bank, lm, serve.memory_mb * 2**20)
    make_ready(lm, settings.precision)
    banned = banned_ids(lm, decoding.banned)
    app = create_app(Worker(Engine(lm, bank, serve.rows, serve.max_tokens, banned), serve.queue), Settings(
        decoding.beam, banned, serve.request_kb * 1024, serve.seconds, os.environ.get(TOKEN), chosen.adapters
    ))  # fmt: skip
    # SIGTERM and Ctrl-C: no further requests; those that were taken are answered.
    uvicorn.run(app, host=chosen.host, port=chosen.port, timeout_graceful_shutdown=int(serve.seconds))


if __name__ == "__main__":
    main()
