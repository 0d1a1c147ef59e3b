"""Refuses requests that are too large, before they are read whole."""

import json

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stages.serving.protocol import error_of

# Of a body that is refused so much is read and dropped: a client that is still sending would not see the answer.
_DROPPED = 2**26


async def _drop(receive: Receive) -> None:
    size, more = 0, True
    while more and size < _DROPPED:
        part = await receive()
        size, more = size + len(part.get("body", b"")), part.get("more_body", False)


class LimitSize:
    """Middleware that answers 413 to a body of more than `most` bytes, whether its header says so or not."""

    def __init__(self, app: ASGIApp, most: int):
        self.app, self.most = app, most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, unless its header says that it is too large."""
        said = dict(scope.get("headers", ())).get(b"content-length", b"")
        message, size = f"the request is larger than {self.most:,} bytes", 0
        if said.isdigit() and int(said) > self.most:
            body = json.dumps(error_of(413, message, "invalid_request_error")).encode()
            await _drop(receive)
            head = [(b"content-type", b"application/json"), (b"connection", b"close")]
            await send({"type": "http.response.start", "status": 413, "headers": head})
            await send({"type": "http.response.body", "body": body})
            return

        async def counted() -> Message:
            nonlocal size
            part = await receive()
            size += len(part.get("body", b""))
            if size > self.most:
                if part.get("more_body", False):
                    await _drop(receive)
                raise HTTPException(413, message)
            return part

        await self.app(scope, counted, send)
