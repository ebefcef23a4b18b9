"""Collect the messages of albums, which arrive one by one and without an end mark."""

from __future__ import annotations

import asyncio

from aiogram.types import Message


class Albums:
    """Albums that are arriving.

    Args:
        seconds: An album is complete when nothing of it has come for so long.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._arriving: dict[tuple[int, str], list[Message]] = {}
        self._closed = asyncio.Event()

    async def whole(self, message: Message) -> list[Message] | None:
        """The messages of an album in their order, for the first one; None for the others."""
        if message.media_group_id is None:
            return [message]
        key = message.chat.id, message.media_group_id
        if key in self._arriving:
            self._arriving[key].append(message)
            return None
        messages = self._arriving[key] = [message]
        try:
            count = 0
            while count < len(messages) and not self._closed.is_set():
                count = len(messages)
                try:
                    await asyncio.wait_for(self._closed.wait(), self._seconds)
                except TimeoutError:
                    continue
        finally:
            del self._arriving[key]
        return sorted(messages, key=lambda one: one.message_id)

    def close(self) -> None:
        """Wait for no more of them."""
        self._closed.set()
