"""Let Telegram send updates to this machine."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from aiogram import Bot
from aiogram.types import Update
from aiohttp import web

from ...errors import UserError

_log = logging.getLogger(__name__)

_HEADER = "X-Telegram-Bot-Api-Secret-Token"


@dataclass(frozen=True, kw_only=True)
class Webhook:
    """Where updates are sent to.

    Attributes:
        url: What Telegram calls; the path is that of the requests here too.
        host: Address to listen at.
        port: Port to listen at.
    """

    url: str
    host: str = "127.0.0.1"
    port: int = 8443


def secret_of(token: str) -> str:
    """What Telegram sends along, so that nobody else's updates are taken.

    It is the same after a restart and in several processes, and does not tell the token.
    """
    return hmac.new(token.encode(), b"pocketface webhook", hashlib.sha256).hexdigest()


@asynccontextmanager
async def listening(
    webhook: Webhook, bot: Bot, take: Callable[[Update], None], stop: asyncio.Event
) -> AsyncIterator[None]:
    """Listen for as long as the block runs.

    Args:
        webhook: Where.
        bot: The bot.
        take: Called with each update.
        stop: Set when the bot ends: what comes then, Telegram sends again later.

    Raises:
        UserError: The address cannot be listened at.
    """
    secret = secret_of(bot.token).encode()

    async def receive(request: web.Request) -> web.Response:
        given = request.headers.get(_HEADER, "").encode("utf-8", "surrogateescape")
        if not hmac.compare_digest(given, secret):
            return web.Response(status=401)
        if stop.is_set():
            return web.Response(status=503)
        try:
            update = Update.model_validate_json(await request.read(), context={"bot": bot})
        except ValueError:
            _log.error("an update of an unknown form is left out")
        else:
            take(update)
        return web.Response()

    app = web.Application()
    app.router.add_post(urlsplit(webhook.url).path or "/", receive)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        try:
            if not webhook.host:  # which would be all addresses
                raise ValueError
            await web.TCPSite(runner, webhook.host, webhook.port).start()
        except ValueError:  # of what cannot be a name
            raise UserError(f"--host {webhook.host}: expected an address of this machine") from None
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
            raise UserError(
                f"--port {webhook.port}: cannot listen at {webhook.host}: {reason}"
            ) from error
        yield
    finally:
        await runner.cleanup()
