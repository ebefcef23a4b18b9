"""Fifty users at once: each gets the own picture back, and nothing of them is kept or logged."""

from __future__ import annotations

import asyncio
import logging
import tempfile
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from sent_photos import hopper

from pocketface.apps.blur.find import FaceFinder
from pocketface.model_templates.catalogue import DETECTOR
from pocketface.tasks.named import model_path

from .fake_telegram import FakeTelegram
from .harness import decoded, encoded, running

_USERS = 50


def _picture(user: int) -> NDArray[np.uint8]:
    """A face on a ground whose size and colour no other user has."""
    face = hopper().crop((130, 60, 420, 400)).resize((145, 170))
    ground = (40 + 4 * user, 220 - 3 * user, (user * 37) % 200 + 20)
    picture = Image.new("RGB", (200 + 2 * user, 240 + user), ground)
    picture.paste(face, (30, 40))
    return np.asarray(picture)


def _face(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Its eyes and nose."""
    return picture[85:140, 70:130]


def test_each_of_fifty_users_gets_the_own_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    caplog.set_level(logging.DEBUG)
    sent = {user: _picture(user) for user in range(1, _USERS + 1)}
    finder = FaceFinder(model_path(DETECTOR), threads=1)

    async def check() -> None:
        async with running(finder, limits={"waiting": _USERS}) as telegram:
            for user, picture in sent.items():
                # Files keep all colours; all of one name.
                about = {"file_name": "photo.png", "mime_type": "image/png"}
                content = telegram.file("document", encoded(picture, "PNG"), **about)
                telegram.send(
                    telegram.message(telegram.person(user), caption=f"words{user}", **content)
                )
            calls = await asyncio.wait_for(telegram.calls_of("sendDocument", _USERS), 60)
            assert sorted(call.chat for call in calls) == sorted(sent)
            for call in calls:
                before, after = sent[call.chat], decoded(call.content)
                assert after.shape == before.shape
                assert call.fields["caption"] == f"words{call.chat}"
                # The ground is the user's, to the bit; of the face three cells are left.
                assert (after[-30:] == before[-30:]).all()
                assert (after[:, 185:] == before[:, 185:]).all()
                lost = np.abs(_face(after).astype(int) - _face(before)).mean()
                assert lost > 15, call.chat
            _check_log(telegram, caplog.text)

    asyncio.run(check())
    assert list(tmp_path.iterdir()) == []


def _check_log(telegram: FakeTelegram, log: str) -> None:
    assert "1 sent, done after" in log  # it is at its most talkative
    told = ["Firstname", "username", "words", "photo.png", "file-id", "the-secret", *telegram.files]
    for text in told:
        assert text not in log
