"""Send no faster than Telegram allows, wait as long as it says, and try again after a failure."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from aiogram.client.session.middlewares.base import (
    BaseRequestMiddleware,
    NextRequestMiddlewareType,
)
from aiogram.exceptions import (
    TelegramEntityTooLarge,
    TelegramNetworkError,
    TelegramRetryAfter,
    TelegramServerError,
)
from aiogram.methods import AnswerCallbackQuery, GetFile, Response, SendMediaGroup, TelegramMethod
from aiogram.methods.base import TelegramType

if TYPE_CHECKING:
    from aiogram import Bot

_log = logging.getLogger(__name__)

_ALL_GAP, _CHAT_GAP, _GROUP_GAP = 1 / 30, 1.0, 3.0
"""Seconds between two messages: in all, in one chat, in one group
(core.telegram.org/bots/faq#my-bot-is-hitting-limits-how-do-i-avoid-this)."""

_LONGEST_WAIT = 300.0
"""Seconds in all; who is told to wait longer gets no answer."""

_TRIES = 4


class Pace(BaseRequestMiddleware):
    """Goes between the bot and Telegram, for every request."""

    def __init__(self) -> None:
        self._all_next = 0.0
        self._chat_next: dict[int, float] = {}

    async def __call__(
        self,
        make_request: NextRequestMiddlewareType[TelegramType],
        bot: Bot,
        method: TelegramMethod[TelegramType],
    ) -> Response[TelegramType]:
        """Make a request when it is allowed, as often as needed.

        Raises:
            TelegramAPIError: Telegram refuses it, or cannot be reached.
        """
        chat = _chat_of(method)
        failures = waited = 0
        while True:
            if chat is not None:
                await self._turn(chat, method)
            try:
                return await make_request(bot, method)
            except TelegramRetryAfter as error:
                waited += max(1, error.retry_after)
                if waited > _LONGEST_WAIT:
                    raise
                _log.info("Telegram asks to wait for %s s", error.retry_after)
                if chat is None:
                    await asyncio.sleep(max(1, error.retry_after))
                else:
                    self._hold(chat, error.retry_after)
            except TelegramEntityTooLarge:
                raise
            except (TelegramNetworkError, TelegramServerError):
                failures += 1
                # What is not for one user is tried again by who asks for it.
                for_user = chat is not None or isinstance(method, GetFile | AnswerCallbackQuery)
                if not for_user or failures == _TRIES:
                    raise
                await asyncio.sleep(2 ** (failures - 1))

    async def _turn(self, chat: int, method: TelegramMethod[Any]) -> None:
        """Wait until one more message may be sent."""
        while True:
            now = asyncio.get_running_loop().time()
            self._chat_next = {one: when for one, when in self._chat_next.items() if when > now}
            wait = max(self._all_next, self._chat_next.get(chat, 0.0)) - now
            if wait <= 0:
                break
            await asyncio.sleep(wait)
        count = len(method.media) if isinstance(method, SendMediaGroup) else 1
        self._all_next = max(now, self._all_next) + count * _ALL_GAP
        self._chat_next[chat] = now + (_CHAT_GAP if chat > 0 else _GROUP_GAP)

    def _hold(self, chat: int, seconds: float) -> None:
        until = asyncio.get_running_loop().time() + seconds
        self._chat_next[chat] = max(until, self._chat_next.get(chat, 0.0))


def _chat_of(method: TelegramMethod[Any]) -> int | None:
    """The chat in which a request makes a new message; None for another request."""
    chat = getattr(method, "chat_id", None)
    return chat if isinstance(chat, int) and method.__api_method__.startswith("send") else None
