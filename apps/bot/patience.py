"""Go on when Telegram cannot be reached, until it can."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from aiogram.exceptions import (
    TelegramAPIError,
    TelegramBadRequest,
    TelegramConflictError,
    TelegramForbiddenError,
    TelegramNotFound,
    TelegramUnauthorizedError,
)

from ...errors import UserError

_log = logging.getLogger(__name__)

_FIRST, _LONGEST = 1.0, 30.0
"""Seconds between two tries."""

Result = TypeVar("Result")


class Patience:
    """Asks again and again, at growing intervals, until the bot ends.

    Args:
        stop: Set when the bot ends.
        token_from: Where the token comes from, for the message that it is wrong.
    """

    def __init__(self, stop: asyncio.Event, *, token_from: str) -> None:
        self._stop = stop
        self._token_from = token_from

    async def ask(self, call: Callable[[], Awaitable[Result]]) -> Result | None:
        """The answer to a request; None if the bot ends before it comes.

        Raises:
            UserError: Telegram does not know the token.
            TelegramAPIError: Telegram refuses the request.
            ClientDecodeError: The answer is none of Telegram's.
        """
        wait = _FIRST
        while not self._stop.is_set():
            asked = asyncio.ensure_future(call())
            ends = asyncio.ensure_future(self._stop.wait())
            try:
                await asyncio.wait((asked, ends), return_when=asyncio.FIRST_COMPLETED)
                if not asked.done():
                    return None
                return asked.result()
            except TelegramUnauthorizedError as error:
                raise UserError(f"{self._token_from}: Telegram does not know this token") from error
            except TelegramAPIError as error:
                if not _passes(error):
                    raise
                _log.warning("%s: next try in %.0f s", _cause(error), wait)
            finally:
                asked.cancel()
                ends.cancel()
            await self.pause(wait)
            wait = min(2 * wait, _LONGEST)
        return None

    async def pause(self, seconds: float) -> None:
        """Wait, but not longer than the bot runs."""
        try:
            await asyncio.wait_for(self._stop.wait(), seconds)
        except TimeoutError:
            return


def _passes(error: TelegramAPIError) -> bool:
    """Whether a later try may succeed: all but what is wrong with the request itself."""
    return not isinstance(error, TelegramBadRequest | TelegramForbiddenError | TelegramNotFound)


def _cause(error: TelegramAPIError) -> str:
    """What happened. The error's own text may have the token in it."""
    if isinstance(error, TelegramConflictError):
        return "another program asks Telegram for this bot's messages"
    return f"Telegram does not answer ({type(error.__cause__ or error).__name__})"
