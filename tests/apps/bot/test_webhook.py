"""Updates that Telegram sends by itself, and those that somebody else does."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import replace
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
            for _ in range(2):  # Telegram has lost the first answer
                assert await _post(hook, update, **{_HEADER: secret}) == 200
            (call,) = await telegram.calls_of("sendPhoto")
            assert is_hidden(sent, call.content)
            await _post(hook, _photo(telegram, sent), **{_HEADER: secret})
            await telegram.calls_of("sendPhoto", 2)
            await asyncio.sleep(1.2)  # in one chat they are a second apart
            assert len(telegram.made("sendPhoto")) == 2
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


@pytest.mark.parametrize("host", ["", "..", "a\0b"])
def test_a_host_that_is_none(host: str) -> None:
    async def check() -> None:
        async with fake_telegram() as telegram:
            hook = replace(_hook(), host=host)
            # It would run on, if the address were taken for one.
            await asyncio.wait_for(run_to_its_end(telegram, webhook=hook), 10)

    with pytest.raises(UserError, match=r"--host .*: expected an address of this machine"):
        asyncio.run(check())


@pytest.mark.parametrize("path", ["a/hook", TOKEN])
def test_a_url_that_telegram_refuses(path: str) -> None:
    async def check() -> None:
        async with fake_telegram() as telegram:
            telegram.failures["setWebhook"] = [bad_request(f"no HTTPS URL in /bot{TOKEN}/x")]
            hook = replace(_hook(), url=f"https://example.org/{path}")
            await run_to_its_end(telegram, webhook=hook)

    with pytest.raises(UserError, match=r"--webhook https://example\.org/.*: refused") as error:
        asyncio.run(check())
    assert "secret" not in str(error.value)
