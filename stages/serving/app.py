"""The server: OpenAI's completions API for the prefixes of a bank, in the conventions of vLLM's LoRA adapters."""

import asyncio
import contextlib
import json
import secrets
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, StreamingResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException

from stages.core.errors import UserError
from stages.serving import protocol
from stages.serving.completion import Part, Texts
from stages.serving.limits import LimitSize
from stages.serving.measures import Measures
from stages.serving.worker import Failed, Full, Stopped, Worker

PAGE = Path(__file__).with_name("page.html")
# What a request may meet, as status and message.
_KNOWN = {
    Full: (429, "too many requests wait: try again later"),
    Stopped: (503, "the server is stopping"),
    Failed: (500, "the server failed"),
    TimeoutError: (504, "the request took too long"),
}


@dataclass(frozen=True)
class Settings:
    """How a server answers.

    `beam` is the width where a request gives none; `banned` are ids that no text may hold; `request_bytes` and
    `seconds` bound a request. With a `token`, `/v1` asks for it. `adapters` is the directory from which
    `/v1/load_adapter` may take runs; None: it is off, and so is `/v1/unload_adapter`.
    """

    beam: int
    banned: tuple[int, ...]
    request_bytes: int
    seconds: float
    token: str | None = None
    adapters: Path | None = None


class Refused(Exception):
    """An answer with an error: its status, and one line."""

    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status = status


def create_app(worker: Worker, settings: Settings) -> FastAPI:
    """The application. It starts the worker, and stops it when what was asked is answered."""

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        worker.start()
        yield
        await asyncio.to_thread(worker.stop)

    app = FastAPI(title="Prefixes of one model", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(LimitSize, most=settings.request_bytes)
    routes = Routes(worker, settings, Measures(worker))
    guarded = {"dependencies": [Depends(routes.check_token)]}
    app.get("/", response_class=HTMLResponse)(routes.page)
    app.get("/health")(routes.health)
    app.get("/metrics")(routes.metrics)
    app.get("/v1/models", **guarded)(routes.models)
    app.post("/v1/completions", **guarded)(routes.completions)
    app.post("/v1/load_adapter", **guarded)(routes.load)
    app.post("/v1/unload_adapter", **guarded)(routes.unload)
    app.exception_handler(Refused)(lambda _, error: _error(error.status, str(error)))
    app.exception_handler(HTTPException)(lambda _, error: _error(error.status_code, str(error.detail)))
    app.exception_handler(RequestValidationError)(lambda _, error: _error(400, _first_of(error)))
    return app


class Routes:
    """What the server answers at each address."""

    def __init__(self, worker: Worker, settings: Settings, measures: Measures):
        self.worker, self.settings, self.measures = worker, settings, measures
        self.lm, self.bank, self.started = worker.engine.lm, worker.engine.bank, int(time.time())

    def check_token(self, request: Request) -> None:
        """Raises Refused without the bearer token."""
        kind, _, given = request.headers.get("authorization", "").partition(" ")
        token = self.settings.token
        if token is not None and not (
            kind.lower() == "bearer" and secrets.compare_digest(given.encode(), token.encode())
        ):
            raise Refused(401, "give the server's token: Authorization: Bearer TOKEN")

    def page(self) -> str:
        return PAGE.read_text(encoding="utf-8")

    def health(self) -> JSONResponse:
        alive = self.worker.alive
        return JSONResponse({"status": "ok" if alive else "stopped"}, status_code=200 if alive else 503)

    def metrics(self) -> Response:
        return Response(generate_latest(self.measures.registry), media_type=CONTENT_TYPE_LATEST)

    def models(self) -> dict[str, Any]:
        return protocol.models(self.lm.name, self.bank.names(), self.started)

    async def load(self, body: protocol.LoadAdapter) -> dict[str, str]:
        """Add a run below `adapters` to the bank."""
        root = self._adapters()
        path = (root / body.path).resolve()
        if not path.is_relative_to(root.resolve()):
            raise Refused(400, f"path: {body.path} is not below the server's --adapters")
        await self._of_bank(lambda: self.bank.add(body.name, path))
        return {"status": "loaded", "model": body.name}

    async def unload(self, body: protocol.UnloadAdapter) -> dict[str, str]:
        """Delete a run from the bank."""
        self._adapters()
        await self._of_bank(lambda: self.bank.remove(body.name))
        return {"status": "unloaded", "model": body.name}

    def _adapters(self) -> Path:
        if self.settings.adapters is None:
            raise Refused(403, "loading is off: start the server with --adapters DIR")
        return self.settings.adapters

    async def _of_bank(self, act) -> None:
        try:
            await asyncio.wrap_future(self.worker.call(act))
        except UserError as error:
            raise Refused(400, str(error)) from error
        except Stopped as error:
            raise Refused(503, "the server is stopping") from error

    async def completions(self, body: protocol.Completion, request: Request) -> Response:
        """Write texts. A client that leaves gives them up."""
        self._check_model(body.model)
        texts = Texts(self.worker, body, self.settings.beam, self.settings.banned)
        if body.stream:
            return await self._stream(texts)
        answering = asyncio.create_task(self._whole(texts))
        leaving = asyncio.create_task(_left(request))
        done, _ = await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
        leaving.cancel()
        if answering in done:
            return answering.result()
        answering.cancel()
        self.measures.count(499)
        return Response(status_code=499)  # nobody reads it

    def _check_model(self, name: str) -> None:
        if name != self.lm.name and name not in self.bank:
            self.measures.count(404)
            raise Refused(404, f"model {name} does not exist: GET /v1/models lists those that do")

    async def _whole(self, texts: Texts) -> JSONResponse:
        found: dict[int, list[Part]] = {}
        with self._refusing():
            async with asyncio.timeout(self.settings.seconds), texts:
                async for part in texts.parts():
                    found.setdefault(part.index, []).append(part)
        choices = [
            protocol.choice(index, "".join(part.text for part in found[index]), found[index][-1].reason)
            for index in sorted(found)
        ]
        tokens = sum(part.tokens for parts in found.values() for part in parts)
        self.measures.count(200, tokens)
        used = protocol.usage(texts.prompt_tokens, tokens)
        return JSONResponse(protocol.answer(_new_name(), texts.body.model, choices, used))

    async def _stream(self, texts: Texts) -> StreamingResponse:
        stack = contextlib.AsyncExitStack()
        with self._refusing():  # what is refused is so before the first chunk
            await stack.enter_async_context(texts)

        async def chunks() -> AsyncIterator[str]:
            name, model, tokens = _new_name(), texts.body.model, 0
            async with stack:
                try:
                    async with asyncio.timeout(self.settings.seconds):
                        async for part in texts.parts():
                            tokens += part.tokens
                            own = protocol.choice(part.index, part.text, part.reason)
                            yield _event(protocol.answer(name, model, [own], None))
                except (Failed, TimeoutError) as error:
                    status, message = _KNOWN[type(error)]
                    self.measures.count(status, tokens)
                    yield _event(protocol.error_of(status, message, "server_error"))
                    return
                if texts.body.stream_options is not None and texts.body.stream_options.include_usage:
                    yield _event(protocol.answer(name, model, [], protocol.usage(texts.prompt_tokens, tokens)))
                self.measures.count(200, tokens)
                yield "data: [DONE]\n\n"

        return StreamingResponse(chunks(), media_type="text/event-stream", headers={"Cache-Control": "no-store"})

    @contextlib.contextmanager
    def _refusing(self):
        """Turn what a request may raise into an answer."""
        try:
            yield
        except UserError as error:
            self.measures.count(400)
            raise Refused(400, str(error)) from error
        except tuple(_KNOWN) as error:
            status, message = _KNOWN[type(error)]
            self.measures.count(status)
            raise Refused(status, message) from error


async def _left(request: Request) -> None:
    """Returns when the client has left. Its body has been read: what comes now is nothing else."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _new_name() -> str:
    return f"cmpl-{secrets.token_hex(12)}"


def _event(value: dict[str, Any]) -> str:
    return f"data: {json.dumps(value, ensure_ascii=False)}\n\n"


def _error(status: int, message: str) -> JSONResponse:
    kind = "server_error" if status >= 500 else "invalid_request_error"
    headers = {"Retry-After": "1"} if status == 429 else None
    return JSONResponse(protocol.error_of(status, message, kind), status_code=status, headers=headers)


def _first_of(error: RequestValidationError) -> str:
    """The first thing that is wrong with a body: where, and what."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"] if part != "body")
    return f"{where}: {first['msg']}" if where else first["msg"]
