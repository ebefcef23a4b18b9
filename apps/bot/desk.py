"""What the bot does with each message and each button."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from traceback import extract_tb
from typing import Any

from aiogram import F, Router
from aiogram.exceptions import (
    TelegramBadRequest,
    TelegramEntityTooLarge,
    TelegramForbiddenError,
)
from aiogram.types import CallbackQuery, Message, User

from .albums import Albums
from .answers import Answer, send_album, send_one, style_of
from .blurring import Blurring, Hidden, Style
from .download import download
from .limits import Limits
from .media import Attachment, attachment_of
from .places import Places
from .refusal import Refusal
from .texts import Language, language_of, say

_log = logging.getLogger(__name__)

PRIVATE = F.chat.type == "private"
_FROM_USERS = F.content_type.in_(
    {
        *("text", "sticker", "voice", "audio", "contact", "location", "venue", "poll", "dice"),
        *("story", "game", "checklist", "paid_media", "giveaway", "invoice", "rich_message"),
        "unknown",  # newer than aiogram, or nothing at all
    }
)
"""All else in a chat are notes of Telegram's own."""

_SAID = 1.0
"""Seconds for which something need not be said again."""


class Desk:
    """Answers users.

    Args:
        blurring: Hides the faces.
        style: How, if no button says so.
        limits: How much is taken on.
    """

    def __init__(self, blurring: Blurring, *, style: Style, limits: Limits) -> None:
        self._blurring = blurring
        self._style = style
        self._places = Places(limits)
        self._albums = Albums(limits.album_seconds)
        self._told: set[tuple[int, str]] = set()

    def router(self) -> Router:
        """What is to be called for which message."""
        router = Router()
        # First: a photo may have a caption that is a command.
        router.message.register(self.receive, _brings_something)
        router.message.register(self.explain, PRIVATE, _FROM_USERS)
        router.callback_query.register(self.restyle)
        return router

    def close(self) -> None:
        """Finish what is at work, and refuse the rest."""
        self._albums.close()
        self._places.close()

    async def explain(self, message: Message) -> None:
        """Say what the bot does."""
        await self._tell_once(message, say("help", _language(message.from_user)))

    async def receive(self, message: Message) -> None:
        """Answer a photo, a video or a file, or all of an album with its first message."""
        messages = await self._albums.whole(message)
        if messages is None:
            return
        found = [one for one in map(attachment_of, messages) if one is not None]
        if any(one.content for one in found) or message.chat.type == "private":
            await self._answer(found, self._style, _language(message.from_user))

    async def restyle(self, pressed: CallbackQuery) -> None:
        """Answer the photo or video again that the message of a button replied to."""
        language = _language(pressed.from_user)
        style = style_of(pressed.data)
        answer: Any = pressed.message
        original = getattr(answer, "reply_to_message", None)
        if original is not None and original.caption is None:  # it may have been the album's
            captions = {"caption": answer.caption, "caption_entities": answer.caption_entities}
            original = original.model_copy(update=captions)
        attachment = None if original is None else attachment_of(original.as_(pressed.bot))
        if style is None or attachment is None:
            await _acknowledge(pressed, say("gone", language), show_alert=True)
            return
        await _acknowledge(pressed, say("working", language))
        await self._answer([attachment], style, language)

    async def _answer(
        self, attachments: Sequence[Attachment], style: Style, language: Language
    ) -> None:
        first = attachments[0].message
        began = time.monotonic()
        try:
            with self._places.place(first.chat.id), ExitStack() as kept:
                answers, notes = await self._hide_all(attachments, style, language, kept)
                if len(answers) > 1:
                    await send_album(answers, attachments)
                elif answers:
                    await send_one(answers[0], attachments, style, language)
                if notes:
                    await self._tell(first, "\n".join(notes))
        except Refusal as refusal:
            await self._tell_once(first, say(refusal.text, language))
        except TelegramForbiddenError:
            _log.info("an answer was not taken: the user has left")
        except TelegramEntityTooLarge:
            await self._tell_once(first, say("too_large_answer", language))
        except TelegramBadRequest:
            # Of the photo, or of its message, which may be deleted: then there is no note either.
            _log.info("an answer was not taken")
            await self._tell_once(first, say("not_taken", language))
        except Exception as error:
            _log.error("a request failed: %s", where(error))
            await self._tell_once(first, say("failed", language))
        _log.debug("%d sent, done after %.1f s", len(attachments), time.monotonic() - began)

    async def _hide_all(
        self,
        attachments: Sequence[Attachment],
        style: Style,
        language: Language,
        kept: ExitStack,
    ) -> tuple[list[Answer], list[str]]:
        """The photos and videos whose faces are hidden, and what is to be said of the others."""
        answers: list[Answer] = []
        notes: list[tuple[int, str]] = []
        for number, attachment in enumerate(attachments, 1):
            try:
                hidden = await self._hidden(attachment, style, kept)
                answers.append(Answer(attachment, hidden))
                if hidden.black:
                    notes.append((number, say("black", language, count=hidden.black)))
            except Refusal as refusal:
                notes.append((number, say(refusal.text, language)))
        alike = {what for _, what in notes}
        if len(attachments) == 1 or (len(alike) == 1 and len(notes) == len(attachments)):
            return answers, sorted(alike)
        return answers, [say("number", language, number=one, what=what) for one, what in notes]

    async def _hidden(self, attachment: Attachment, style: Style, kept: ExitStack) -> Hidden:
        attachment.check()
        async with self._places.turn():
            bot = attachment.message.bot
            assert bot is not None
            content = await download(bot, attachment)
            if attachment.content == "photo":
                return await asyncio.to_thread(self._blurring.photo, content, style)
            return await asyncio.to_thread(self._blurring.video, content, style, kept)

    async def _tell_once(self, message: Message, text: str) -> None:
        """Say something unless the chat is told just that now, or was a moment ago.

        Whoever sends hundreds of photos at once would else get hundreds of notes, for minutes.
        """
        told = (message.chat.id, text)
        if told in self._told:
            return
        self._told.add(told)
        try:
            await self._tell(message, text)
        finally:
            asyncio.get_running_loop().call_later(_SAID, self._told.discard, told)

    async def _tell(self, message: Message, text: str) -> None:
        try:
            await message.reply(text, parse_mode=None)
        except Exception as error:
            _log.warning("a note was not sent: %s", where(error))


async def _acknowledge(pressed: CallbackQuery, text: str, *, show_alert: bool = False) -> None:
    """Say that a button is known; if it was pressed long ago, as the bot was away, nobody waits."""
    try:
        await pressed.answer(text, show_alert=show_alert)
    except TelegramBadRequest:
        _log.info("a button was pressed too long ago to say so")


def where(error: BaseException) -> str:
    """Kind and place of an error. Texts of errors may hold names, ids, or the bot's token."""
    kinds = type(error).__name__
    if isinstance(error, OSError) and error.errno is not None:
        kinds += f" ({os.strerror(error.errno)})"
    if error.__cause__ is not None:
        kinds += f" from {type(error.__cause__).__name__}"
    frames = extract_tb(error.__traceback__)[-3:]
    return f"{kinds} at {', '.join(f'{Path(one.filename).name}:{one.lineno}' for one in frames)}"


async def _brings_something(message: Message) -> bool:
    return attachment_of(message) is not None


def _language(user: User | None) -> Language:
    return language_of(None if user is None else user.language_code)
