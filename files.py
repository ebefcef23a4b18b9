"""Write files atomically, name them in UTF-8, and compute SHA-256."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import re
import secrets
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal

from .errors import PocketfaceError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_TEMPORARY = re.compile(r"\..*\.pocketface-[0-9a-f]{12}(\..*)?")

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Error numbers that say that there is no room for more."""

_LEFT_WHEN_FULL = 64 * 1024
"""Free bytes below which a disk counts as full for whoever writes more than a line."""

_swept: set[str] = set()

_CAN_LOCK = os.name == "posix"
"""Whether temporaries are locked; Windows has no such locks, and nothing is swept there."""


@contextmanager
def atomic_write(
    path: Path, mode: Literal["wb", "w"] = "wb", *, private: bool = False
) -> Iterator[IO[Any]]:
    r"""Write a file so that `path` holds either its old content or the whole new one.

    The data go to a temporary file beside `path` (same suffix, same file system; its name is
    the handle's `.name`), are synced to disk, and take the place of `path` only when the block
    ends without an exception; otherwise the temporary file is removed. What processes that were
    killed left in the folder is removed by the next process that writes there. A file that was
    there keeps its permissions, and its owner where the system allows it; a link is replaced by the
    file.

    Args:
        path: The file to write; missing parent folders are made.
        mode: "wb" for bytes, "w" for UTF-8 text with "\n" line ends.
        private: Whether a new file is for its owner alone, not for whom the umask lets in.

    Yields:
        The open temporary file.

    Raises:
        OSError: The folder cannot be made or written; `filename` is `path`. A write that failed
            is raised also where the block raised something else after it, or nothing: libraries
            hide it.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        temporary, descriptor = _claimed(path, _new_file)
    except OSError as error:
        raise _about(error, path) from error
    lock = os.dup(descriptor) if _CAN_LOCK else None
    _set_permissions(descriptor, path, private=private)
    raw = _Raw(descriptor, "w")
    raw.name = str(temporary)
    binary = io.BufferedWriter(raw)
    # File names may hold bytes that are not UTF-8; they are written unchanged.
    handle: IO[Any] = binary if mode == "wb" else io.TextIOWrapper(
        binary, encoding="utf-8", newline="\n", errors="surrogateescape"
    )  # fmt: skip
    try:
        with handle:
            yield handle
            handle.flush()
            os.fsync(raw.fileno())
            if raw.failed is not None:
                raise raw.failed
        os.replace(temporary, path)
    except Exception as error:
        if raw.failed is not None:
            raise _about(raw.failed, path) from error
        if isinstance(error, OSError) and (
            error.filename == str(temporary) or (error.filename is None and error.errno in FULL)
        ):
            raise _about(error, path) from error
        raise
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()
        if lock is not None:
            os.close(lock)
    _sync_folder(path.parent)


class _Raw(io.FileIO):
    """A file that remembers the first write that failed."""

    failed: OSError | None = None

    def write(self, data: ReadableBuffer, /) -> int:
        """See `io.FileIO`."""
        try:
            return super().write(data)
        except OSError as error:
            self.failed = self.failed or error
            raise


@contextmanager
def scratch_folder(parent: Path) -> Iterator[Path]:
    """A new hidden folder in `parent`, on the same file system, removed when the block ends.

    Nobody but the user can look into it.

    That of a process that was killed is removed by the next one that writes into `parent`.

    Raises:
        OSError: It cannot be made, or the disk is full, with `parent` for its name.
    """
    folder, descriptor = _claimed(parent / "scratch", _new_folder)
    try:
        yield folder
    except OSError as error:
        inside = error.filename is None or str(error.filename).startswith(str(folder))
        if inside and error.errno in FULL:
            raise _about(error, parent) from error
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if descriptor >= 0:
            os.close(descriptor)


def raise_if_full(folder: Path, error: Exception) -> None:
    """Raise the cause that libraries hide behind `error` where the folder's disk has no room.

    Raises:
        OSError: The disk is full.
    """
    if shutil.disk_usage(folder).free < _LEFT_WHEN_FULL:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder)) from error


def _claimed(path: Path, make: Callable[[Path], int]) -> tuple[Path, int]:
    """Make a temporary beside `path`, locked as long as it is open; its name and descriptor."""
    sweep(path.parent)
    while True:
        # Shortened, as a letter may take four of the 255 bytes of a name.
        end = f"pocketface-{secrets.token_hex(6)}{path.suffix}"
        name = path.with_name(f".{path.stem[:40]}.{end}")
        # Another process that sweeps may find it before it is open, or locked.
        try:
            descriptor = make(name)
        except FileNotFoundError:
            if not path.parent.is_dir():
                raise
            continue
        if not _CAN_LOCK or (_lock(descriptor) is not False and os.path.lexists(name)):
            return name, descriptor
        os.close(descriptor)


def _new_file(name: Path) -> int:
    # As `open` does it, with the usual umask, unlike `mkstemp`.
    flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | getattr(os, "O_BINARY", 0)
    return os.open(name, flags, 0o666)


def _set_permissions(descriptor: int, path: Path, *, private: bool) -> None:
    """Give the file that is to replace `path` its owner and permissions, before it has content."""
    if not hasattr(os, "fchmod"):  # Windows
        return
    with suppress(OSError):  # some file systems have none
        if not os.path.lexists(path):
            if private:
                os.fchmod(descriptor, 0o600)
            return
        old = path.stat()
        for owner, group in ((-1, old.st_gid), (old.st_uid, -1)):
            with suppress(OSError):  # who may not give files away keeps them
                os.fchown(descriptor, owner, group)
        os.fchmod(descriptor, stat.S_IMODE(old.st_mode))


def _new_folder(name: Path) -> int:
    name.mkdir(0o700)  # in a folder for all users others could read what is worked on
    return os.open(name, os.O_RDONLY) if _CAN_LOCK else -1


def sweep(folder: Path) -> None:
    """Remove what processes that were killed left in a folder, once in each process.

    Whoever writes there with `atomic_write` or `scratch_folder` does so anyway.
    """
    place = os.path.realpath(folder)
    if place in _swept or not _CAN_LOCK:
        return
    _swept.add(place)
    with suppress(OSError), os.scandir(place) as entries:
        for entry in entries:
            is_folder = entry.is_dir(follow_symlinks=False)
            if not _TEMPORARY.fullmatch(entry.name) or not (
                is_folder or entry.is_file(follow_symlinks=False)
            ):
                continue
            with suppress(OSError):
                descriptor = os.open(entry.path, os.O_RDONLY | os.O_NOFOLLOW)
                try:
                    if _lock(descriptor):  # nobody works on it
                        (shutil.rmtree if is_folder else os.unlink)(entry.path)
                finally:
                    os.close(descriptor)


def _lock(descriptor: int) -> bool | None:
    """Lock an open file or folder until it is closed.

    Returns:
        False if another process has the lock; None if the file system knows no locks.
    """
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _about(error: OSError, path: Path) -> OSError:
    return OSError(error.errno, error.strerror, str(path))


@contextmanager
def reading(path: Path, wrong: type[PocketfaceError]) -> Iterator[None]:
    """Raise `wrong`, with the path and the cause, where a file cannot be read."""
    try:
        yield
    except OSError as error:
        meant = "; expected a file" if error.errno == errno.EISDIR else ""
        raise wrong(f"{path}: cannot be read: {error.strerror or error}{meant}") from error


@contextmanager
def path_in_utf8(path: Path) -> Iterator[Path]:
    """A path to a file or folder, there or not yet, for libraries that take UTF-8 alone.

    Where names of files are bytes (Linux), they may be other ones. Then the path leads through a
    link that is gone when the block ends.
    """
    path = Path(path)
    if path.name == name_in_utf8(path.name):
        real, name = path.parent, path.name
    else:
        real, name = path, ""
    if str(real) == name_in_utf8(str(real)):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="pocketface-") as folder:
        # The suffix, as a library may tell kinds of files by it.
        link = Path(folder, f"link{name_in_utf8(real.suffix)}")
        link.symlink_to(real.absolute())
        yield link / name


def name_in_utf8(name: str) -> str:
    """A file's name for UTF-8 text, with "?" for bytes that are not UTF-8."""
    return name.encode("utf-8", "replace").decode("utf-8")


def cache_folder() -> Path:
    """The folder for what can be made anew: `pocketface` in `$XDG_CACHE_HOME` or `~/.cache`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pocketface"


def sha256_file(path: Path) -> str:
    """The SHA-256 of a file's content, 64 lower-case hex digits.

    Raises:
        OSError: The file is missing or unreadable.
    """
    return sha256_files([path])


def sha256_files(paths: Iterable[Path]) -> str:
    """The SHA-256 of the contents of several files, one behind the other; see `sha256_file`."""
    digest = hashlib.sha256()
    for path in paths:
        with open(path, "rb") as handle:
            hashlib.file_digest(handle, lambda: digest)  # goes on with it
    return digest.hexdigest()


def _sync_folder(folder: Path) -> None:
    # The rename itself must survive a power cut too; not every system can sync a folder.
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
