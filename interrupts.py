"""Ctrl-C and SIGTERM that other packages cannot swallow."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any


@contextlib.contextmanager
def signals_kept() -> Iterator[Callable[[], None]]:
    """Raise at SIGINT and SIGTERM as usual, and again at the next check.

    Some converters catch every exception, or are in a destructor when it comes.

    Yields:
        A check, to be called between two steps: raises what was asked for before.

    Raises:
        KeyboardInterrupt: At Ctrl-C.
        SystemExit: At SIGTERM, so that what is half done is cleaned up.
    """
    asked: list[BaseException] = []

    def check() -> None:
        if asked:
            raise asked[0]

    def note(number: int, _: Any) -> None:
        interrupt = number == signal.SIGINT
        asked.append(KeyboardInterrupt() if interrupt else SystemExit(128 + number))
        raise asked[0]

    if threading.current_thread() is not threading.main_thread():
        yield check  # only the main thread may set handlers
        return
    before = {one: signal.signal(one, note) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield check
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
