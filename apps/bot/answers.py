"""Send photos and videos back as they came: to the same message, with its caption."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiogram.types import (
    BufferedInputFile,
    FSInputFile,
    InlineKeyboardButton,
    InlineKeyboardMarkup,
    InputFile,
    InputMediaDocument,
    InputMediaPhoto,
    InputMediaVideo,
    Message,
)

from .blurring import STYLES, Hidden, Style
from .limits import CAPTION, PHOTO, UPLOAD
from .media import Attachment
from .refusal import Refusal
from .texts import Language, say

_PREFIX = "style:"
"""Of what a button sends. The photo itself is in the message that the answer replies to."""

_SECONDS = 300


@dataclass(frozen=True)
class Answer:
    """A blurred photo or video, and what it answers.

    Raises:
        Refusal: It is larger than a bot may send.
    """

    attachment: Attachment
    hidden: Hidden

    def __post_init__(self) -> None:
        most = PHOTO if self.attachment.kind == "photo" else UPLOAD
        if self.hidden.size > most:
            raise Refusal("too_large_answer")

    def file(self) -> InputFile:
        """What is sent."""
        name = self.attachment.stem + self.hidden.suffix
        if isinstance(self.hidden.content, Path):
            return FSInputFile(self.hidden.content, name)
        return BufferedInputFile(self.hidden.content, name)


async def send_one(
    answer: Answer, sent: Sequence[Attachment], style: Style, language: Language
) -> None:
    """Reply with one photo or video, and with the other styles under it.

    Args:
        answer: It.
        sent: All that was sent with it, itself among them: of an album.
        style: How its faces are hidden.
        language: Of the buttons.

    Raises:
        TelegramAPIError: It cannot be sent.
    """
    message, kind = answer.attachment.message, answer.attachment.kind
    (caption,) = _captions([answer], sent)
    file = answer.file()
    more: dict[str, Any] = {"reply_markup": _buttons(style, language)}
    call: Any
    if kind == "video_note":
        call = message.reply_video_note(file, **more)
    elif kind == "document":
        # Else Telegram makes a GIF or a video of it.
        more["disable_content_type_detection"] = True
        call = message.reply_document(file, **caption, **more)
    else:
        more["has_spoiler"] = message.has_media_spoiler
        more["show_caption_above_media"] = message.show_caption_above_media
        if kind == "photo":
            call = message.reply_photo(file, **caption, **more)
        elif kind == "animation":
            call = message.reply_animation(file, **caption, **more)
        else:
            call = message.reply_video(file, supports_streaming=True, **caption, **more)
    await _bot_of(message)(call, request_timeout=_SECONDS)


async def send_album(answers: Sequence[Answer], sent: Sequence[Attachment]) -> None:
    """Reply with 2 to 10 photos and videos, or files, in their order.

    Telegram has no buttons for albums.

    Args:
        answers: The photos and videos.
        sent: All of the album that was sent.

    Raises:
        TelegramAPIError: It cannot be sent.
    """
    first = sent[0].message
    media: list[Any] = [
        _in_album(answer, caption)
        for answer, caption in zip(answers, _captions(answers, sent), strict=True)
    ]
    await _bot_of(first)(first.reply_media_group(media), request_timeout=_SECONDS)


def _in_album(
    answer: Answer, caption: Mapping[str, Any]
) -> InputMediaPhoto | InputMediaVideo | InputMediaDocument:
    file, kind = answer.file(), answer.attachment.kind
    if kind == "document":
        return InputMediaDocument(media=file, disable_content_type_detection=True, **caption)
    spoiler = answer.attachment.message.has_media_spoiler
    if kind == "photo":
        return InputMediaPhoto(media=file, has_spoiler=spoiler, **caption)
    return InputMediaVideo(media=file, has_spoiler=spoiler, supports_streaming=True, **caption)


def _captions(answers: Sequence[Answer], sent: Sequence[Attachment]) -> list[Mapping[str, Any]]:
    """The caption of each answer.

    That of an album is the caption of one of its photos: it is kept if this does not come back.
    """
    captions = [_caption_of(answer.attachment.message) for answer in answers]
    if not any(captions):
        of_all = (_caption_of(one.message) for one in sent)
        captions[0] = next(filter(None, of_all), {})
    return captions


def _caption_of(message: Message) -> Mapping[str, Any]:
    """The user's own caption, as it looked."""
    text = message.caption
    if text is None:
        return {}
    units = text.encode("utf-16-le", "surrogatepass")
    if len(units) <= 2 * CAPTION:
        # The formats are given by the entities; nothing in the text is markup.
        return {
            "caption": text,
            "caption_entities": message.caption_entities,
            "parse_mode": None,
        }
    # Only who pays for it may have longer ones.
    short = units[: 2 * CAPTION].decode("utf-16-le", "ignore")
    return {"caption": short, "parse_mode": None}


def _buttons(style: Style, language: Language) -> InlineKeyboardMarkup:
    others = [
        InlineKeyboardButton(text=say(one, language), callback_data=f"{_PREFIX}{one}")
        for one in STYLES
        if one != style
    ]
    return InlineKeyboardMarkup(inline_keyboard=[others])


def style_of(pressed: str | None) -> Style | None:
    """The style of the button that sent this; None if it is none of ours."""
    return next((one for one in STYLES if pressed == f"{_PREFIX}{one}"), None)


def _bot_of(message: Message) -> Any:
    assert message.bot is not None, "updates are read with their bot"
    return message.bot
