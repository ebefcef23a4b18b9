"""Hand each update on to a task of its own, and know when all are done."""

from __future__ import annotations

import asyncio
import logging
from collections import deque

from aiogram import Bot, Dispatcher
from aiogram.types import Update

from .desk import where

_log = logging.getLogger(__name__)

KINDS = ["message", "callback_query"]
"""The updates that Telegram is asked for."""

_KNOWN = 1000
"""Updates that are remembered: Telegram sends one again that it does not know to be taken."""


class Intake:
    """Starts the work on updates.

    Args:
        bot: The bot.
        dispatcher: Knows what is to be called for which update.
    """

    def __init__(self, bot: Bot, dispatcher: Dispatcher) -> None:
        self._bot = bot
        self._dispatcher = dispatcher
        self._tasks: set[asyncio.Task[None]] = set()
        self._known: deque[int] = deque(maxlen=_KNOWN)

    def take(self, update: Update) -> None:
        """Begin with an update, unless it came before."""
        if update.update_id in self._known:
            return
        self._known.append(update.update_id)
        task = asyncio.create_task(self._feed(update))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def finished(self) -> None:
        """Wait until all is answered."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _feed(self, update: Update) -> None:
        try:
            await self._dispatcher.feed_update(self._bot, update)
        except Exception as error:
            _log.error("an update failed: %s", where(error))
