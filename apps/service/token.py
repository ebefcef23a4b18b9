"""A secret that clients must name, where the service has one."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Mapping
from pathlib import Path

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from ...errors import UserError

VARIABLE = "POCKETFACE_TOKEN"
"""Environment variable that may hold the token."""

_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]{16,512}=*")  # RFC 6750, 2.1, and long enough not to guess
_EXPECTED = "expected 16 to 512 letters, digits and any of . _ ~ + / - in one line"
_MAX_BYTES = 4096

_OPEN = frozenset({"/", "/docs", "/openapi.json", "/ping/", "/v2/health/live", "/v2/health/ready"})
_OPEN_FOLDERS = ("/page/", "/static-offline-docs/")
"""What is shown without the token: the page and the description, and that the service is there."""


def read_token(path: Path | None, environment: Mapping[str, str] = os.environ) -> str | None:
    """The token of a file, else of the environment; None for none.

    Args:
        path: A file with nothing else in it.
        environment: Variables and their values.

    Raises:
        UserError: The file cannot be read, or what is given is no token. The message does not have
            it.
    """
    if path is not None:
        try:
            with path.open("rb") as file:
                text = file.read(_MAX_BYTES).decode("ascii", "replace").strip()
        except OSError as error:
            raise UserError(f"--token-file {path}: {error.strerror}") from error
        return _checked(text, f"--token-file {path}")
    if VARIABLE in environment:  # an empty one is a mistake, and must not open the service
        return _checked(environment[VARIABLE].strip(), VARIABLE)
    return None


def _checked(text: str, source: str) -> str:
    if not _TOKEN.fullmatch(text):
        raise UserError(f"{source}: no token of {len(text)} characters: {_EXPECTED}")
    return text


class Guard:
    """Answers 401 to requests without the token, before their body is read (RFC 6750).

    Args:
        app: The application behind it.
        token: The secret.
    """

    def __init__(self, app: ASGIApp, *, token: str) -> None:
        self._app = app
        self._token = token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request, as ASGI has it."""
        if scope["type"] != "http" or _is_open(scope["path"]):
            return await self._app(scope, receive, send)
        given = Headers(scope=scope).get("Authorization")
        scheme, _, token = (given or "").partition(" ")
        sent = token.strip().encode("latin-1", "replace")
        if scheme.lower() == "bearer" and secrets.compare_digest(sent, self._token):
            return await self._app(scope, receive, send)
        challenge = 'Bearer realm="pocketface"'
        says = "a token is needed: send the header `Authorization: Bearer TOKEN`"
        if given is not None:
            challenge += ', error="invalid_token"'
            says = "this is not the service's token"
        refusal = JSONResponse({"detail": says}, 401, {"WWW-Authenticate": challenge})
        return await refusal(scope, receive, send)


def _is_open(path: str) -> bool:
    return path in _OPEN or path.startswith(_OPEN_FOLDERS)
