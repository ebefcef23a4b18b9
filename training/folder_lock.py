"""Keep a second training out of a folder that one is writing into."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import UserError
from ..places import check_place

NAME = ".training.lock"


@contextmanager
def only_training_in(folder: Path) -> Iterator[None]:
    """Hold a folder's lock, which the system frees when the process ends, however it ends.

    Of the processes of one training the first holds it; other nodes may not have the folder.

    Raises:
        UserError: Another training holds it, or the folder cannot be written.
    """
    from filelock import FileLock, Timeout
    from lightning.pytorch.utilities import rank_zero_only

    if rank_zero_only.rank:  # type: ignore[attr-defined]
        yield
        return
    check_place(folder, "--save-checkpoints-to", folder=True)
    made = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / NAME)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise UserError(
            f"--save-checkpoints-to {folder}: another training is writing there",
            hint="name another folder, or wait until it has ended",
        ) from None
    try:
        yield
    finally:
        # Removed while it is held, so that no other process holds a file that is gone.
        with suppress(OSError):
            (folder / NAME).unlink(missing_ok=True)
        lock.release()
        if made:
            with suppress(OSError):  # not empty
                folder.rmdir()
