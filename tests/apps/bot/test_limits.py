"""What is too large, too long or too often."""

from __future__ import annotations

import asyncio
import io
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pocketface.apps.bot import answers, blurring
from pocketface.apps.bot.texts import say

from ...videos import write_video
from .fake_telegram import FakeTelegram
from .harness import MiddleFace, jpeg, noise, running

_VIDEO = {"width": 96, "height": 80, "duration": 1}


def _video(telegram: FakeTelegram, folder: Path) -> dict[str, Any]:
    pytest.importorskip("av")
    pictures = [noise(seed=seed)[..., ::-1] for seed in range(6)]
    content = write_video(folder / "a.mp4", pictures, codec="libx264").read_bytes()
    return telegram.message(telegram.person(), **telegram.file("video", content, **_VIDEO))


def test_a_video_that_takes_too_long(tmp_path: Path) -> None:
    finder = MiddleFace()
    finder.seconds = 0.1

    async def check() -> None:
        async with running(finder, limits={"work_seconds": 0.15}) as telegram:
            telegram.send(_video(telegram, tmp_path))
            (call,) = await telegram.calls_of("sendMessage")
            assert call.text == say("too_long", "en")
            assert telegram.made("sendVideo") == []

    asyncio.run(check())


def test_a_video_without_a_face(tmp_path: Path) -> None:
    class Nobody(MiddleFace):
        def find(self, image: Any, **_: float) -> Any:
            return super().find(np.zeros_like(image))

    async def check() -> None:
        async with running(Nobody()) as telegram:
            telegram.send(_video(telegram, tmp_path))
            (call,) = await telegram.calls_of("sendMessage")
            assert call.text == say("no_face", "en")
            assert telegram.made("sendVideo") == []

    asyncio.run(check())


def test_black_frames_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = blurring.blur_video

    def with_black(request: Any) -> Any:
        return replace(made(request), black=2)

    monkeypatch.setattr(blurring, "blur_video", with_black)

    async def check() -> None:
        async with running() as telegram:
            telegram.send(_video(telegram, tmp_path))
            (call,) = await telegram.calls_of("sendMessage")
            assert call.text == say("black", "en", count=2)
            assert len(telegram.made("sendVideo")) == 1

    asyncio.run(check())


def test_what_is_no_video() -> None:
    async def check() -> None:
        async with running() as telegram:
            about = {"file_name": "a.mp4", "mime_type": "video/mp4"}
            content = telegram.file("document", b"no video at all" * 99, **about)
            telegram.send(telegram.message(telegram.person(), **content))
            (call,) = await telegram.calls_of("sendMessage")
            assert call.text == say("unreadable", "en")

    asyncio.run(check())


def test_an_answer_that_telegram_would_not_take(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "PHOTO", 2000)

    async def check() -> None:
        async with running() as telegram:
            photo = telegram.photo(jpeg(noise()))
            telegram.send(telegram.message(telegram.person(), **photo))
            (call,) = await telegram.calls_of("sendMessage")
            assert call.text == say("too_large_answer", "en")
            assert telegram.made("sendPhoto") == []

    asyncio.run(check())


def test_captions_longer_than_a_bot_may_send() -> None:
    """Telegram counts UTF-16 units; no letter is halved."""

    async def check() -> None:
        async with running() as telegram:
            caption = "a" + 600 * "😀"
            entities = [{"type": "bold", "offset": 0, "length": 1100}]
            photo = telegram.photo(jpeg(noise()), caption=caption, caption_entities=entities)
            telegram.send(telegram.message(telegram.person(), **photo))
            (call,) = await telegram.calls_of("sendPhoto")
            assert call.fields["caption"] == "a" + 511 * "😀"
            assert "caption_entities" not in call.fields

    asyncio.run(check())


def test_thirty_messages_a_second_in_all() -> None:
    async def check() -> None:
        async with running() as telegram:
            began = time.monotonic()
            for number in range(1, 46):
                telegram.send(telegram.message(telegram.person(number), text="/start"))
            await telegram.calls_of("sendMessage", 45)
            assert time.monotonic() - began > 44 / 30 - 0.1

    asyncio.run(check())


def test_one_answer_for_many_questions() -> None:
    """Else a chat could keep the bot busy with notes for minutes."""

    async def check() -> None:
        async with running() as telegram:
            for _ in range(20):
                telegram.send(telegram.message(telegram.person(), text="hello"))
            await telegram.calls_of("sendMessage")
            await asyncio.sleep(1.5)
            assert len(telegram.made("sendMessage")) == 1

    asyncio.run(check())


def test_a_small_gif_of_thousands_of_frames() -> None:
    """One of 90 kB kept the bot busy for a quarter of an hour."""
    finder = MiddleFace()
    finder.seconds = 0.01
    frames = [Image.fromarray(noise(9, 9, seed=seed % 2)) for seed in range(400)]
    content = io.BytesIO()
    frames[0].save(content, "GIF", save_all=True, append_images=frames[1:], duration=20)

    async def check() -> None:
        async with running(finder, limits={"work_seconds": 0.15}) as telegram:
            about = {"file_name": "a.gif", "mime_type": "image/gif"}
            sent = telegram.file("document", content.getvalue(), **about)
            telegram.send(telegram.message(telegram.person(), **sent))
            (call,) = await telegram.calls_of("sendMessage")
            assert call.text == say("too_long", "en")
            assert telegram.made("sendDocument") == []

    asyncio.run(check())
