"""The service on a port: connections that are cut when slow, and processes."""

from __future__ import annotations

import asyncio
import socket
from functools import partial

from uvicorn import Config, Server
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.supervisors import Multiprocess

from ...errors import UserError
from .app import Settings, make_app

_GRACE = 30  # seconds that requests at work get when the service ends
_BACKLOG = 2048


def bind(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Args:
        host: A name or an address, IPv4 or IPv6.
        port: 0 for any that is free.

    Raises:
        UserError: There is no such address here, or the port is taken or not allowed.
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
        reason = error.strerror or str(error)
        raise UserError(f"--port {port}: cannot listen at {host}: {reason}") from error


def address_of(listening: socket.socket) -> str:
    """Where a browser finds it."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def serve(settings: Settings, listening: socket.socket, *, workers: int = 1) -> None:
    """Answer requests until Ctrl-C or SIGTERM; what is at work then is ended.

    Args:
        settings: For each process.
        listening: See `bind`.
        workers: Processes. Several share the port, and one that dies is started again.
    """
    config = make_config(settings, workers=workers)
    try:
        if workers > 1:
            Multiprocess(config, sockets=[listening]).run()
        else:
            Server(config).run(sockets=[listening])
    except KeyboardInterrupt:
        pass  # the way to end it


def make_config(settings: Settings, *, workers: int = 1) -> Config:
    """Uvicorn's settings."""
    return Config(
        partial(make_app, settings),
        factory=True,
        http=TimedProtocol,
        ws="none",
        timeout_keep_alive=settings.limits.head_seconds,  # type: ignore[arg-type]
        timeout_graceful_shutdown=_GRACE,
        server_header=False,
        workers=workers,
    )


class TimedProtocol(H11Protocol):
    """Closes a connection whose next request's head takes longer than `timeout_keep_alive`.

    uvicorn itself waits for ever for the first byte, for a head that trickles in, and for the rest
    of a body after the answer. The time of a body that is wanted is the application's matter.
    """

    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the time."""
        super().connection_made(transport)
        self._restart()

    def handle_events(self) -> None:
        """Stop the time where a request has begun."""
        super().handle_events()
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop()

    def on_response_complete(self) -> None:
        """Start the time again."""
        self._restart()  # before a request that waited behind this one begins
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the time."""
        self._stop()
        super().connection_lost(exc)

    def _restart(self) -> None:
        self._stop()
        self._timer = self.loop.call_later(self.timeout_keep_alive, self.transport.close)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
