"""Write texts with the trained runs of a bank, all of them in one batch.

    python -m stages.generate --bank DIR [FILE]

FILE (default: standard input) has a JSON object a line: {"model": "alice", "prompt": "name : The Oak | food : Thai"}.
Without `model` it is the frozen base model. Other keys are passed through to the result, which adds `text`. Texts are
decoded as `decode` of params.yaml says for its task.
"""

import argparse
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from stages.core.startup import model_imports

with model_imports():
    from stages import params
    from stages.core.errors import UserError, entry_point
    from stages.core.files import parse_json
    from stages.decoding.beam import Search
    from stages.decoding.texts import search_of, text_of
    from stages.serving.bank import Bank, PrefixBank
    from stages.serving.engine import Engine, Request, run_all
    from stages.serving.opened import base_of, make_ready, open_base


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m stages.generate", description=__doc__.splitlines()[0])
    parser.add_argument("--bank", type=Path, required=True, metavar="DIR", help="see python -m stages.bank")
    parser.add_argument("--as-done", action="store_true", help="print results as they are done, not in order")
    parser.add_argument("file", metavar="FILE", nargs="?", default="-", help="JSON lines (default: standard input)")
    return parser.parse_args()


def read(lines: Iterable[str], where: str) -> Iterator[dict[str, Any]]:
    """The requests of JSON lines. Raises UserError that names the line which is none."""
    for number, line in enumerate(_decoded(lines, where), start=1):
        if not line.strip():
            continue
        value = parse_json(line, where, number)
        if not isinstance(value, dict) or not isinstance(value.get("prompt"), str):
            raise UserError(f'{where}, line {number}: not {{"model": ..., "prompt": a text}}')
        if not isinstance(value.get("model", ""), str):
            raise UserError(f"{where}, line {number}: model is no text")
        yield value


def _decoded(lines: Iterable[str], where: str) -> Iterator[str]:
    try:
        yield from lines
    except UnicodeDecodeError as error:
        raise UserError(f"{where} is not UTF-8 (byte 0x{error.object[error.start]:02x})") from error


def in_order(found: Iterable[tuple[int, Any]]) -> Iterator[Any]:
    """The values of (index, value) by index, each as soon as all before it are there."""
    held, following = {}, 0
    for index, value in found:
        held[index] = value
        while following in held:
            yield held.pop(following)
            following += 1


def results(engine: Engine, requests: Iterable[dict[str, Any]], search: Search) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the index of each request and its result, as they are done. Raises UserError as `Engine.submit`."""
    kept: dict[int, dict[str, Any]] = {}

    def asked() -> Iterator[Request]:
        for index, value in enumerate(requests):
            kept[index] = value
            yield Request(value.get("model", engine.lm.name), value["prompt"], search)

    for index, ids, _ in run_all(engine, asked()):
        yield index, {**kept.pop(index), "text": text_of(engine.lm, ids)}


@entry_point
def main() -> None:
    chosen, settings = arguments(), params.load()
    serve = settings.serve
    lm = open_base(base_of(Bank(chosen.bank)), settings.revision, settings.threads)
    bank = PrefixBank(chosen.bank, lm, serve.memory_mb * 2**20)
    make_ready(lm, settings.precision)
    search = search_of(lm, settings.decoding)
    engine = Engine(lm, bank, max(serve.rows, search.beam), max(serve.max_tokens, search.max_new_tokens))
    with sys.stdin if chosen.file == "-" else open_text(chosen.file) as lines:
        found = results(engine, read(lines, "standard input" if chosen.file == "-" else chosen.file), search)
        for result in (value for _, value in found) if chosen.as_done else in_order(found):
            print(json.dumps(result, ensure_ascii=False), flush=True)


def open_text(file: str):
    """A UTF-8 file. Raises UserError if it cannot be read."""
    try:
        return open(file, encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot read {file}: {error.strerror or error}") from error


if __name__ == "__main__":
    main()
