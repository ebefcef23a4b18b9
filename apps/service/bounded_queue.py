"""So many requests at work, so many that wait, and no more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from fastapi import HTTPException

_RETRY_AFTER = 1  # seconds; a place is free again after some tens of milliseconds

Result = TypeVar("Result")


class BoundedQueue:
    """Threads that do the work of requests, in the order of their coming.

    Args:
        at_work: Threads.
        waiting: Requests beyond those that may wait, or be on their way in.
    """

    def __init__(self, *, at_work: int, waiting: int) -> None:
        self._threads = ThreadPoolExecutor(at_work, thread_name_prefix="service")
        self._free = at_work + waiting

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold one place, from before the body is read, so that memory is bounded, too.

        Raises:
            HTTPException: 503 with Retry-After: none is free.
        """
        if not self._free:
            raise HTTPException(
                503,
                "all places are taken: try again",
                headers={"Retry-After": str(_RETRY_AFTER)},
            )
        self._free -= 1
        try:
            yield
        finally:
            self._free += 1

    async def run(self, work: Callable[[], Result]) -> Result:
        """Do some work in one of the threads."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)
