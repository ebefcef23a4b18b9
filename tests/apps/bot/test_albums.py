"""Albums, whose messages arrive one by one and without an end mark."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

from pocketface.apps.bot.texts import say

from .fake_telegram import Call, FakeTelegram, Person
from .harness import decoded, encoded, is_hidden, jpeg, noise, running


def _items(telegram: FakeTelegram, who: Person, album: str, seeds: range) -> list[Any]:
    """Messages of an album; the pictures differ in size."""
    return [
        telegram.message(
            who,
            media_group_id=album,
            **telegram.photo(jpeg(noise(96 + 2 * seed, seed=seed))),
            **({"caption": "of all"} if seed == seeds[0] else {}),
        )
        for seed in seeds
    ]


def _sizes(call: Call) -> list[int]:
    return [decoded(content).shape[1] for _, content in call.media()]


def test_an_album_comes_back_as_an_album_in_its_order() -> None:
    async def check() -> None:
        async with running() as telegram:
            items = _items(telegram, telegram.person(), "a", range(4))
            # As they come: in any order, some later than others.
            for place in (2, 0, 3):
                telegram.send(items[place])
            await asyncio.sleep(0.1)
            telegram.send(items[1])
            (call,) = await telegram.calls_of("sendMediaGroup")
            assert (call.chat, call.replies_to) == (7, items[0]["message_id"])
            assert _sizes(call) == [96, 98, 100, 102]
            assert [about["type"] for about, _ in call.media()] == ["photo"] * 4
            assert [about.get("caption") for about, _ in call.media()] == ["of all", *[None] * 3]
            for item, (_, content) in zip(items, call.media(), strict=True):
                assert is_hidden(telegram.files[item["photo"][1]["file_id"]], content)

    asyncio.run(check())


def test_albums_of_two_users_at_once_are_not_mixed() -> None:
    async def check() -> None:
        async with running() as telegram:
            # Numbers of albums are unique to a chat alone.
            one = _items(telegram, telegram.person(1), "same", range(3))
            other = _items(telegram, telegram.person(2), "same", range(3, 6))
            for pair in zip(one, other, strict=True):
                for message in pair:
                    telegram.send(message)
            calls = await telegram.calls_of("sendMediaGroup", 2)
            found = {call.chat: _sizes(call) for call in calls}
            assert found == {1: [96, 98, 100], 2: [102, 104, 106]}

    asyncio.run(check())


def test_what_has_no_face_is_left_out_and_named() -> None:
    async def check() -> None:
        async with running() as telegram:
            who = telegram.person()
            flat = jpeg(np.full((80, 96, 3), 128, np.uint8))
            items = _items(telegram, who, "a", range(3))
            items[0] |= telegram.photo(flat)
            for item in items:
                telegram.send(item)
            (call,) = await telegram.calls_of("sendMediaGroup")
            assert _sizes(call) == [98, 100]
            # The album's caption is that of the first.
            assert [about.get("caption") for about, _ in call.media()] == ["of all", None]
            (note,) = await telegram.calls_of("sendMessage")
            assert note.text == f"No. 1: {say('no_face', 'en')}"

    asyncio.run(check())


@pytest.mark.parametrize(("count", "caption_at"), [(2, 0), (2, 1), (4, 0), (4, 2)])
def test_the_caption_stays_whichever_photo_had_it(count: int, caption_at: int) -> None:
    """That photo has no face; of two one is left, which is no album any more."""

    async def check() -> None:
        async with running() as telegram:
            who = telegram.person()
            flat = jpeg(np.full((80, 96, 3), 128, np.uint8))
            sent = []
            bold = [{"type": "bold", "offset": 0, "length": 2}]
            for place in range(count):
                photo = flat if place == caption_at else jpeg(noise(96 + 2 * place, seed=place))
                caption = {"caption": "of all", "caption_entities": bold}
                more = caption if place == caption_at else {}
                message = telegram.message(who, media_group_id="a", **telegram.photo(photo, **more))
                sent.append(telegram.send(message))
            (call,) = await telegram.calls_of("sendPhoto" if count == 2 else "sendMediaGroup")
            about = [call.fields] if count == 2 else [about for about, _ in call.media()]
            assert [one.get("caption") for one in about] == ["of all", *[None] * (len(about) - 1)]
            assert about[0]["caption_entities"] == bold
            if count == 2:  # and in another style
                original = next(one for one in sent if one["message_id"] == call.replies_to)
                telegram.press(who, call, "style:solid", original)
                (_, again) = await telegram.calls_of("sendPhoto", 2)
                assert again.fields["caption"] == "of all"
                assert again.fields["caption_entities"] == bold

    asyncio.run(check())


def test_of_which_one_is_left() -> None:
    """Telegram takes no albums of one."""

    async def check() -> None:
        async with running() as telegram:
            who = telegram.person()
            items = _items(telegram, who, "a", range(2))
            items[1] |= telegram.photo(jpeg(np.full((80, 96, 3), 128, np.uint8)))
            for item in items:
                telegram.send(item)
            (call,) = await telegram.calls_of("sendPhoto")
            assert decoded(call.content).shape[1] == 96
            (note,) = await telegram.calls_of("sendMessage")
            assert note.text.startswith("No. 2: ")

    asyncio.run(check())


def test_albums_of_files() -> None:
    async def check() -> None:
        async with running() as telegram:
            who = telegram.person()
            for seed in range(2):
                about = {"file_name": f"{seed}.png", "mime_type": "image/png"}
                content = telegram.file("document", encoded(noise(seed=seed), "PNG"), **about)
                telegram.send(telegram.message(who, media_group_id="a", **content))
            (call,) = await telegram.calls_of("sendMediaGroup")
            assert [about["type"] for about, _ in call.media()] == ["document"] * 2
            assert sorted(name for name, _ in call.files.values()) == [
                "blurred_0.png",
                "blurred_1.png",
            ]

    asyncio.run(check())


def test_an_album_without_any_face_is_told_once() -> None:
    async def check() -> None:
        async with running() as telegram:
            flat = jpeg(np.full((80, 96, 3), 128, np.uint8))
            for item in _items(telegram, telegram.person(), "a", range(3)):
                telegram.send(item | telegram.photo(flat))
            (note,) = await telegram.calls_of("sendMessage")
            assert note.text == say("no_face", "en")
            assert not any(call.files for call in telegram.calls)

    asyncio.run(check())
