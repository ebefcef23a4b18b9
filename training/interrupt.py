"""Handle Ctrl-C between two batches, where nothing is half done."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lightning.pytorch.callbacks import Callback

_log = logging.getLogger(__name__)


class StopBetweenBatches(Callback):
    """Raises KeyboardInterrupt after the batch in which Ctrl-C was pressed.

    Raised at any other place, it could be lost in a destructor or damage a file that torch is
    writing.
    """

    def __init__(self) -> None:
        self._asked = False

    def on_train_batch_end(self, *_: Any) -> None:
        """Raise if Ctrl-C was pressed."""
        if self._asked:
            raise KeyboardInterrupt

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Handle Ctrl-C until the block ends; a second one interrupts at once."""
        if threading.current_thread() is not threading.main_thread():
            yield  # only the main thread may set handlers
            return
        before = signal.signal(signal.SIGINT, self._ask)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def _ask(self, *_: Any) -> None:
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True
        _log.warning("stopping after this batch; Ctrl-C again stops at once")


def ignore_ctrl_c(_: int) -> None:
    """A `worker_init_fn`: a terminal's Ctrl-C reaches workers too, but the trainer ends them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
