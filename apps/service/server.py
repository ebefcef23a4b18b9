"""The service on a port: worker processes, and an end to every connection."""

from __future__ import annotations

import asyncio
import errno
import logging
import multiprocessing
import os
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TextIO

import h11
from fastapi import FastAPI
from uvicorn import Config, Server
from uvicorn.config import STARTUP_FAILURE
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.supervisors import Multiprocess

from ...errors import PocketfaceError, UserError
from . import observed
from .app import Settings, make_app
from .bounded_queue import HALF_CLOSED
from .metrics import FOLDER
from .tls import Tls

_GRACE = 30  # seconds that requests at work get when the service ends
_BACKLOG = 2048

MAX_CONNECTIONS = 500
"""Connections of one process from which on it answers 503, if its open files allow that many."""

_OTHER_FILES = 64

_MOST_FAILED = 3
"""Worker processes in a row that end before they answer, after which no more are started. One may
have been killed for want of memory that is there again."""

_REASON = "reason-"
"""Begins the names of files, in the folder of figures, that say why a worker process ended."""


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
        listening = socket.create_server(address, family=family, backlog=_BACKLOG)
        # asyncio sends each part of an answer at once only where the socket names its protocol;
        # else the body waits 40 ms for the head's receipt.
        number = listening.detach()
        return socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP, fileno=number)
    except OSError as error:
        code = error.errno or 0
        flag = f"--port {port}" if code in (errno.EADDRINUSE, errno.EACCES) else "--host"
        raise UserError(f"{flag}: cannot listen at {host}: {os.strerror(code)}") from error


def address_of(listening: socket.socket, *, tls: bool = False) -> str:
    """The URL under which a browser finds the service."""
    host, port = listening.getsockname()[:2]
    scheme = "https" if tls else "http"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def serve(config: Config, listening: socket.socket) -> None:
    """Answer requests until Ctrl-C or SIGTERM, then give those at work time to finish.

    Args:
        config: See `make_config`.
        listening: See `bind`.

    Raises:
        PocketfaceError: Worker processes cannot start.
        UserError: There is no temporary folder for them.
    """
    try:
        if config.workers > 1:
            _leave_closed_folder()
            with _folder_of_figures() as folder:
                workers = Workers(config, sockets=[listening])
                workers.run()
                if workers.why_not:
                    said = [one.read_text(encoding="utf-8") for one in folder.glob(f"{_REASON}*")]
                    reason = said[0] if said else workers.why_not
                    raise PocketfaceError(f"worker processes cannot start: {reason}")
        else:
            Server(config).run(sockets=[listening])
    except KeyboardInterrupt:
        pass  # Ctrl-C is the normal end


class Workers(Multiprocess):
    """Processes that share a port; one that dies is started again, if it had ever begun to answer.

    Attributes:
        why_not: Why they were given up; empty if they were not.
    """

    why_not = ""

    def __init__(self, config: Config, sockets: list[socket.socket]) -> None:
        super().__init__(config, sockets)
        self._begun: set[int | None] = set()
        self._failed = 0

    def keep_subprocess_alive(self) -> None:
        """Look after the processes; called now and then."""
        timeout = self.config.timeout_worker_healthcheck
        for worker in self.processes:
            if worker.pid in self._begun:
                continue
            if worker.process.is_alive():
                if worker.is_ready(timeout):
                    self._begun.add(worker.pid)
                    self._failed = 0
                continue
            code = worker.exitcode or 0
            self._failed = _MOST_FAILED if code == STARTUP_FAILURE else self._failed + 1
            if self._failed >= _MOST_FAILED:
                how = f"signal {-code}" if code < 0 else f"exit code {code}"
                self.why_not = f"one ended with {how} before it could answer"
                self.should_exit.set()
                return
        super().keep_subprocess_alive()
        # It ends by itself where one fails between both looks.
        if any(worker.exitcode == STARTUP_FAILURE for worker in self.processes):
            self.why_not = self.why_not or f"one ended with exit code {STARTUP_FAILURE}"


def _leave_closed_folder() -> None:
    """Go where worker processes can begin: they begin where this one is.

    A service that another user started is in that user's folder, which may be closed to it.
    """
    try:
        if os.access(os.getcwd(), os.X_OK):
            return
    except OSError:  # the folder is gone
        pass
    os.chdir(os.path.abspath(os.sep))


@contextmanager
def _folder_of_figures() -> Iterator[Path]:
    """An empty folder that worker processes find in their environment, until they have ended."""
    before = os.environ.get(FOLDER)
    try:
        made = tempfile.TemporaryDirectory(prefix="pocketface-", ignore_cleanup_errors=True)
    except OSError as error:
        raise UserError(
            f"--workers: no folder for the processes' figures: {error.strerror}",
            hint="$TMPDIR names a folder that can be written",
        ) from error
    with made as folder:
        os.environ[FOLDER] = folder
        try:
            yield Path(folder)
        finally:
            os.environ.pop(FOLDER)
            if before is not None:
                os.environ[FOLDER] = before


def _most_connections() -> int:
    try:
        import resource
    except ImportError:  # Windows
        return MAX_CONNECTIONS
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(1, min(MAX_CONNECTIONS, files - _OTHER_FILES))


def make_config(
    settings: Settings, *, workers: int = 1, tls: Tls | None = None
) -> tuple[Config, dict[str, int]]:
    """Uvicorn's settings, and the endpoints' paths with the number of photos that each takes.

    All model files are opened and tried before.

    Args:
        settings: The settings of each process.
        workers: Number of processes. They share the port, and one that dies is started again.
        tls: The certificate; None for HTTP in the clear.

    Raises:
        UserError: A model file cannot be opened, see `tasks.load`; or see `Tls.check`.
    """
    if tls is not None:
        tls.check()
    app: Any = make_app(settings)
    endpoints: dict[str, int] = app.state.endpoints
    if workers > 1:  # opened here first: a faulty file would fail in each worker again and again
        app = partial(_make_workers_app, settings)
    config = Config(
        app,
        factory=workers > 1,
        http=partial(ShortLivedProtocol, settings.limits.connection_seconds),  # type: ignore[arg-type]
        ws="none",
        headers=[("X-Content-Type-Options", "nosniff")],
        limit_concurrency=_most_connections(),
        timeout_graceful_shutdown=_GRACE,
        server_header=False,
        log_config=_LOGGING,
        access_log=False,  # `observed` has its own, without what clients sent
        ssl_certfile=None if tls is None else tls.certificate,
        ssl_keyfile=None if tls is None else tls.key,
        workers=workers,
    )
    return config, endpoints


def _make_workers_app(settings: Settings) -> FastAPI:
    """The application of a worker process, which ends when its parent was killed."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=follow, daemon=True).start()
    folder = Path(os.environ[FOLDER])
    try:
        return make_app(settings, figures=folder)
    except Exception as error:  # else a traceback, again and again
        said = " ".join(str(error).split()) or type(error).__name__
        (folder / f"{_REASON}{os.getpid()}").write_text(said, encoding="utf-8")
        sys.exit(STARTUP_FAILURE)


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
        observed.__name__: {"handlers": ["plain"], "level": "INFO", "propagate": False},
    },
}


class ShortLivedProtocol(H11Protocol):
    """A connection that ends some time, and that a client may half-close.

    uvicorn waits for ever for the first byte of a request, for a head that trickles in, and for a
    client that reads no answer. The application limits the time of a body that it reads.

    Args:
        seconds: See `Limits.connection_seconds`.
        arguments: See `H11Protocol`.
    """

    def __init__(self, seconds: float, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._seconds = seconds
        self._clocks: tuple[asyncio.TimerHandle, ...] = ()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the clocks."""
        super().connection_made(transport)
        self._clocks = (
            self.loop.call_later(self._seconds, self._close_when_answered),
            self.loop.call_later(3 * self._seconds, transport.abort),
        )

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clocks."""
        for clock in self._clocks:
            clock.cancel()
        super().connection_lost(exc)

    def eof_received(self) -> bool:  # type: ignore[override]
        """Keep what a client has closed for sending open until its request is answered."""
        whole = self.cycle is not None and not self.cycle.more_body
        if not whole or self.cycle.response_complete:
            return False
        if self.transport.get_extra_info("sslcontext") is not None:
            return False  # TLS closes both sides at once
        self.cycle.scope["state"][HALF_CLOSED] = True
        self.shutdown()  # after the answer
        return True

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP with the headers of all answers, if none has begun.

        uvicorn lets the application answer too, which fails with a traceback in the log.
        """
        if self.cycle is not None:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            headers = [
                *self.server_state.default_headers,
                (b"content-type", b"text/plain; charset=utf-8"),
                (b"connection", b"close"),
            ]
            head = h11.Response(status_code=400, headers=headers, reason=b"Bad Request")
            for event in (head, h11.Data(data=msg.encode()), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _close_when_answered(self) -> None:
        if not self.transport.is_closing():
            self.shutdown()
