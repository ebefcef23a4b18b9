"""Updates that Telegram sends by itself, and those that somebody else does."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest
from aiohttp import ClientSession

from pocketface.apps.bot.webhook import Webhook
from pocketface.errors import UserError

from .fake_telegram import TOKEN, FakeTelegram, bad_request, fake_telegram
from .harness import is_hidden, jpeg, noise, run_to_its_end, running

_HEADER = "X-Telegram-Bot-Api-Secret-Token"


def _hook() -> Webhook:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    return Webhook(url="https://example.org/a/hook", port=port)


async def _post(hook: Webhook, body: Any, **headers: str) -> int:
    url = f"http://{hook.host}:{hook.port}/a/hook"
    async with ClientSession() as session, session.post(url, json=body, headers=headers) as answer:
        return answer.status


def _photo(telegram: FakeTelegram, content: bytes) -> dict[str, Any]:
    return telegram.update(telegram.message(telegram.person(), **telegram.photo(content)))


def test_updates_with_the_secret_alone_are_taken(caplog: pytest.LogCaptureFixture) -> None:
    async def check() -> None:
        hook = _hook()
        async with running(webhook=hook) as telegram:
            (told,) = await telegram.calls_of("setWebhook")
            assert told.fields["url"] == hook.url
            assert told.fields["allowed_updates"] == ["message", "callback_query"]
            secret = told.fields["secret_token"]
            assert TOKEN.partition(":")[2] not in secret
            sent = jpeg(noise())
            update = _photo(telegram, sent)
            for wrong in ({}, {_HEADER: ""}, {_HEADER: secret[:-1]}, {_HEADER: "é" + secret[1:]}):
                assert await _post(hook, update, **wrong) == 401
            assert await _post(hook, {"message": "secret words"}, **{_HEADER: secret}) == 200
            assert await _post(hook, update, **{_HEADER: secret}) == 200
            (call,) = await telegram.calls_of("sendPhoto")
            assert is_hidden(sent, call.content)
            assert telegram.asked == 0

    asyncio.run(check())
    assert "unknown form" in caplog.text
    assert "secret words" not in caplog.text


def test_without_a_webhook_an_earlier_one_is_removed() -> None:
    """Telegram answers who asks only where there is none."""

    async def check() -> None:
        async with running() as telegram:
            await telegram.calls_of("deleteWebhook")
            await telegram.until(lambda: telegram.asked)

    asyncio.run(check())


def test_a_port_that_is_taken() -> None:
    async def check() -> None:
        async with fake_telegram() as telegram:
            with socket.create_server(("127.0.0.1", 0)) as taken:
                port = taken.getsockname()[1]
                await run_to_its_end(telegram, webhook=Webhook(url="https://e.org", port=port))

    with pytest.raises(UserError, match=r"--port \d+: cannot listen at 127.0.0.1: Address already"):
        asyncio.run(check())


def test_a_url_that_telegram_refuses() -> None:
    async def check() -> None:
        async with fake_telegram() as telegram:
            telegram.failures["setWebhook"] = [bad_request("an HTTPS URL must be provided")]
            await run_to_its_end(telegram, webhook=_hook())

    with pytest.raises(UserError, match=r"--webhook https://example\.org/a/hook: refused: Bad"):
        asyncio.run(check())
