"""A queue with a limit on the requests at work and on those that wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from fastapi import HTTPException, Request
from starlette.requests import ClientDisconnect

_RETRY_AFTER = 1  # seconds; a place is free again after some tens of milliseconds

HALF_CLOSED = "half_closed"
"""Key of a request's state: its client has ended its sending side, and perhaps has left."""

Result = TypeVar("Result")


@dataclass(eq=False)
class _Waiting:
    request: Request
    turn: asyncio.Event = field(default_factory=asyncio.Event)

    def may_have_left(self) -> bool:
        return HALF_CLOSED in self.request.scope["state"]


class BoundedQueue:
    """Threads that process requests in the order of arrival.

    A request whose client has left is dropped before its work begins. TCP does not tell a client
    that has left in good order from one that has only ended its sending side (RFC 9293, 3.6): such
    requests are answered, but after all others.

    Args:
        at_work: Number of threads.
        waiting: Number of further requests that may wait or be arriving.
        on_change: Called with both numbers as they are, after each change.
    """

    def __init__(
        self,
        *,
        at_work: int,
        waiting: int,
        on_change: Callable[[int, int], None] | None = None,
    ) -> None:
        self._threads = ThreadPoolExecutor(at_work, thread_name_prefix="service")
        self._free = self._places = at_work + waiting
        self._at_work = at_work
        self._on_change = on_change
        self._idle = at_work
        self._waiting: list[_Waiting] = []

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold one place, from before the body is read, so that memory is bounded too.

        Raises:
            HTTPException: 503 with Retry-After: no place is free.
        """
        if not self._free:
            raise HTTPException(
                503,
                "all places are taken: try again",
                headers={"Retry-After": str(_RETRY_AFTER)},
            )
        self._free -= 1
        self._tell()
        try:
            yield
        finally:
            self._free += 1
            self._tell()

    def _tell(self) -> None:
        at_work = self._at_work - self._idle
        # A thread may still work for a client that has left its place.
        waiting = max(0, self._places - self._free - at_work)
        if self._on_change is not None:
            self._on_change(at_work, waiting)

    async def run(self, request: Request, work: Callable[[], Result]) -> Result:
        """Run `work` in one of the threads when it is the request's turn, and return its result.

        Args:
            request: One whose body has been read.
            work: What to do for it.

        Raises:
            ClientDisconnect: The client left before the work began.
        """
        await self._turn_of(request)
        begun = asyncio.get_running_loop().run_in_executor(self._threads, work)
        begun.add_done_callback(lambda _: self._thread_is_free())
        return await asyncio.shield(begun)

    async def _turn_of(self, request: Request) -> None:
        one = _Waiting(request)
        self._waiting.append(one)
        self._call_next()
        left = asyncio.ensure_future(_leaves(request))
        turn = asyncio.ensure_future(one.turn.wait())
        try:
            await asyncio.wait((left, turn), return_when=asyncio.FIRST_COMPLETED)
            if left.done():
                raise ClientDisconnect
        except BaseException:
            if one.turn.is_set():
                self._thread_is_free()
            else:
                self._waiting.remove(one)
            raise
        finally:
            left.cancel()
            turn.cancel()

    def _thread_is_free(self) -> None:
        self._idle += 1
        self._call_next()
        self._tell()

    def _call_next(self) -> None:
        if self._idle and self._waiting:
            one = min(self._waiting, key=_Waiting.may_have_left)  # the first of those that are best
            self._waiting.remove(one)
            self._idle -= 1
            one.turn.set()
            self._tell()


async def _leaves(request: Request) -> None:
    """Return when the client has left."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
