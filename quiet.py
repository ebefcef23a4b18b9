"""Other packages' remarks, kept from people who can do nothing about them."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import warnings
from collections.abc import Iterator


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence standard output and error, logging below errors, and warnings, of C++ code too.

    For imports and conversions that print progress and versions whatever one asks. Exceptions
    pass. What other threads print meanwhile is lost.
    """
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    with contextlib.ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        sink = stack.enter_context(open(os.devnull, "w"))
        stack.enter_context(contextlib.redirect_stdout(sink))
        stack.enter_context(contextlib.redirect_stderr(sink))
        # C++ writes past Python's streams, to the descriptors themselves.
        for descriptor in (1, 2):
            kept = os.dup(descriptor)
            stack.callback(os.close, kept)
            stack.callback(os.dup2, kept, descriptor)
            os.dup2(sink.fileno(), descriptor)
        stack.callback(logging.disable, before)
        yield
