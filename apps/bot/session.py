"""Tell Telegram's answers from those of a proxy before it, which speaks HTML."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.exceptions import (
    ClientDecodeError,
    TelegramAPIError,
    TelegramNetworkError,
    TelegramRetryAfter,
    TelegramServerError,
)

if TYPE_CHECKING:
    from aiogram import Bot
    from aiogram.methods import Response, TelegramMethod
    from aiogram.methods.base import TelegramType

_WAIT = 5
"""Seconds, where somebody asks to wait and does not say how long."""


class Session(AiohttpSession):
    """Sends the bot's requests."""

    def check_response(
        self, bot: Bot, method: TelegramMethod[TelegramType], status_code: int, content: str
    ) -> Response[TelegramType]:
        """Read an answer.

        Raises:
            TelegramAPIError: Telegram refuses the request, or it does not get there.
            ClientDecodeError: The answer is none of Telegram's.
        """
        try:
            answer = super().check_response(bot, method, status_code, content)
        except (TelegramRetryAfter, TelegramNetworkError, TelegramServerError):
            raise
        except (ClientDecodeError, TelegramAPIError, TypeError):
            # A TypeError is of aiogram, about an answer without a description.
            about: dict[str, Any] = {"method": method, "message": f"status {status_code}"}
            if status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
                raise TelegramServerError(**about) from None
            if status_code == HTTPStatus.TOO_MANY_REQUESTS:
                raise TelegramRetryAfter(**about, retry_after=_WAIT) from None
            raise
        if answer.result is None:  # nothing that is asked for is
            raise ClientDecodeError("no result", ValueError("null"), content)
        return answer
