"""Answers that are none of Telegram's, or not as it documents them."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from pocketface.apps.bot import pace, patience, polling, session
from pocketface.apps.bot.texts import say
from pocketface.errors import UserError

from .fake_telegram import FakeTelegram, bad_request, fake_telegram, too_many
from .harness import jpeg, noise, run_to_its_end, running

_PROXY = [
    (502, "<html>Bad Gateway</html>"),
    (500, {"ok": False}),
    (429, "<html>slowly</html>"),
    (429, {"ok": False, "description": "Too Many Requests"}),
]
_NAMES = ["html", "no description", "429 as html", "429 without a time"]


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "_FIRST", 0.05)
    monkeypatch.setattr(polling, "_STRANGE_PAUSE", 0.05)
    monkeypatch.setattr(session, "_WAIT", 0.05)


def _photo(telegram: FakeTelegram, number: int = 7) -> dict[str, Any]:
    photo = telegram.photo(jpeg(noise(seed=number)))
    return telegram.message(telegram.person(number), **photo)


@pytest.mark.parametrize("failure", _PROXY, ids=_NAMES)
@pytest.mark.parametrize("method", ["getMe", "setMyCommands", "deleteWebhook"])
def test_a_bot_that_starts_while_telegram_is_away_waits(method: str, failure: Any) -> None:
    async def check() -> None:
        async with fake_telegram() as telegram:
            telegram.failures[method] = [failure]
            async with running(telegram=telegram):
                await telegram.until(lambda: telegram.asked)

    asyncio.run(check())


@pytest.mark.parametrize("failure", _PROXY, ids=_NAMES)
@pytest.mark.parametrize("method", ["getFile", "sendPhoto"])
def test_a_user_gets_the_answer_of_the_second_try(method: str, failure: Any) -> None:
    async def check() -> None:
        async with running() as telegram:
            telegram.failures[method] = [failure]
            telegram.send(_photo(telegram))
            await telegram.calls_of("sendPhoto")
            assert telegram.made("sendMessage") == []

    asyncio.run(check())


def test_an_answer_without_a_result_is_no_bot_api_server() -> None:
    async def check() -> None:
        async with fake_telegram() as telegram:
            telegram.failures["getMe"] = [(200, {"ok": True, "result": None})]
            await run_to_its_end(telegram)

    with pytest.raises(UserError, match="what answers there is no Bot API server"):
        asyncio.run(check())


def test_updates_that_come_with_one_of_an_unknown_form_are_answered(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def check() -> None:
        async with running() as telegram:
            await telegram.until(lambda: telegram.asked)
            for number in (1, 2):  # in one answer: nothing runs between them
                telegram.send(_photo(telegram, number))
                telegram.send({"message_id": "secret words", "chat": 5})
            calls = await telegram.calls_of("sendPhoto", 2)
            assert {call.chat for call in calls} == {1, 2}
            await telegram.until(lambda: not telegram.waiting())
            assert len(telegram.made("sendPhoto")) == 2

    asyncio.run(check())
    assert caplog.text.count("an update of an unknown form is left out") == 2
    assert "secret" not in caplog.text


@pytest.mark.parametrize(
    ("failure", "text"),
    [
        (bad_request("PHOTO_INVALID_DIMENSIONS"), "not_taken"),
        ((413, {"ok": False, "description": "Request Entity Too Large"}), "too_large_answer"),
    ],
)
def test_whose_answer_is_refused_is_told(failure: Any, text: Any) -> None:
    async def check() -> None:
        async with running() as telegram:
            telegram.failures["sendPhoto"] = [failure]
            began = time.monotonic()
            message = telegram.send(_photo(telegram))
            (call,) = await telegram.calls_of("sendMessage")
            assert (call.text, call.replies_to) == (say(text, "en"), message["message_id"])
            assert telegram.made("sendPhoto") == []
            assert time.monotonic() - began < 3  # nothing is gained by further tries

    asyncio.run(check())


def test_who_is_asked_to_wait_for_ever_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a place is taken, and the bot does not end."""
    monkeypatch.setattr(pace, "_LONGEST_WAIT", 2.0)

    async def check() -> None:
        async with running() as telegram:
            telegram.failures["sendPhoto"] = 9 * [too_many(1)]
            telegram.send(_photo(telegram))
            (call,) = await telegram.calls_of("sendMessage")
            assert call.text == say("failed", "en")
            assert len(telegram.failures["sendPhoto"]) == 6

    asyncio.run(check())


def test_a_server_that_does_not_wait_for_news_is_not_asked_all_the_time() -> None:
    async def check() -> None:
        async with running() as telegram:
            await telegram.until(lambda: telegram.asked)
            empty = (200, {"ok": True, "result": []})
            telegram.failures["getUpdates"] = 500 * [empty]
            telegram.send(_photo(telegram))
            await asyncio.sleep(0.5)
            assert len(telegram.failures["getUpdates"]) > 450

    asyncio.run(check())
