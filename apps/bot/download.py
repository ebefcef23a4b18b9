"""Download what a user sent, into memory."""

from __future__ import annotations

import asyncio
import io

from aiogram import Bot
from aiogram.exceptions import TelegramBadRequest
from aiohttp import ClientError, ClientPayloadError, ClientResponseError

from .limits import DOWNLOAD
from .media import Attachment
from .refusal import Refusal

_SECONDS = 120
_TRIES = 4


async def download(bot: Bot, attachment: Attachment) -> bytes:
    """The content of a file.

    Raises:
        Refusal: It is larger than Telegram said at first, or is no longer there.
        TelegramAPIError: Telegram cannot be reached.
        ClientError: The file cannot be had; its text has the bot's token in it.
    """
    try:
        file = await bot.get_file(attachment.file_id)
    except TelegramBadRequest as error:
        too_big = "too big" in error.message
        raise Refusal("too_large" if too_big else "gone") from error
    if (file.file_size or 0) > DOWNLOAD:
        raise Refusal("too_large")
    if file.file_path is None:
        raise Refusal("gone")
    for failures in range(1, _TRIES + 1):
        target = _Bounded()
        try:
            await bot.download_file(file.file_path, target, timeout=_SECONDS)
            if target.getbuffer().nbytes < (file.file_size or 0):
                raise ClientPayloadError("cut off where the server did not say how much comes")
        except (ClientError, TimeoutError) as error:
            lasting = isinstance(error, ClientResponseError) and error.status < 500
            if lasting or failures == _TRIES:
                raise
            await asyncio.sleep(2 ** (failures - 1))
        else:
            break
    return target.getvalue()


class _Bounded(io.BytesIO):
    """Refuses more than may be downloaded, whatever was said before."""

    def write(self, data: bytes, /) -> int:  # type: ignore[override]
        if self.tell() + len(data) > DOWNLOAD:
            raise Refusal("too_large")
        return super().write(data)
