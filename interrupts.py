"""Handle Ctrl-C and SIGTERM so that other packages neither swallow them nor crash."""

from __future__ import annotations

import contextlib
import ctypes
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any


@contextlib.contextmanager
def signals_kept() -> Iterator[Callable[[], None]]:
    """Raise at SIGINT and SIGTERM as usual, and raise again at the next check.

    The first exception may be lost: some converters catch all, or are in a destructor.

    Yields:
        A check to call between two steps, which raises again what a signal raised before.

    Raises:
        KeyboardInterrupt: At Ctrl-C.
        SystemExit: At SIGTERM, so that unfinished work is cleaned up.
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


@contextlib.contextmanager
def signal_stack_kept() -> Iterator[None]:
    """Leave this thread's alternate signal stack, `sigaltstack(2)`, as it was before the block.

    OpenVINO's CPU plugin sets its own and frees it with the plugin, in any thread and order: the
    next signal would be a segmentation fault.
    """
    if sys.platform != "linux":
        yield
        return
    sigaltstack = ctypes.CDLL(None).sigaltstack
    before = _SignalStack()
    sigaltstack(None, ctypes.byref(before))
    try:
        yield
    finally:
        if sigaltstack(ctypes.byref(before), None):  # refused: too small for AMX, now in use
            sigaltstack(ctypes.byref(_SignalStack(flags=_SS_DISABLE)), None)


class _SignalStack(ctypes.Structure):
    """`stack_t` of Linux."""

    _fields_ = (
        ("pointer", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("size", ctypes.c_size_t),
    )


_SS_DISABLE = 2
