"""What HTTP lets clients ask for in more than one way, said in one, before it is routed."""

from __future__ import annotations

import asyncio
import re

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_ABSOLUTE = re.compile(r"https?://[^/?#]*", re.IGNORECASE)


def path_of(target: str) -> str:
    """The path of a target that may have the host in it."""
    found = _ABSOLUTE.match(target)
    return target[found.end() :] or "/" if found else target


class AnyTarget:
    """Serves HEAD as GET, and targets with the host in them (RFC 9110, 9.3.2; 9112, 3.2.2).

    uvicorn sends no body in answer to HEAD. A request that is not answered when the service ends
    gets 503: left to uvicorn, it is a traceback in the log.

    Args:
        app: The application behind it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request, as ASGI has it."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        if {b"content-length", b"transfer-encoding"} <= {name for name, _ in scope["headers"]}:
            # A proxy may have taken the other one for the end of the body (RFC 9112, 6.1).
            refusal = PlainTextResponse(
                "Content-Length beside Transfer-Encoding", 400, {"Connection": "close"}
            )
            return await refusal(scope, receive, send)
        if scope["method"] == "HEAD":
            scope = {**scope, "method": "GET"}
        scope = {**scope, "path": path_of(scope["path"])}
        begun = False

        async def noted(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, noted)
        except asyncio.CancelledError:
            if not begun:
                await PlainTextResponse("the service ends", 503)(scope, receive, send)
