"""Refuses requests that are too large, before they are read whole."""

import json

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stages.serving.protocol import error_of


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
            head = [(b"content-type", b"application/json"), (b"connection", b"close")]
            await send({"type": "http.response.start", "status": 413, "headers": head})
            await send({"type": "http.response.body", "body": body})
            return

        async def counted() -> Message:
            nonlocal size
            part = await receive()
            size += len(part.get("body", b""))
            if size > self.most:
                raise HTTPException(413, message)
            return part

        await self.app(scope, counted, send)
