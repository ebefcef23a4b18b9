"""How much the service takes on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Limits of one process.

    Attributes:
        at_work: Number of photos processed at once.
        waiting: Number of further requests that may wait; any more get 503.
        body_bytes: Largest body of a request, in bytes; a larger one gets 413.
        body_seconds: Seconds in which a body must arrive; else 408.
        connection_seconds: Age in seconds at which a connection is closed, after the answer that it
            waits for; three times as much, and it is cut.
        frames: Most frames of an animation; one of more gets 413.
    """

    at_work: int = 1
    waiting: int = 64
    body_bytes: int = 10_000_000
    body_seconds: float = 30
    connection_seconds: float = 60
    frames: int = 200
