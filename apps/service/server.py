"""The service on a port: worker processes, and timeouts for slow connections."""

from __future__ import annotations

import asyncio
import errno
import logging
import multiprocessing
import os
import signal
import socket
import threading
from functools import partial
from typing import Any, TextIO

from fastapi import FastAPI
from uvicorn import Config, Server
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.supervisors import Multiprocess

from ...errors import UserError
from .app import Settings, make_app

_GRACE = 30  # seconds that requests at work get when the service ends
_BACKLOG = 2048

MAX_CONNECTIONS = 500
"""Most connections of one process, if its limit of open files allows that many."""

_OTHER_FILES = 64


def bind(host: str, port: int) -> socket.socket:
    """Open a listening socket.

    Args:
        host: A name or an address, IPv4 or IPv6.
        port: 0 for any that is free.

    Raises:
        UserError: This machine has no such address, or the port is taken or not allowed.
    """
    if not 0 <= port <= 65535:
        raise UserError(f"--port {port}: expected 0 to 65535")
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"--host {host}: no such address: {reason}") from error
    family, *_, address = found[0]
    try:
        return socket.create_server(address, family=family, backlog=_BACKLOG)
    except OSError as error:
        number = error.errno or 0
        flag = f"--port {port}" if number in (errno.EADDRINUSE, errno.EACCES) else "--host"
        raise UserError(f"{flag}: cannot listen at {host}: {os.strerror(number)}") from error


def address_of(listening: socket.socket) -> str:
    """The URL under which a browser finds the service."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def serve(config: Config, listening: socket.socket) -> None:
    """Answer requests until Ctrl-C or SIGTERM, then give those at work time to finish.

    Args:
        config: See `make_config`.
        listening: See `bind`.
    """
    try:
        if config.workers > 1:
            Multiprocess(config, sockets=[listening]).run()
        else:
            Server(config).run(sockets=[listening])
    except KeyboardInterrupt:
        pass  # Ctrl-C is the normal end


def _most_connections() -> int:
    try:
        import resource
    except ImportError:  # Windows
        return MAX_CONNECTIONS
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(1, min(MAX_CONNECTIONS, files - _OTHER_FILES))


def make_config(settings: Settings, *, workers: int = 1) -> tuple[Config, str]:
    """Uvicorn's settings and the endpoint's name, after both model files were opened and tried.

    Args:
        settings: The settings of each process.
        workers: Number of processes. They share the port, and one that dies is started again.

    Raises:
        UserError: A model file cannot be opened; see `tasks.load`.
    """
    app: Any = make_app(settings)
    endpoint: str = app.state.endpoint
    if workers > 1:  # opened here first: a faulty file would fail in each worker again and again
        app = partial(_make_workers_app, settings)
    config = Config(
        app,
        factory=workers > 1,
        http=TimedProtocol,
        ws="none",
        timeout_keep_alive=settings.limits.head_seconds,  # type: ignore[arg-type]
        timeout_graceful_shutdown=_GRACE,
        server_header=False,
        log_config=_LOGGING,
        workers=workers,
    )
    return config, endpoint


def _make_workers_app(settings: Settings) -> FastAPI:
    """The application of a worker process, which ends when its parent was killed."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=follow, daemon=True).start()
    return make_app(settings)


class LogHandler(logging.StreamHandler[TextIO]):
    """Logs to standard error, without a traceback at each request when that is closed."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Ignore the error."""


_LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "%(asctime)s %(levelname)s %(message)s"}},
    "handlers": {"plain": {"()": LogHandler, "formatter": "plain"}},
    "loggers": {
        "uvicorn": {"handlers": ["plain"], "level": "INFO", "propagate": False},
    },
}


class TimedProtocol(H11Protocol):
    """Closes a connection whose client keeps it waiting longer than `timeout_keep_alive`.

    It waits for the next request's head, or for the client to read an answer. uvicorn itself
    waits for ever for the first byte, for a head that trickles in, for the rest of a body after
    the answer, and for a client that reads nothing. The application limits the time of a body
    that it reads. Connections beyond `MAX_CONNECTIONS` are closed at once.
    """

    _timer: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the clock."""
        super().connection_made(transport)
        # asyncio sets this only if the listening socket names its protocol. Head and body of an
        # answer are sent separately: without it the body waits 40 ms for the head's receipt.
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if len(self.connections) > _most_connections():
            transport.abort()
        self._restart()

    def pause_writing(self) -> None:
        """Start the clock for a client that does not read its answer."""
        super().pause_writing()
        self._unread = self.loop.call_later(self.timeout_keep_alive, self.transport.abort)

    def resume_writing(self) -> None:
        """Stop that clock: the client reads again."""
        super().resume_writing()
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def handle_events(self) -> None:
        """Stop the clock once a request has begun."""
        super().handle_events()
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop()

    def on_response_complete(self) -> None:
        """Start the clock again."""
        self._restart()  # before a request that waited behind this one begins
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock for good."""
        self._stop()
        if self._unread is not None:
            self._unread.cancel()
        super().connection_lost(exc)

    def _restart(self) -> None:
        self._stop()
        self._timer = self.loop.call_later(self.timeout_keep_alive, self.transport.close)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
