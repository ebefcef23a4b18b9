"""Each request gets an id, is counted and logged; each answer gets headers that protect."""

from __future__ import annotations

import logging
import re
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import Request
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .metrics import Metrics
from .targets import path_of

_log = logging.getLogger(__name__)

REQUEST_ID = "X-Request-Id"

_WELL_FORMED = re.compile(r"[A-Za-z0-9._-]{1,128}")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_OTHER = "other"
_LEFT = 499
"""Code that other servers log of clients that left without an answer."""

_NOTED = "pocketface_noted"

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:;"
    " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_POLICY_OF_DOCS = (
    "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline';"
    " img-src 'self' data: blob:; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""Swagger UI starts by a script in its page."""


@dataclass
class _Noted:
    photos: int = 0
    faces: int = 0


def note(request: Request, *, faces: int, photos: int = 1) -> None:
    """Count what a request's photos show.

    Args:
        request: The request.
        faces: Number of faces in its photos.
        photos: Number of photos that were looked at.
    """
    noted = request.scope["state"].get(_NOTED)
    if noted is not None:
        noted.photos += photos
        noted.faces += faces


class Observed:
    """Counts and logs requests by the template of their path: nothing that a client has sent.

    A client's own `X-Request-Id` is taken if it is 1 to 128 letters, digits, dots, dashes and
    underscores; else one is made. It is in the answer and in the log.

    Args:
        app: The application behind it.
        metrics: What is counted.
        routes: The application's addresses.
    """

    def __init__(self, app: ASGIApp, *, metrics: Metrics, routes: Sequence[BaseRoute]) -> None:
        self._app = app
        self._metrics = metrics
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request, as ASGI has it."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        started = time.perf_counter()
        path = path_of(scope["path"])
        endpoint, given = self._endpoint_of(path), Headers(scope=scope).get(REQUEST_ID, "")
        request_id = given if _WELL_FORMED.fullmatch(given) else uuid.uuid4().hex
        noted = scope.setdefault("state", {})[_NOTED] = _Noted()
        code = _LEFT

        async def with_headers(message: Message) -> None:
            nonlocal code
            if message["type"] == "http.response.start":
                code = message["status"]
                headers = MutableHeaders(scope=message)
                headers[REQUEST_ID] = request_id
                headers["Referrer-Policy"] = "no-referrer"
                docs = endpoint == "/docs"
                headers["Content-Security-Policy"] = _POLICY_OF_DOCS if docs else _POLICY
                if scope["method"] == "POST":
                    headers["Cache-Control"] = "no-store"
            await send(message)

        try:
            await self._app(scope, receive, with_headers)
        except Exception:
            _log.exception("%s failed", request_id)
            if code != _LEFT:  # part of an answer is sent: only a cut connection tells
                raise
            failed = JSONResponse({"detail": "the service failed; its log says why"}, 500)
            await failed(scope, receive, with_headers)
        finally:
            seconds = time.perf_counter() - started
            self._metrics.answered(endpoint, code, seconds)
            if noted.photos:
                self._metrics.seen(endpoint, noted.photos, noted.faces)
            method = scope["method"] if scope["method"] in _METHODS else "?"
            _log.info("%s %s %s %d %.3f s", request_id, method, endpoint, code, seconds)

    def _endpoint_of(self, path: str) -> str:
        for route in self._routes:
            if isinstance(route, Route) and route.path_regex.match(path):
                return route.path
        return _OTHER
