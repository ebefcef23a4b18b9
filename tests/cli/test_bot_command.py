"""`pocketface bot`: its start, its end, and what it refuses."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sent_photos import HOPPER

from ..apps.bot.fake_telegram import TOKEN, FakeTelegram, fake_telegram

pytest.importorskip("aiogram", reason="needs aiogram")

Run = Callable[..., Any]


@asynccontextmanager
async def answering(telegram: FakeTelegram, *flags: str) -> AsyncIterator[Process]:
    """A bot in a process of its own."""
    command = ["-m", "pocketface", "bot", "--api-server", telegram.base, *flags]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *command,
        stdout=PIPE,
        stderr=PIPE,
        env={**os.environ, "POCKETFACE_BOT_TOKEN": TOKEN},
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def test_ends_at_sigterm_when_all_at_work_is_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    left = tmp_path / ".scratch.pocketface-0123456789ab"  # by a bot that was killed
    left.mkdir()
    (left / "sent").write_bytes(b"somebody's video")

    async def check() -> None:
        async with fake_telegram() as telegram, answering(telegram, "-v") as process:
            assert process.stdout is not None
            said = await asyncio.wait_for(process.stdout.readline(), 60)
            assert said == b"@blur_bot answers; Ctrl-C ends it\n"
            assert not left.exists()
            telegram.slow = 1.0
            who = telegram.person(language="ru")
            photo = telegram.photo(HOPPER.read_bytes(), caption="secret words")
            telegram.send(telegram.message(who, **photo))
            await telegram.until(lambda: telegram.downloads)
            process.send_signal(signal.SIGTERM)
            _, log = await asyncio.wait_for(process.communicate(), 30)
            (call,) = telegram.made("sendPhoto")
            assert call.content[:2] == b"\xff\xd8"
            assert process.returncode == 0
            for text in ("secret", "name7", "file-id"):
                assert text not in log.decode()
            menus = telegram.made("setMyCommands")
            assert [call.fields.get("language_code") for call in menus] == [None, "ru"]
            scope = {"type": "all_private_chats"}
            assert [call.fields["scope"] for call in menus] == [scope, scope]

    asyncio.run(check())
    assert list(tmp_path.iterdir()) == []


def test_a_second_signal_ends_it_at_once() -> None:
    async def check() -> None:
        async with fake_telegram() as telegram, answering(telegram) as process:
            assert process.stdout is not None
            await asyncio.wait_for(process.stdout.readline(), 60)
            telegram.slow = 60
            photo = telegram.photo(HOPPER.read_bytes())
            telegram.send(telegram.message(telegram.person(), **photo))
            await telegram.until(lambda: telegram.downloads)
            process.send_signal(signal.SIGTERM)
            await asyncio.sleep(0.5)
            assert process.returncode is None
            process.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(process.wait(), 10) == -signal.SIGTERM

    asyncio.run(check())


def test_no_error_shows_the_token() -> None:
    async def check() -> None:
        async with fake_telegram() as telegram:
            body = {"ok": False, "error_code": 400, "description": f"Bad Request: /bot{TOKEN}/x"}
            telegram.failures["setMyCommands"] = [(400, body)]
            async with answering(telegram, "--debug") as process:
                out, log = await asyncio.wait_for(process.communicate(), 60)
            assert process.returncode == 1
            assert "the bot has ended: TelegramBadRequest at" in log.decode()
            assert "Traceback" in log.decode()
            assert "secret" not in out.decode() + log.decode()

    asyncio.run(check())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--api-server", "telegram.org"), "--api-server telegram.org: expected a URL"),
        (("--api-server", "http://a/{token}"), "--api-server http://a/{token}: expected a URL"),
        (("--api-server", "http://a:0"), "--api-server http://a:0: expected a URL"),
        (("--api-server", "http://[a"), "--api-server http://[a: expected a URL"),
        (("--webhook", "example.org"), "--webhook example.org: expected a URL"),
        (("--port", "70000"), "--port 70000: expected 0 to 65535"),
        (("--detector", "none.onnx"), "none.onnx: no such file"),
        (("--detector", "glasses-n"), "is for face-classification; expected a face detector"),
        (("--style", "replace"), "--style: invalid choice: 'replace'"),
        (("--at-work", "0"), "--at-work: expected a whole number, 1 or more"),
        (("--score", "2"), "--score: expected a number from 0 to 1"),
    ],
)
def test_bad_input(
    run: Run, arguments: tuple[str, ...], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POCKETFACE_BOT_TOKEN", TOKEN)
    result = run("bot", *arguments)
    assert (result.code, result.out) == (2, "")
    assert message in result.err
    assert result.err.count("\n") <= 2
    assert "secret" not in result.err


@pytest.mark.parametrize(
    ("token", "message"),
    [
        (None, "POCKETFACE_BOT_TOKEN: not set"),
        ("", "POCKETFACE_BOT_TOKEN: not set"),
        ("my-secret", "POCKETFACE_BOT_TOKEN: expected a token as BotFather gives it"),
    ],
)
def test_tokens_that_are_none(
    run: Run, token: str | None, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("POCKETFACE_BOT_TOKEN", raising=False)
    if token is not None:
        monkeypatch.setenv("POCKETFACE_BOT_TOKEN", token)
    result = run("bot")
    assert (result.code, result.out) == (2, "")
    assert message in result.err
    assert "secret" not in result.err
