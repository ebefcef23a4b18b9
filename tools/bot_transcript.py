"""What the bot says to whom: a talk with it at the fake Bot API server of the tests.

    python tools/bot_transcript.py

The photos are in the public domain; the detector is the one that ships.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from PIL import Image

from pocketface.apps.blur.find import FaceFinder
from pocketface.apps.bot.blurring import Blurring
from pocketface.apps.bot.limits import Limits
from pocketface.apps.bot.run import BotRequest, answer_users, make_bot
from pocketface.data.pictures import public_domain_photos
from pocketface.model_templates.catalogue import DETECTOR, SECOND_DETECTOR
from pocketface.tasks.named import model_path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "apps" / "bot"))
fake_telegram = import_module("fake_telegram")

ANSWERS = (
    *("sendMessage", "sendPhoto", "sendDocument", "sendVideo", "sendMediaGroup"),
    "answerCallbackQuery",
)


def main() -> None:
    """Print the talk."""
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    asyncio.run(run())


async def run() -> None:
    """Talk, and print what both sides send."""
    async with fake_telegram.fake_telegram() as telegram:
        detector, second = model_path(DETECTOR), model_path(SECOND_DETECTOR)
        limits = Limits()
        request = BotRequest(
            token=fake_telegram.TOKEN, detector=detector, api_server=telegram.base, limits=limits
        )
        finder = FaceFinder(detector, second_opinion=second, threads=1)
        blurring = Blurring(finder, work_seconds=limits.work_seconds)
        stop = asyncio.Event()
        bot = asyncio.create_task(answer_users(request, make_bot(request), blurring, stop))
        try:
            await talk(telegram)
        finally:
            stop.set()
            await bot


async def talk(telegram: Any) -> None:
    """One of each."""
    hopper, astronaut = (path.read_bytes() for path, _ in public_domain_photos())
    who = telegram.person(language="en")

    async def say(what: str, **content: Any) -> tuple[dict[str, Any], Any]:
        message = telegram.send(telegram.message(who, **content))
        print(f"user: {what}")
        return message, await answered(telegram)

    await say("/start", text="/start", entities=[{"type": "bot_command", "offset": 0, "length": 6}])
    message, answer = await say(
        "a photo, grace_hopper.jpg, “our admiral”",
        **telegram.photo(hopper, caption="our admiral"),
    )
    print("user: presses “Emoji”")
    telegram.press(who, answer, "style:emoji", message)
    await answered(telegram, 2)
    exif = Image.Exif()
    exif[0x0110] = "A camera"
    exif.get_ifd(0x8825)[1] = "N"
    tagged = io.BytesIO()
    Image.open(io.BytesIO(astronaut)).convert("RGB").save(tagged, "JPEG", exif=exif)
    await say(
        f"a file, astronaut.jpg, {tags(tagged.getvalue())}",
        **telegram.file("document", tagged.getvalue(), file_name="astronaut.jpg"),
    )
    print("user: an album of both photos")
    for content in (hopper, astronaut):
        album = telegram.photo(content)
        telegram.send(telegram.message(who, media_group_id="1", **album))
    await answered(telegram)
    grey = io.BytesIO()
    Image.new("RGB", (320, 240), (90, 120, 150)).save(grey, "JPEG")
    await say("a photo of the sky", **telegram.photo(grey.getvalue()))
    await say("a file, notes.pdf", **telegram.file("document", b"%PDF-1.7", file_name="notes.pdf"))
    large = telegram.file("video", b"", file_name="party.mp4", duration=300, width=1, height=1)
    large["video"]["file_size"] = 30_000_000
    await say("a video of 30 MB", **large)


def tags(content: bytes) -> str:
    """How many EXIF tags a photo has, those of its place among them."""
    exif = Image.open(io.BytesIO(content)).getexif()
    count = len(exif) + len(exif.get_ifd(0x8825))
    return f"{count} EXIF tags" if count else "no EXIF tags"


async def answered(telegram: Any, count: int = 1) -> Any:
    """Print the answers that come; the first one."""
    await telegram.until(lambda: len(telegram.made(*ANSWERS)) >= count, 60)
    made = telegram.made(*ANSWERS)
    telegram.calls.clear()
    for call in made:
        print(f"bot:  {call.method}{told(call)}")
    return made[0]


def told(call: Any) -> str:
    """What is in an answer."""
    parts = [
        f" {name}, {len(content):,} bytes, {tags(content)}" for name, content in call.files.values()
    ]
    text = call.fields.get("text") or call.fields.get("caption")
    if text:
        parts.append("\n      ".join(f" “{text}”".split("\n")))
    buttons = call.fields.get("reply_markup", {}).get("inline_keyboard", [[]])[0]
    if buttons:
        parts.append(" buttons " + " | ".join(one["text"] for one in buttons))
    return ";".join(parts)


if __name__ == "__main__":
    main()
