"""Ask Telegram for updates, again and again."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

from aiogram import Bot
from aiogram.exceptions import AiogramError, ClientDecodeError
from aiogram.methods import GetUpdates
from aiogram.types import Update

from .intake import KINDS
from .patience import Patience

_log = logging.getLogger(__name__)

_SECONDS = 30
"""For which Telegram keeps a request open until there is something."""

_STRANGE_PAUSE = 5.0
"""Seconds to the next try where a proxy, or nothing that is known, answers."""

_EMPTY_PAUSE = 1.0
"""The same where the answer is empty although nobody waited for news."""


async def poll(
    bot: Bot, take: Callable[[Update], None], stop: asyncio.Event, patience: Patience
) -> None:
    """Take updates until the bot ends.

    Args:
        bot: The bot, which has no webhook.
        take: Called with each update.
        stop: Set when the bot ends.
        patience: For requests that fail.

    Raises:
        UserError: Telegram does not know the token.
        TelegramAPIError: Telegram refuses the request.
    """
    ask = GetUpdates(timeout=_SECONDS, allowed_updates=KINDS)
    while not stop.is_set():
        began = time.monotonic()
        try:
            updates = await patience.ask(lambda: bot(ask, request_timeout=_SECONDS + 15))
        except ClientDecodeError as error:
            last = _last_of(error.data)
            if last is None:
                _log.warning("what answers is not Telegram: next try in %g s", _STRANGE_PAUSE)
                await patience.pause(_STRANGE_PAUSE)
                continue
            updates = _readable(error.data, bot)
            # The others would come again and again, and nothing else.
            ask.offset = last + 1
        for update in updates or ():
            ask.offset = max(ask.offset or 0, update.update_id + 1)
            take(update)
        if not updates and time.monotonic() - began < _EMPTY_PAUSE:
            await patience.pause(_EMPTY_PAUSE)
    if ask.offset is not None:
        # The next request would have told Telegram that these were taken.
        await _confirm(bot, ask.offset)


async def _confirm(bot: Bot, offset: int) -> None:
    try:
        await bot(GetUpdates(offset=offset, limit=1, timeout=0), request_timeout=5)
    except AiogramError as error:
        _log.warning("the last messages may be answered again (%s)", type(error).__name__)


def _readable(data: Any, bot: Bot) -> list[Update]:
    """The updates among some of which one at least is of an unknown form."""
    updates = []
    for one in data["result"]:
        try:
            updates.append(Update.model_validate(one, context={"bot": bot}))
        except ValueError:
            _log.error("an update of an unknown form is left out")
    return updates


def _last_of(data: object) -> int | None:
    """The last update's number in an answer that could not be read; None if there is none."""
    try:
        return max(int(update["update_id"]) for update in data["result"])  # type: ignore[index]
    except (TypeError, KeyError, ValueError):
        return None
