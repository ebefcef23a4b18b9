"""What the bot answers to whom."""

from __future__ import annotations

import asyncio
import errno
import io
import string
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pocketface.apps.bot import blurring
from pocketface.apps.bot.limits import MB
from pocketface.apps.bot.texts import TEXTS, say
from pocketface.data.videos import open_video

from ...videos import write_video
from .fake_telegram import FakeTelegram, bad_request
from .harness import MiddleFace, decoded, encoded, is_hidden, jpeg, noise, running

_PLACE = {"latitude": 1.0, "longitude": 2.0}


@pytest.mark.parametrize("language", ["en", "ru"])
@pytest.mark.parametrize("text", ["/start", "/help", "who are you?"])
def test_says_what_it_does_in_the_users_language(language: str, text: str) -> None:
    async def check() -> None:
        async with running() as telegram:
            who = telegram.person(language={"en": "pt-BR", "ru": "ru"}[language])
            entities = [{"type": "bot_command", "offset": 0, "length": len(text)}]
            command = {"entities": entities} if text.startswith("/") else {}
            message = telegram.send(telegram.message(who, text=text, **command))
            (call,) = await telegram.calls_of("sendMessage")
            assert (call.chat, call.replies_to) == (7, message["message_id"])
            assert call.text == TEXTS["help"][language]  # type: ignore[index]

    asyncio.run(check())


@pytest.mark.parametrize("content", ["venue", "game", "checklist", "hologram", "nothing"])
def test_says_what_it_does_to_whoever_sends_something_else(content: str) -> None:
    about: dict[str, dict[str, Any]] = {
        "venue": {"location": _PLACE, "venue": {"location": _PLACE, "title": "", "address": ""}},
        "game": {"game": {"title": "a", "description": "b", "photo": []}},
        "checklist": {"checklist": {"title": "a", "tasks": []}},
        "hologram": {"hologram": {"of": "a time to come"}},
        "nothing": {"photo": []},
    }

    async def check() -> None:
        async with running() as telegram:
            telegram.send(telegram.message(telegram.person(), **about[content]))
            (call,) = await telegram.calls_of("sendMessage")
            assert call.text == say("help", "en")

    asyncio.run(check())


def test_texts_are_there_in_both_languages() -> None:
    for text in TEXTS.values():
        assert text["en"] != text["ru"]
        fields = [{name for _, name, *_ in string.Formatter().parse(one)} for one in text.values()]
        assert fields[0] == fields[1]


def test_a_photo_comes_back_as_a_photo() -> None:
    async def check() -> None:
        async with running() as telegram:
            sent = jpeg(noise())
            bold = [{"type": "bold", "offset": 0, "length": 2}]
            message = telegram.message(
                telegram.person(),
                **telegram.photo(sent),
                caption="<b> our school",
                caption_entities=bold,
                has_media_spoiler=True,
            )
            telegram.send(message)
            (call,) = await telegram.calls_of("sendPhoto")
            assert (call.chat, call.replies_to) == (7, message["message_id"])
            assert is_hidden(sent, call.content)
            assert call.fields["caption"] == "<b> our school"
            assert "parse_mode" not in call.fields
            assert [(one["type"], one["length"]) for one in call.fields["caption_entities"]] == [
                ("bold", 2)
            ]
            assert call.fields["has_spoiler"] is True
            (row,) = call.fields["reply_markup"]["inline_keyboard"]
            assert [button["text"] for button in row] == ["Blur", "Black", "Emoji"]
            assert all(len(button["callback_data"].encode()) <= 64 for button in row)
            # The large one alone is downloaded.
            assert telegram.downloads == [message["photo"][1]["file_id"]]

    asyncio.run(check())


def test_another_style_from_the_original() -> None:
    async def check() -> None:
        async with running() as telegram:
            who = telegram.person()
            original = telegram.send(telegram.message(who, **telegram.photo(jpeg(noise()))))
            (first,) = await telegram.calls_of("sendPhoto")
            buttons = first.fields["reply_markup"]["inline_keyboard"][0]
            data = next(one["callback_data"] for one in buttons if one["text"] == "Black")
            telegram.press(who, first, data, original)
            (_, second) = await telegram.calls_of("sendPhoto", 2)
            assert second.replies_to == original["message_id"]
            assert decoded(second.content)[40, 48].max() < 8
            assert decoded(first.content)[40, 48].max() > 40
            texts = [one["text"] for one in second.fields["reply_markup"]["inline_keyboard"][0]]
            assert texts == ["Mosaic", "Blur", "Emoji"]
            (told,) = telegram.made("answerCallbackQuery")
            assert told.text == say("working", "en")
            # The original is downloaded anew.
            assert telegram.downloads == 2 * [original["photo"][1]["file_id"]]

    asyncio.run(check())


@pytest.mark.parametrize("data", ["style:solid", "style:replace", "no style"])
def test_buttons_without_an_original_or_a_meaning(data: str) -> None:
    async def check() -> None:
        async with running() as telegram:
            who = telegram.person(language="ru")
            original = telegram.send(telegram.message(who, **telegram.photo(jpeg(noise()))))
            (first,) = await telegram.calls_of("sendPhoto")
            telegram.press(who, first, data, None if data == "style:solid" else original)
            (told,) = await telegram.calls_of("answerCallbackQuery")
            assert told.text == say("gone", "ru")
            assert len(telegram.made("sendPhoto")) == 1

    asyncio.run(check())


def test_a_button_that_was_pressed_while_the_bot_was_away() -> None:
    async def check() -> None:
        async with running() as telegram:
            who = telegram.person()
            original = telegram.send(telegram.message(who, **telegram.photo(jpeg(noise()))))
            (first,) = await telegram.calls_of("sendPhoto")
            telegram.failures["answerCallbackQuery"] = [bad_request("query is too old")]
            telegram.press(who, first, "style:solid", original)
            (_, second) = await telegram.calls_of("sendPhoto", 2)
            assert decoded(second.content)[40, 48].max() < 8

    asyncio.run(check())


def _with_place() -> bytes:
    """A JPEG with the place and time of its exposure, and a preview of the face."""
    exif = Image.Exif()
    exif[0x010F] = "Maker of this camera"
    exif.get_ifd(0x8825).update({1: "N", 2: (52.0, 31.0, 12.0), 3: "E", 4: (13.0, 24.0, 18.0)})
    return jpeg(noise(), exif=exif.tobytes())


def test_a_document_comes_back_without_its_metadata() -> None:
    async def check() -> None:
        async with running() as telegram:
            sent = _with_place()
            document = telegram.file(
                "document", sent, file_name='our "class"\r\n 4/b.JPG', mime_type="image/jpeg"
            )
            telegram.send(telegram.message(telegram.person(), caption="hello", **document))
            (call,) = await telegram.calls_of("sendDocument")
            assert is_hidden(sent, call.content)
            assert call.name == "blurred_b.jpg"
            assert call.fields["caption"] == "hello"
            assert call.fields["disable_content_type_detection"] is True
            assert b"Maker" in sent
            assert b"Maker" not in call.content
            assert not Image.open(io.BytesIO(call.content)).getexif().get_ifd(0x8825)

    asyncio.run(check())


@pytest.mark.parametrize(
    ("kind", "name"), [("PNG", "a.png"), ("WEBP", "Ünïcode.webp"), ("TIFF", "scan.tif")]
)
def test_documents_of_other_formats(kind: str, name: str) -> None:
    async def check() -> None:
        async with running() as telegram:
            sent = encoded(noise(), kind, **({"lossless": True} if kind == "WEBP" else {}))
            # Some programs call everything a stream of bytes.
            about = {"file_name": name, "mime_type": "application/octet-stream"}
            telegram.send(
                telegram.message(telegram.person(), **telegram.file("document", sent, **about))
            )
            (call,) = await telegram.calls_of("sendDocument")
            assert is_hidden(sent, call.content)
            assert call.name == f"blurred_{name}"
            assert Image.open(io.BytesIO(call.content)).format == kind

    asyncio.run(check())


_VIDEO = {"width": 96, "height": 80, "duration": 1}


@pytest.mark.parametrize(
    ("kind", "method", "about"),
    [
        ("video", "sendVideo", _VIDEO),
        ("animation", "sendAnimation", {**_VIDEO, "mime_type": "video/mp4"}),
        ("video_note", "sendVideoNote", {"length": 80, "duration": 1}),
        ("document", "sendDocument", {"mime_type": "video/mp4", "file_name": "film.MP4"}),
    ],
)
def test_videos_come_back_as_they_were(
    kind: str, method: str, about: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("av")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    pictures = [noise(seed=seed)[..., ::-1] for seed in range(6)]
    sent = write_video(tmp_path / "a.mp4", pictures, codec="libx264", sound=[("aac", 0.5)])

    async def check() -> None:
        async with running() as telegram:
            content = telegram.file(kind, sent.read_bytes(), **about)
            telegram.send(telegram.message(telegram.person(), **content))
            (call,) = await telegram.calls_of(method)
            assert call.name.endswith(".mp4")
            (tmp_path / "b.mp4").write_bytes(call.content)

    asyncio.run(check())
    with open_video(sent) as before, open_video(tmp_path / "b.mp4") as after:
        pairs = list(zip(before.frames, after.frames, strict=True))
    assert len(pairs) == 6
    for one, other in pairs:
        assert one.time == pytest.approx(other.time)
        middle = slice(30, 50), slice(36, 60)
        assert other.pixels[middle].std() < one.pixels[middle].std() / 2
    assert list((tmp_path / "temporary").iterdir()) == []


def test_a_gif_as_a_file() -> None:
    async def check() -> None:
        async with running() as telegram:
            frames = [Image.fromarray(noise(seed=seed)) for seed in range(3)]
            target = io.BytesIO()
            frames[0].save(target, "GIF", save_all=True, append_images=frames[1:], duration=80)
            about = {**_VIDEO, "mime_type": "image/gif", "file_name": "a.gif"}
            content = telegram.file("animation", target.getvalue(), **about)
            telegram.send(telegram.message(telegram.person(), **content))
            (call,) = await telegram.calls_of("sendAnimation")
            assert call.name == "blurred.gif"
            assert getattr(Image.open(io.BytesIO(call.content)), "n_frames", 1) == 3

    asyncio.run(check())


def _refusals(telegram: FakeTelegram) -> dict[str, dict[str, Any]]:
    """What is refused, by the text that says why."""
    flat = np.full((80, 96, 3), 128, np.uint8)
    photo = jpeg(noise())
    return {
        "no_face": telegram.photo(jpeg(flat)),
        "unreadable": telegram.photo(photo[: len(photo) // 2]),
        "too_large": {"document": {**_file(21 * MB), "mime_type": "image/png"}},
        "unsupported": {"document": {**_file(100), "mime_type": "application/pdf"}},
    }


def _file(size: int) -> dict[str, Any]:
    return {"file_id": "never-to-be-had", "file_unique_id": "x", "file_size": size}


@pytest.mark.parametrize("why", ["no_face", "unreadable", "too_large", "unsupported"])
@pytest.mark.parametrize("language", ["en", "ru"])
def test_what_is_refused(why: str, language: str) -> None:
    """Nothing comes back; what is too large or of no use is not even asked for."""

    async def check() -> None:
        async with running() as telegram:
            who = telegram.person(language=language)
            message = telegram.send(telegram.message(who, **_refusals(telegram)[why]))
            (call,) = await telegram.calls_of("sendMessage")
            assert call.text == TEXTS[why][language]  # type: ignore[index]
            assert call.replies_to == message["message_id"]
            asked = bool(telegram.made("getFile"))
            assert asked == (why in ("no_face", "unreadable"))
            assert {call.method for call in telegram.calls if call.files} == set()

    asyncio.run(check())


def test_more_than_was_said_is_not_downloaded() -> None:
    async def check() -> None:
        async with running() as telegram:
            about = {"file_name": "a.png", "file_size": None}
            document = telegram.file("document", bytes(21 * MB), **about)
            telegram.send(telegram.message(telegram.person(), **document))
            (call,) = await telegram.calls_of("sendMessage")
            assert call.text == say("too_large", "en")
            assert telegram.downloads == []

    asyncio.run(check())


@pytest.mark.parametrize("caption", ["/help", "/start", "/help me", "/start@blur_bot"])
def test_a_photo_whose_caption_is_a_command_is_a_photo(caption: str) -> None:
    async def check() -> None:
        async with running() as telegram:
            photo = telegram.photo(jpeg(noise()), caption=caption)
            telegram.send(telegram.message(telegram.person(), **photo))
            (call,) = await telegram.calls_of("sendPhoto")
            assert call.fields["caption"] == caption
            assert telegram.made("sendMessage") == []

    asyncio.run(check())


def test_groups_are_left_in_peace() -> None:
    """Photos are answered there; texts and files that are none are not."""

    async def check() -> None:
        async with running() as telegram:
            group = {"chat": {"id": -100123, "type": "supergroup", "title": "a group"}}
            who = telegram.person()
            for text in ("good morning", "/help", "/start", "/help@blur_bot"):
                telegram.send(telegram.message(who, text=text, **group))
            refused = _refusals(telegram)["unsupported"]
            telegram.send(telegram.message(who, **refused, **group))
            telegram.send(telegram.message(who, pinned_message=telegram.message(who, text="x")))
            telegram.send(telegram.message(who, **telegram.photo(jpeg(noise())), **group))
            (call,) = await telegram.calls_of("sendPhoto")
            assert call.chat == -100123
            assert telegram.made("sendMessage") == []

    asyncio.run(check())


def test_at_most_so_many_at_work_and_waiting() -> None:
    async def check() -> None:
        finder = MiddleFace()
        finder.seconds = 0.3
        limits = {"at_work": 2, "waiting": 3, "of_chat": 4}
        async with running(finder, limits=limits) as telegram:
            for number in range(1, 9):
                photo = telegram.photo(jpeg(noise(seed=number)))
                telegram.send(telegram.message(telegram.person(number), **photo))
            refused = await telegram.calls_of("sendMessage", 3)
            assert {call.text for call in refused} == {say("busy", "en")}
            answered = await telegram.calls_of("sendPhoto", 5)
            assert {call.chat for call in answered}.isdisjoint(call.chat for call in refused)
            assert finder.most == 2
            # Places are free again.
            telegram.send(telegram.message(telegram.person(99), **telegram.photo(jpeg(noise()))))
            await telegram.calls_of("sendPhoto", 6)

    asyncio.run(check())


def test_nobody_takes_all_places() -> None:
    async def check() -> None:
        finder = MiddleFace()
        finder.seconds = 0.3
        async with running(finder, limits={"waiting": 9, "of_chat": 2}) as telegram:
            for seed in range(6):
                photo = telegram.photo(jpeg(noise(seed=seed)))
                telegram.send(telegram.message(telegram.person(1), **photo))
            telegram.send(telegram.message(telegram.person(2), **telegram.photo(jpeg(noise()))))
            calls = await telegram.calls_of("sendPhoto", 3)
            assert sorted(call.chat for call in calls) == [1, 1, 2]
            # One note for four photos.
            (note,) = telegram.made("sendMessage")
            assert (note.chat, note.text) == (1, say("busy", "en"))

    asyncio.run(check())


def test_a_failure_of_ours_is_told_and_nothing_comes_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Broken(MiddleFace):
        def find(self, *_: Any, **__: Any) -> Any:
            raise RuntimeError("Firstname7 in /tmp/photo of username7")

    async def check() -> None:
        async with running(Broken()) as telegram:
            telegram.send(telegram.message(telegram.person(), **telegram.photo(jpeg(noise()))))
            (call,) = await telegram.calls_of("sendMessage")
            assert call.text == say("failed", "en")
            assert not any(one.files for one in telegram.calls)

    asyncio.run(check())
    assert "RuntimeError at" in caplog.text
    assert "name7" not in caplog.text


def test_a_full_disk_is_told_to_who_runs_the_bot(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: Any) -> Any:
        raise OSError(errno.ENOSPC, "text of a user", "photo of username7")

    monkeypatch.setattr(blurring, "scratch_folder", full)

    async def check() -> None:
        async with running() as telegram:
            content = telegram.file("video", b"a video", **_VIDEO)
            telegram.send(telegram.message(telegram.person(), **content))
            (call,) = await telegram.calls_of("sendMessage")
            assert call.text == say("failed", "en")

    asyncio.run(check())
    assert "OSError (No space left on device) at" in caplog.text
    assert "user" not in caplog.text
