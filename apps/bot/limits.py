"""How much the bot takes on, and how much Telegram does."""

from __future__ import annotations

from dataclasses import dataclass

MB = 1024 * 1024

DOWNLOAD = 20 * MB
"""Largest file that a bot may download (core.telegram.org/bots/api#getfile)."""

UPLOAD = 50 * MB
"""Largest file that a bot may send (core.telegram.org/bots/api#sending-files)."""

PHOTO = 10 * MB
"""Largest file that it may send as a photo."""

CAPTION = 1024
"""Most UTF-16 units of a caption that a bot may send."""


@dataclass(frozen=True)
class Limits:
    """Limits of one bot.

    Attributes:
        at_work: Photos and videos that are blurred at once.
        waiting: Further requests that may wait; any more are asked to come again.
        of_chat: Requests of one chat, so that nobody takes all places.
        album_seconds: How long the rest of an album is waited for: it has no end mark.
        work_seconds: Longest work on one photo or video.
    """

    at_work: int = 1
    waiting: int = 64
    of_chat: int = 10
    album_seconds: float = 1.0
    work_seconds: float = 600.0
