"""Places for requests, of which few are at work and some wait."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from .limits import Limits
from .refusal import Refusal


class Places:
    """A queue with a limit, in the order of arrival.

    Args:
        limits: How many are at work, wait, and are of one chat.
    """

    def __init__(self, limits: Limits) -> None:
        self._free = limits.at_work + limits.waiting
        self._of_chat = limits.of_chat
        self._taken: Counter[int] = Counter()
        self._idle = limits.at_work
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._closed = False

    @contextmanager
    def place(self, chat: int) -> Iterator[None]:
        """Hold one place from before a file is downloaded until its answer is sent.

        Raises:
            Refusal: No place is free, or the chat has enough of them.
        """
        if not self._free or self._taken[chat] >= self._of_chat:
            raise Refusal("busy")
        self._free -= 1
        self._taken[chat] += 1
        try:
            yield
        finally:
            self._free += 1
            self._taken[chat] -= 1
            if not self._taken[chat]:
                del self._taken[chat]

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for the turn to work.

        Raises:
            Refusal: The bot ends.
        """
        if self._closed:
            raise Refusal("ending")
        if self._idle:
            self._idle -= 1
        else:
            called: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(called)
            await called
        try:
            yield
        finally:
            self._idle += 1
            while self._idle and self._waiting:
                called = self._waiting.popleft()
                if not called.done():  # cancelled
                    called.set_result(None)
                    self._idle -= 1

    def close(self) -> None:
        """Refuse all who wait, and who come; what is at work goes on."""
        self._closed = True
        while self._waiting:
            self._waiting.popleft().set_exception(Refusal("ending"))
