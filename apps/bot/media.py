"""What a message brings: a photo, a video, or a file with one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

from aiogram.types import Message

from ...data.images import IMAGE_SUFFIXES, VIDEO_SUFFIXES
from .limits import DOWNLOAD
from .refusal import Refusal

Kind = Literal["photo", "video", "animation", "video_note", "document"]
"""How it is sent, and how it comes back."""

_NAME_LENGTH = 60


@dataclass(frozen=True, kw_only=True)
class Attachment:
    """One photo or video of a message.

    Attributes:
        message: The message.
        kind: How it was sent.
        file_id: By which Telegram knows the file.
        size: In bytes, if Telegram says.
        content: Whether it is a photo or a video; None for neither.
        stem: Of the answer's name.
    """

    message: Message
    kind: Kind
    file_id: str
    size: int | None
    content: Literal["photo", "video"] | None
    stem: str = "blurred"

    def check(self) -> None:
        """Refuse what cannot be had, before it is downloaded.

        Raises:
            Refusal: It is neither a photo nor a video, or too large.
        """
        if self.content is None:
            raise Refusal("unsupported")
        if (self.size or 0) > DOWNLOAD:
            raise Refusal("too_large")


def attachment_of(message: Message) -> Attachment | None:
    """The photo, video or file of a message; None for none.

    A GIF is both an animation and a document; it counts as the former.
    """
    if message.photo:
        largest = max(message.photo, key=lambda size: size.width * size.height)
        return _attachment(message, "photo", largest.file_id, largest.file_size, "photo")
    if message.animation is not None:
        moving = message.animation
        content = _content_of(moving.mime_type or "video/mp4", "")
        return _attachment(message, "animation", moving.file_id, moving.file_size, content)
    if message.video is not None:
        video = message.video
        return _attachment(message, "video", video.file_id, video.file_size, "video")
    if message.video_note is not None:
        note = message.video_note
        return _attachment(message, "video_note", note.file_id, note.file_size, "video")
    if message.document is not None:
        document = message.document
        name = document.file_name or ""
        return Attachment(
            message=message,
            kind="document",
            file_id=document.file_id,
            size=document.file_size,
            content=_content_of(document.mime_type or "", name),
            stem=_stem(name),
        )
    return None


def _attachment(
    message: Message,
    kind: Kind,
    file_id: str,
    size: int | None,
    content: Literal["photo", "video"] | None,
) -> Attachment:
    return Attachment(message=message, kind=kind, file_id=file_id, size=size, content=content)


def _content_of(mime_type: str, name: str) -> Literal["photo", "video"] | None:
    suffix = PurePosixPath(name).suffix.lower()
    if mime_type.startswith("image/") or suffix in IMAGE_SUFFIXES:
        return "photo"
    if mime_type.startswith("video/") or suffix in VIDEO_SUFFIXES:
        return "video"
    return None


def _stem(name: str) -> str:
    """Of the answer's name: `blurred_` and what may stand in a header of a file's name."""
    stem = PurePosixPath(name).stem
    harmless = "".join(one for one in stem if one.isalnum() or one in " -_.()")
    return f"blurred_{harmless[:_NAME_LENGTH]}".rstrip("_ .")
