"""A bot that runs for a test, and pictures for it."""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pocketface.apps.blur.find import FaceFinder
from pocketface.apps.bot.blurring import Blurring
from pocketface.apps.bot.limits import Limits
from pocketface.apps.bot.run import BotRequest, answer_users, make_bot
from pocketface.results import Detections

from .fake_telegram import TOKEN, FakeTelegram, fake_telegram


class MiddleFace:
    """Finds a face in the middle of every picture that is not of one grey; it may take its time."""

    score = 0.3
    least_score = 0.0
    second_opinion = None
    at_once = 1

    def __init__(self) -> None:
        self.seconds = 0.0
        self.at_work = 0
        self.most = 0

    def find(self, image: NDArray[np.uint8], **_: float) -> Detections:

        self.at_work += 1
        self.most = max(self.most, self.at_work)
        time.sleep(self.seconds)
        self.at_work -= 1
        height, width = image.shape[:2]
        there = int(np.ptp(image) > 20)
        box = np.array([[width / 4, height / 4, width * 3 / 4, height * 3 / 4]], np.float32)
        return Detections(box[:there], np.full(there, 0.9, np.float32), None)

    def find_all(self, image: NDArray[np.uint8], *, score: float, **_: object) -> Detections:
        return self.find(image, score=score)

    def are_sure(self, faces: Detections, _: NDArray[np.uint8]) -> NDArray[np.bool_]:
        return np.ones(len(faces), np.bool_)


@asynccontextmanager
async def running(
    finder: Any = None, *, telegram: FakeTelegram | None = None, **settings: Any
) -> AsyncIterator[FakeTelegram]:
    """A bot at a fake Telegram; it ends as at SIGTERM when the block does."""
    async with fake_telegram() as fresh:
        server = telegram or fresh
        stop = asyncio.Event()
        task = asyncio.create_task(run_to_its_end(server, finder, stop=stop, **settings))
        try:
            yield server
        finally:
            stop.set()
            await asyncio.wait_for(task, 30)


async def run_to_its_end(
    telegram: FakeTelegram,
    finder: Any = None,
    *,
    stop: asyncio.Event | None = None,
    **settings: Any,
) -> None:
    """A bot at a fake Telegram until `stop` is set, or it fails."""
    limits = Limits(**{"at_work": 2, "album_seconds": 0.2, **settings.pop("limits", {})})
    request = BotRequest(
        **{"token": TOKEN, "detector": Path("none"), "api_server": telegram.base, **settings},
        limits=limits,
    )
    blurring = Blurring(cast(FaceFinder, finder or MiddleFace()), work_seconds=limits.work_seconds)
    await answer_users(request, make_bot(request), blurring, stop or asyncio.Event())


def noise(width: int = 96, height: int = 80, *, seed: int = 0) -> NDArray[np.uint8]:
    """Independent pixels, RGB: nothing of them may be left in a face."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def jpeg(pixels: NDArray[np.uint8], **settings: Any) -> bytes:
    return encoded(pixels, "JPEG", quality=95, **settings)


def encoded(pixels: NDArray[np.uint8], kind: str, **settings: Any) -> bytes:
    target = io.BytesIO()
    Image.fromarray(pixels).save(target, kind, **settings)
    return target.getvalue()


def decoded(content: bytes) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


def is_hidden(sent: bytes, got: bytes) -> bool:
    """Whether the middle of a picture has lost its details, and its edge has not."""
    before, after = decoded(sent).astype(int), decoded(got).astype(int)
    assert before.shape == after.shape
    height, width = before.shape[:2]
    middle = slice(height * 3 // 8, height * 5 // 8), slice(width * 3 // 8, width * 5 // 8)
    assert np.abs(before - after)[:4].mean() < 12, "the edge has changed"
    return bool(after[middle].std(axis=(0, 1)).max() < before[middle].std(axis=(0, 1)).min() / 2)
