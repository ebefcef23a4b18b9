"""Run the bot from its start to its end."""

from __future__ import annotations

import asyncio
import logging
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import gettempdir
from urllib.parse import urlsplit

from aiogram import Bot, Dispatcher
from aiogram.client.telegram import TelegramAPIServer
from aiogram.exceptions import ClientDecodeError, TelegramAPIError, TelegramNotFound
from aiogram.methods import SetMyCommands
from aiogram.types import BotCommand, BotCommandScopeAllPrivateChats

from ...errors import MissingPackageError, PocketfaceError, UserError
from ...files import sweep
from ..blur.find import SCORE, FaceFinder
from .blurring import Blurring, Style
from .desk import Desk, where
from .intake import KINDS, Intake
from .limits import Limits
from .pace import Pace
from .patience import Patience
from .polling import poll
from .session import Session
from .texts import LANGUAGES, say
from .webhook import Webhook, listening, secret_of

_log = logging.getLogger(__name__)

TOKEN = "POCKETFACE_BOT_TOKEN"
"""The environment variable of the token: arguments are seen by everybody on a machine."""


@dataclass(frozen=True, kw_only=True)
class BotRequest:
    """One run of the bot.

    Attributes:
        token: As BotFather gives it.
        detector: Model file of a detector.
        second_opinion: Model file of a detector that is asked about doubtful faces; None for none.
        style: How faces are hidden if no button says so.
        score: Lowest detector score of a face, 0 to 1.
        api_server: URL of a Bot API server; None for Telegram's own.
        webhook: Where Telegram sends updates to; None to ask for them.
        limits: How much is taken on.
        device: Device of the detector, as `tasks.load` takes it.
        threads: Threads for one inference, as `tasks.load` takes them.
        on_ready: Called with the bot's name when it answers.
    """

    token: str = field(repr=False)
    detector: Path
    second_opinion: Path | None = None
    style: Style = "mosaic"
    score: float = SCORE
    api_server: str | None = None
    webhook: Webhook | None = None
    limits: Limits = field(default_factory=Limits)
    device: str = "cpu"
    threads: int | None = 1
    on_ready: Callable[[str], None] | None = None


def run_bot(request: BotRequest) -> None:
    """Answer users until Ctrl-C or SIGTERM; what is at work then is answered still.

    Raises:
        UserError: The token, a URL, the port or the model cannot be used.
        MissingPackageError: Videos cannot be read.
        PocketfaceError: Telegram refuses what the bot cannot do without.
    """
    try:
        import av  # noqa: F401
    except ImportError:
        raise MissingPackageError("av") from None
    bot = make_bot(request)
    sweep(Path(gettempdir()))  # a video of somebody's, if the bot was killed
    finder = FaceFinder(
        request.detector,
        score=request.score,
        max_side=None,
        second_opinion=request.second_opinion,
        device=request.device,
        threads=request.threads,
    )
    blurring = Blurring(finder, work_seconds=request.limits.work_seconds)
    with _others_silent():
        try:
            asyncio.run(_until_signals(request, bot, blurring))
        except PocketfaceError:
            raise
        except Exception as error:
            # Texts and causes of network errors may have the token in them.
            raise PocketfaceError(f"the bot has ended: {where(error)}") from None


def make_bot(request: BotRequest) -> Bot:
    """The bot as Telegram knows it; it asks for nothing yet.

    Raises:
        UserError: The token or a URL cannot be one.
    """
    if request.webhook is not None:
        check_url(request.webhook.url, "--webhook")
    session = Session()
    if request.api_server is not None:
        check_url(request.api_server, "--api-server")
        session = Session(api=TelegramAPIServer.from_base(request.api_server))
    session.middleware(Pace())
    # It is a part of URLs, in which other letters have a meaning.
    if not re.fullmatch(r"[0-9]+:[\w-]+", request.token, re.ASCII):
        raise UserError(f"{TOKEN}: expected a token as BotFather gives it: 123:ABC")
    return Bot(request.token, session=session)


def check_url(url: str, flag: str) -> None:
    """Refuse what is no URL of a server.

    Raises:
        UserError: It is not.
    """
    try:
        parts = urlsplit(url)
        fits = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fits = False
    if not fits or not url.isprintable() or any(one in url for one in "{} ?#"):
        raise UserError(f"{flag} {url}: expected a URL, as https://example.org/bot")


async def _until_signals(request: BotRequest, bot: Bot, blurring: Blurring) -> None:
    stop = asyncio.Event()
    with _set_by_signals(stop):
        await answer_users(request, bot, blurring, stop)


async def answer_users(
    request: BotRequest, bot: Bot, blurring: Blurring, stop: asyncio.Event
) -> None:
    """Answer users until `stop` is set, and finish what is at work then.

    Args:
        request: How.
        bot: See `make_bot`.
        blurring: Hides the faces.
        stop: Ends the bot.

    Raises:
        UserError: See `run_bot`.
        TelegramAPIError: Telegram refuses what the bot cannot do without.
    """
    asyncio.get_running_loop().set_exception_handler(_unexpected)
    desk = Desk(blurring, style=request.style, limits=request.limits)
    dispatcher = Dispatcher(disable_fsm=True)
    dispatcher.include_router(desk.router())
    intake = Intake(bot, dispatcher)
    try:
        await _take_updates(request, bot, intake, stop)
        desk.close()
        await intake.finished()
    finally:
        await bot.session.close()


async def _take_updates(request: BotRequest, bot: Bot, intake: Intake, stop: asyncio.Event) -> None:
    """Introduce the bot, and take updates until it ends."""
    patience = Patience(stop, token_from=TOKEN)
    try:
        me = await patience.ask(bot.get_me)
    except TelegramNotFound:  # of a token that cannot be one
        raise UserError(f"{TOKEN}: Telegram does not know this token") from None
    except ClientDecodeError:
        server = request.api_server or "api.telegram.org"
        raise UserError(f"{server}: what answers there is no Bot API server") from None
    if me is None:
        return
    await _describe(bot, patience)
    name = me.username or me.first_name
    if request.webhook is None:
        await patience.ask(bot.delete_webhook)
        _ready(request, name)
        await poll(bot, intake.take, stop, patience)
        return
    hook = request.webhook
    async with listening(hook, bot, intake.take, stop):
        try:
            await patience.ask(
                lambda: bot.set_webhook(
                    hook.url, secret_token=secret_of(bot.token), allowed_updates=KINDS
                )
            )
        except TelegramAPIError as error:
            refused = f"--webhook {hook.url}: refused: {error.message}"
            # Some choose the token for the path, and a server may say what it was asked.
            raise UserError(refused.replace(bot.token, "…")) from None
        _ready(request, name)
        await stop.wait()


async def _describe(bot: Bot, patience: Patience) -> None:
    """Set the menu of commands, in each language; none in groups, where they are not answered."""
    for language in LANGUAGES:
        about = BotCommand(command="help", description=say("about_help", language))
        call = SetMyCommands(
            commands=[about],
            scope=BotCommandScopeAllPrivateChats(),
            language_code=None if language == "en" else language,
        )
        await patience.ask(partial(bot, call))


def _ready(request: BotRequest, name: str) -> None:
    if request.on_ready is not None:
        request.on_ready(name)


@contextmanager
def _set_by_signals(stop: asyncio.Event) -> Iterator[None]:
    """Set `stop` at the first SIGINT or SIGTERM; the second has its usual effect."""
    loop = asyncio.get_running_loop()
    signals = (signal.SIGINT, signal.SIGTERM)

    def end() -> None:
        restore()
        stop.set()

    def restore() -> None:
        for one in signals:
            loop.remove_signal_handler(one)

    # Windows has none, and only the main thread may set them.
    with suppress(NotImplementedError, ValueError, RuntimeError):
        for one in signals:
            loop.add_signal_handler(one, end)
    try:
        yield
    finally:
        with suppress(NotImplementedError, ValueError):
            restore()


@contextmanager
def _others_silent() -> Iterator[None]:
    """Keep other packages from logging: what they say has names and ids of users in it."""
    loggers = [logging.getLogger(name) for name in ("aiogram", "aiohttp", "asyncio")]
    before = [one.level for one in loggers]
    for one in loggers:
        one.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for one, level in zip(loggers, before, strict=True):
            one.setLevel(level)


def _unexpected(_: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
    error = context.get("exception")
    _log.error("unexpected: %s", where(error) if isinstance(error, BaseException) else "no error")
