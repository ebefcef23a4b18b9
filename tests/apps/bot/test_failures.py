"""What goes wrong between the bot and Telegram, and what the log says of it."""

from __future__ import annotations

import asyncio
import logging
import time
from pathlib import Path
from typing import Any

import pytest
from aiogram.types import Update

from pocketface.apps.bot import patience, polling
from pocketface.apps.bot.polling import poll
from pocketface.apps.bot.run import BotRequest, make_bot
from pocketface.apps.bot.texts import say
from pocketface.errors import UserError

from .fake_telegram import TOKEN, FakeTelegram, bad_request, fake_telegram, too_many
from .harness import MiddleFace, jpeg, noise, run_to_its_end, running

_BROKEN = [
    None,
    (502, "<html>Bad Gateway</html>"),
    (500, {"ok": False, "error_code": 500, "description": "Internal Server Error"}),
]


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "_FIRST", 0.05)
    monkeypatch.setattr(polling, "_STRANGE_PAUSE", 0.05)


def _photo(telegram: FakeTelegram, number: int = 7, seed: int = 0) -> dict[str, Any]:
    photo = telegram.photo(jpeg(noise(seed=seed)), caption="secret words")
    return telegram.send(telegram.message(telegram.person(number), **photo))


def _check_log(log: str) -> None:
    for text in ("secret", "name7", "file-id", "127.0.0.1"):
        assert text not in log


def test_retry_after_is_obeyed(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    async def check() -> None:
        async with running() as telegram:
            telegram.failures["sendPhoto"] = [too_many(2)]
            began = time.monotonic()
            _photo(telegram)
            await telegram.until(lambda: not telegram.failures["sendPhoto"])
            # Others need not wait.
            _photo(telegram, 8, seed=1)
            (other,) = await telegram.calls_of("sendPhoto")
            assert other.chat == 8
            assert time.monotonic() - began < 1.9
            (_, late) = await telegram.calls_of("sendPhoto", 2)
            assert late.chat == 7
            assert time.monotonic() - began >= 2

    asyncio.run(check())
    assert "asks to wait for 2 s" in caplog.text
    _check_log(caplog.text)


def test_one_message_a_second_in_a_chat() -> None:
    async def check() -> None:
        async with running() as telegram:
            times = []
            for seed in range(3):
                _photo(telegram, seed=seed)
            for count in (1, 2, 3):
                await telegram.calls_of("sendPhoto", count)
                times.append(time.monotonic())
            assert times[1] - times[0] > 0.9
            assert times[2] - times[1] > 0.9

    asyncio.run(check())


@pytest.mark.parametrize("failure", _BROKEN, ids=["cut", "html", "500"])
def test_polling_goes_on(failure: Any, caplog: pytest.LogCaptureFixture) -> None:
    async def check() -> None:
        async with running() as telegram:
            await telegram.until(lambda: telegram.asked)
            telegram.failures["getUpdates"] = 3 * [failure]
            _photo(telegram)  # ends the request that is open
            await telegram.calls_of("sendPhoto")
            await telegram.until(lambda: not telegram.failures["getUpdates"])
            _photo(telegram, 8)
            await telegram.calls_of("sendPhoto", 2)

    asyncio.run(check())
    assert "next try in" in caplog.text
    _check_log(caplog.text)


@pytest.mark.parametrize("method", ["getFile", "sendPhoto"])
def test_a_request_that_fails_once_is_made_again(method: str) -> None:
    async def check() -> None:
        async with running() as telegram:
            telegram.failures[method] = [None]
            _photo(telegram)
            await telegram.calls_of("sendPhoto")

    asyncio.run(check())


@pytest.mark.parametrize("failure", [(503, None), (200, b"half"), (200, b"")])
def test_a_download_that_fails_once_is_tried_again(failure: Any) -> None:
    async def check() -> None:
        async with running() as telegram:
            telegram.failures["download"] = [failure]
            _photo(telegram)
            await telegram.calls_of("sendPhoto")
            assert len(telegram.downloads) == 2

    asyncio.run(check())


def test_a_file_that_is_not_there(caplog: pytest.LogCaptureFixture) -> None:
    """Aiohttp's error has the whole URL in it, with the token."""

    async def check() -> None:
        async with running() as telegram:
            telegram.failures["download"] = [(404, None)]
            _photo(telegram)
            (call,) = await telegram.calls_of("sendMessage")
            assert call.text == say("failed", "en")

    asyncio.run(check())
    assert "ClientResponseError at" in caplog.text
    _check_log(caplog.text)


@pytest.mark.parametrize(
    ("says", "text"), [("file is too big", "too_large"), ("wrong file_id", "gone")]
)
def test_telegram_gives_no_file(says: str, text: Any) -> None:
    async def check() -> None:
        async with running() as telegram:
            telegram.failures["getFile"] = [bad_request(says)]
            _photo(telegram)
            (call,) = await telegram.calls_of("sendMessage")
            assert call.text == say(text, "en")

    asyncio.run(check())


def test_whoever_deletes_the_photo_gets_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def check() -> None:
        async with running() as telegram:
            telegram.failures["sendPhoto"] = [bad_request("message to be replied not found")]
            _photo(telegram)
            await telegram.until(lambda: not telegram.failures["sendPhoto"])
            _photo(telegram, 8)
            (call,) = await telegram.calls_of("sendPhoto")
            assert call.chat == 8

    asyncio.run(check())
    _check_log(caplog.text)


def test_an_update_of_an_unknown_form_does_not_stop_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def check() -> None:
        async with running() as telegram:
            telegram.send({"message_id": "secret words", "chat": 5})
            await telegram.until(lambda: "unknown form" in caplog.text)
            _photo(telegram)
            await telegram.calls_of("sendPhoto")

    asyncio.run(check())
    _check_log(caplog.text)


def test_no_update_is_answered_twice() -> None:
    """What was taken last is confirmed when the bot ends: it would come again at its next start."""

    async def check() -> None:
        async with fake_telegram() as telegram:
            request = BotRequest(token=TOKEN, detector=Path("none"), api_server=telegram.base)
            bot = make_bot(request)
            stop = asyncio.Event()
            taken: list[int] = []

            def take(update: Update) -> None:
                taken.append(update.update_id)
                stop.set()

            _photo(telegram)
            await poll(bot, take, stop, patience.Patience(stop, token_from=""))
            await bot.session.close()
            assert telegram.confirmed == taken[0] + 1

    asyncio.run(check())


def test_at_the_end_what_is_at_work_is_answered_and_the_rest_told() -> None:
    async def check() -> None:
        async with fake_telegram() as telegram:
            finder = MiddleFace()
            finder.seconds = 0.5
            async with running(finder, telegram=telegram, limits={"at_work": 1}):
                for number in (1, 2, 3):
                    _photo(telegram, number)
                await telegram.until(lambda: finder.at_work and len(telegram.made("getMe")))
                await asyncio.sleep(0.1)
            assert [call.chat for call in telegram.made("sendPhoto")] == [1]
            told = telegram.made("sendMessage")
            assert [call.chat for call in told] == [2, 3]
            assert {call.text for call in told} == {say("ending", "en")}

    asyncio.run(check())


@pytest.mark.parametrize(
    ("token", "message"),
    [
        ("42:another-secret", "POCKETFACE_BOT_TOKEN: Telegram does not know this token"),
        ("secret", "POCKETFACE_BOT_TOKEN: expected a token as BotFather gives it: 123:ABC"),
        *(
            (token, "POCKETFACE_BOT_TOKEN: expected a token as BotFather gives it: 123:ABC")
            for token in ("4 2:secret", "²:secret", "42:sec/ret", "42:secret#x", "42:secret?x")
        ),
    ],
)
def test_wrong_tokens(token: str, message: str) -> None:
    async def check() -> None:
        async with fake_telegram() as telegram:
            await run_to_its_end(telegram, token=token)

    with pytest.raises(UserError) as caught:
        asyncio.run(check())
    assert str(caught.value) == message


def test_what_answers_is_no_bot_api_server() -> None:
    async def check() -> None:
        async with fake_telegram() as telegram:
            telegram.failures["getMe"] = [(200, "<html>hello</html>")]
            await run_to_its_end(telegram)

    with pytest.raises(UserError, match="what answers there is no Bot API server"):
        asyncio.run(check())
