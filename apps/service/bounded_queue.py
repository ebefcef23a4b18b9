"""A queue with a limit on the requests at work and on those that wait."""

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
    """Threads that process requests in the order of arrival.

    Args:
        at_work: Number of threads.
        waiting: Number of further requests that may wait or be arriving.
    """

    def __init__(self, *, at_work: int, waiting: int) -> None:
        self._threads = ThreadPoolExecutor(at_work, thread_name_prefix="service")
        self._free = at_work + waiting

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
        try:
            yield
        finally:
            self._free += 1

    async def run(self, work: Callable[[], Result]) -> Result:
        """Run `work` in one of the threads, and return its result."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)
