"""`pocketface bot`."""

from __future__ import annotations

import argparse
import os

from ..errors import UserError
from ..model_templates.catalogue import DETECTOR
from .console import printable
from .parser import (
    add_detector,
    add_second_opinion,
    count,
    fraction,
    positive_count,
    second_opinion_of,
)

_STYLES = ("mosaic", "gaussian", "solid", "emoji")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's flags."""
    parser.add_argument(
        "--style",
        choices=_STYLES,
        default="mosaic",
        help="how faces are hidden if no button says so (default: mosaic)",
    )
    add_detector(parser, "finds the faces")
    add_second_opinion(parser)
    parser.add_argument(
        "--score",
        type=fraction,
        metavar="0..1",
        help="of the detector, from which on a face is hidden (default: 0.3)",
    )
    parser.add_argument(
        "--api-server",
        metavar="URL",
        help="a Bot API server of your own (default: https://api.telegram.org)",
    )
    parser.add_argument(
        "--webhook",
        metavar="URL",
        help="have Telegram send messages to this URL (default: ask for them, which needs none)",
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address that --webhook listens at (default: 127.0.0.1; 0.0.0.0 for all)",
    )
    parser.add_argument(
        "--port", type=count, default=8443, help="that --webhook listens at (default: 8443)"
    )
    parser.add_argument(
        "--at-work",
        type=positive_count,
        default=2,
        metavar="N",
        help="photos and videos at once (default: 2)",
    )
    parser.add_argument(
        "--waiting",
        type=count,
        default=64,
        metavar="N",
        help="further ones that may wait; more are asked to come again (default: 64)",
    )
    parser.add_argument("--device", default="cpu", help="cpu (default), or what the runtime knows")
    parser.add_argument(
        "--threads",
        type=positive_count,
        default=1,
        metavar="N",
        help="of the runtime, for one photo (default: 1)",
    )


def run(args: argparse.Namespace) -> None:
    """Answer users until Ctrl-C."""
    from ..apps.blur.find import SCORE
    from ..apps.bot.limits import Limits
    from ..apps.bot.run import TOKEN, BotRequest, run_bot
    from ..apps.bot.webhook import Webhook
    from ..tasks.named import model_path

    token = os.environ.get(TOKEN)
    if not token:
        raise UserError(
            f"{TOKEN}: not set: expected the bot's token in this environment variable",
            hint="BotFather, a bot of Telegram's, makes bots and tokens",
        )
    if args.port > 65535:
        raise UserError(f"--port {args.port}: expected 0 to 65535")
    webhook = None
    if args.webhook is not None:
        webhook = Webhook(url=args.webhook, host=args.host, port=args.port)
    run_bot(
        BotRequest(
            token=token,
            detector=model_path(args.detector or DETECTOR, device=args.device),
            second_opinion=second_opinion_of(args),
            style=args.style,
            score=SCORE if args.score is None else args.score,
            api_server=args.api_server,
            webhook=webhook,
            limits=Limits(at_work=args.at_work, waiting=args.waiting),
            device=args.device,
            threads=args.threads,
            on_ready=_tell_ready,
        )
    )


def _tell_ready(name: str) -> None:
    print(printable(f"@{name} answers; Ctrl-C ends it"), flush=True)
