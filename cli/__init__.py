# PYTHON_ARGCOMPLETE_OK: argcomplete looks for this word before it asks.
"""The command line: one module per command, imported only when its verb is used."""

from __future__ import annotations

import argparse
import codecs
import difflib
import errno
import importlib
import io
import logging
import os
import shlex
import signal
import sys
import textwrap
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from .. import __version__
from ..api.threads import wait_passively
from ..errors import EXTRAS, MissingPackageError, PocketfaceError, UserError
from .console import printable
from .parser import Parser

COMMANDS = {
    "templates": (".templates", "list the templates with their size, counted and published"),
    "init": (".init", "make a work directory from a template"),
    "train": (".train", "train or fine-tune a template on annotated photos"),
    "eval": (".eval", "measure a checkpoint or an exported file on annotated photos"),
    "compress": (".compress", "write smaller, faster files that keep a promise"),
    "export": (".export", "write checked model files for other runtimes"),
    "verify": (".verify", "run exported files beside the trained network again"),
    "benchmark": (".benchmark", "measure accuracy and speed of model files on this machine"),
    "select": (".select", "choose the smallest measured file that meets a budget"),
    "diagnose": (".diagnose", "find out whether a detector is shown photos as it should be"),
    "visualize": (".visualize", "find faces in a camera, video, photo, folder or stream"),
    "segment": (".segment", "write masks of the faces in photos and videos"),
    "blur": (".blur", "hide the faces of photos and videos"),
    "classify": (".classify", "find the photos with a face of a label, as with glasses"),
    "recognize": (".recognize", "is it the same person, who is it, who belongs together"),
    "serve": (".serve", "answer over HTTP: labels, faces, masks, people, hidden faces"),
    "bot": (".bot", "hide the faces of what people send to a Telegram bot"),
    "data": (".data", "make, convert and split annotations"),
}
"""Verb -> (module of this package, one line of help)."""

_EPILOG = """\
exit codes:
  0    done
  1    a failure, or a check that failed: parity, a promise, pre-processing
  2    a mistake in what was given: a flag, a file, a template, a missing package
  3    select: nothing meets the budget
  130  interrupted by Ctrl-C
  141  what read the output is gone
  143  ended by SIGTERM

`pocketface COMMAND --help` explains one command."""

_WRONG_PATH = {
    errno.ENOENT,
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.EEXIST,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.ELOOP,
    errno.ENAMETOOLONG,
}
"""Error numbers that, with a file's name, most likely mean a wrong path from the user."""

_ASKED_BY_SHELL = "_ARGCOMPLETE"
"""Environment variable of a shell that asks how a command line can go on."""

_INTERRUPTED = 128 + signal.SIGINT
_BROKEN_PIPE = 128 + 13  # the shell's code for SIGPIPE; Windows has no such signal


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: The arguments after `pocketface`; None for those of the process.

    Returns:
        Exit code: 0 for success, 2 for a user's mistake, 1 for a failure, 130 after Ctrl-C.
    """
    if _ASKED_BY_SHELL in os.environ:
        from .completion import complete

        complete(_parser)
    arguments = list(sys.argv[1:] if argv is None else argv)
    wait_passively()
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        # File names may hold bytes that are not text, which are printed unchanged, and letters
        # that Windows' code pages do not have.
        is_utf8 = codecs.lookup(sys.stdout.encoding).name == "utf-8"
        sys.stdout.reconfigure(errors="surrogateescape" if is_utf8 else "backslashreplace")
    try:
        try:
            _run(arguments)
        except SystemExit as left:
            if left.code:  # argparse exits with 0 after --help and --version
                return int(left.code)
        if sys.stdout is not None:  # closed by `>&-`
            sys.stdout.flush()  # here, where a broken pipe can still be handled
        return 0
    except KeyboardInterrupt as error:
        _say("interrupted" + (f"; {error}" if str(error) else ""))
        return _INTERRUPTED
    except BrokenPipeError:
        # The interpreter flushes stdout once more at exit, which must not fail again.
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _BROKEN_PIPE
    except Exception as error:
        if "--debug" in arguments:
            traceback.print_exc()
        return _report(error)


def _run(arguments: list[str]) -> None:
    # No option before the verb takes a value.
    verb = next((word for word in arguments if not word.startswith("-")), None)
    if verb is not None and verb not in COMMANDS:
        near = difflib.get_close_matches(verb, COMMANDS, n=1)
        raise UserError(
            f"no command {verb!r}; there are: {', '.join(COMMANDS)}",
            hint=f"did you mean `pocketface {near[0]}`?" if near else None,
        )
    parser = _parser(verb)
    args, unknown = parser.parse_known_args(arguments)
    if unknown:
        parser.refuse(unknown, arguments)
    args.command_line = shlex.join(["pocketface", *arguments])
    with _logging_to_stderr(verbose=getattr(args, "verbose", False)):
        args.run(args)


def _parser(verb: str | None) -> Parser:
    """The parser of all commands, with the flags of one."""
    parser = Parser(
        prog="pocketface",
        description="Small face models, from a YAML template to a checked model file.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"pocketface {__version__}")
    verbs = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, (module, summary) in COMMANDS.items():
        child = verbs.add_parser(
            name, help=summary, description=f"{summary[0].upper()}{summary[1:]}."
        )
        if name == verb:
            command = importlib.import_module(module, __name__)
            command.add_arguments(child)
            child.set_defaults(run=command.run)
    return parser


def _report(error: Exception) -> int:
    """Print an error as one line, and its hint if it has one; returns the exit code."""
    if isinstance(error, ModuleNotFoundError) and error.name:
        package = error.name.partition(".")[0]
        if package in EXTRAS:
            error = MissingPackageError(package)
    if isinstance(error, PocketfaceError):
        _say(f"error: {error}", hint=error.hint)
        return error.exit_code
    if isinstance(error, OSError) and error.strerror:
        _say(f"error: {error.filename or 'system'}: {error.strerror}")
        return UserError.exit_code if error.filename and error.errno in _WRONG_PATH else 1
    # Other packages' messages may hold whole arrays.
    text = textwrap.shorten(f"error: {type(error).__name__}: {error}", 300, placeholder=" ...")
    _say(text, hint="run again with --debug for the traceback")
    return 1


def _say(text: str, *, hint: str | None = None) -> None:
    print("pocketface:", printable(" ".join(text.split())), file=sys.stderr)
    if hint:
        print("hint:", printable(" ".join(hint.split())), file=sys.stderr)


@contextmanager
def _logging_to_stderr(*, verbose: bool) -> Iterator[None]:
    """Show the package's log records, and other packages' warnings, for one command."""
    ours = logging.getLogger(__name__.partition(".")[0])
    handler = logging.StreamHandler()  # uses the current sys.stderr
    handler.setFormatter(_LineFormatter())
    before = ours.level, ours.propagate
    ours.addHandler(handler)
    ours.setLevel(logging.DEBUG if verbose else logging.INFO)
    ours.propagate = False
    try:
        yield
    finally:
        ours.removeHandler(handler)
        ours.level, ours.propagate = before


class _LineFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        if record.exc_info is None:
            text = printable(" ".join(text.splitlines()))  # file names may contain line breaks
        level = record.levelname.lower()
        return text if level == "info" else f"pocketface: {level}: {text}"


__all__ = ["COMMANDS", "main"]
