"""Silence output of other packages that users can do nothing about."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
import warnings
from collections.abc import Iterator

IMPORTING = threading.RLock()
"""Lock held while importing a package that changes the process, or must not see another one."""

_lock = threading.Lock()
_silenced = contextlib.ExitStack()
_inside = 0


def keep_to_itself() -> None:
    """Keep ONNX Runtime from telling its makers about models and runs, unless the user lets it.

    Its builds for Linux and macOS do so from 1.29 on. To be called before it is imported: it reads
    the variable once, and later no function of its own ends it.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence standard output and error (also of C++ code), warnings, and logging below errors.

    For imports and conversions that always print progress and versions. Exceptions pass. Output
    of other threads meanwhile is lost; several threads may be in such a block at once.
    """
    global _silenced, _inside
    with _lock:
        if _inside == 0:
            _silenced = _silence()
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                _silenced.close()


def _silence() -> contextlib.ExitStack:
    """Start the silence; closing the result ends it."""
    with contextlib.ExitStack() as stack:
        before = logging.root.manager.disable
        stack.callback(logging.disable, before)
        logging.disable(logging.WARNING)
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        for stream in (sys.stdout, sys.stderr):
            # The stream is None in programs without a console, and closed in some services.
            with contextlib.suppress(AttributeError, ValueError, OSError):
                stream.flush()
        # C++ writes past Python's streams, to the descriptors themselves.
        kept: dict[int, int] = {}
        for descriptor in (1, 2):
            with contextlib.suppress(OSError):
                kept[descriptor] = os.dup(descriptor)
        sink = stack.enter_context(open(os.devnull, "w"))
        stack.enter_context(contextlib.redirect_stdout(sink))
        stack.enter_context(contextlib.redirect_stderr(sink))
        for descriptor, copy in kept.items():
            stack.callback(os.close, copy)
            stack.callback(os.dup2, copy, descriptor)
            os.dup2(sink.fileno(), descriptor)
        return stack.pop_all()
