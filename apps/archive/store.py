"""Where the photos of an archive are read and written: a folder, or what fsspec knows.

Each store says of each file a version, a short text that changes when the file does: its size and
what the store has, an ETag, a time. So a run that goes on need not read what is done.
"""

from __future__ import annotations

import hashlib
import logging
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from ...data.image_headers import MAX_RAW_BYTES
from ...data.images import (
    IMAGE_SUFFIXES,
    VIDEO_SUFFIXES,
    list_images,
    read_content,
    warn_of_others,
)
from ...errors import DataError, ImageTooLargeError, MissingPackageError, UserError
from ...files import atomic_write
from ...places import check_place

_log = logging.getLogger(__name__)

_WHOLE = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "oci", "oss"})
"""Stores in which an object appears when all of it is there; elsewhere it is written under another
name and moved."""

_CHANGES = (
    *("ETag", "etag", "md5Hash"),
    *("LastModified", "last_modified", "updated", "mtime", "modified", "created"),
)
"""What stores call that which changes with a file, the surest first."""


class Store(Protocol):
    """Photos by their paths below a folder or an address."""

    @property
    def address(self) -> str:
        """The folder's absolute path, or the address."""

    def versions(self, *, may_lack: bool = False) -> dict[str, str]:
        """The version of each photo, by its path.

        Args:
            may_lack: Whether the folder may be missing: it is to be written.

        Raises:
            UserError: There is no such folder or bucket, or it cannot be reached.
        """

    def read(self, name: str) -> bytes:
        """A photo's file.

        Raises:
            ImageError: It is too large.
            OSError: It cannot be read.
        """

    def write(self, name: str, content: bytes) -> str:
        """Write a file, whole or not at all; its version.

        Raises:
            OSError: It cannot be written.
        """

    def version(self, name: str) -> str:
        """The version of a file.

        Raises:
            OSError: There is none.
        """

    def check_writable(self, flag: str) -> None:
        """Refuse, before the work, where nothing can be written.

        Raises:
            UserError: Nothing can be written there; begins with the flag.
        """


def is_address(text: str) -> bool:
    """Whether a source is an address as s3://bucket/photos and no path."""
    return "://" in text


def open_store(address: str) -> Store:
    """The store of an address, or of a folder's path.

    Raises:
        UserError: fsspec does not know such addresses, or lacks a package for them; or there is a
            password in it.
        MissingPackageError: fsspec is not installed.
    """
    if not is_address(address):
        return FolderStore(Path(address).absolute())
    protocol, _, rest = address.partition("://")
    if not protocol:
        raise UserError(f"{address}: expected an address, as s3://bucket/photos")
    who, at, place = rest.partition("/")[0].rpartition("@")
    if at and ":" in who:  # manifests and messages name addresses
        user = who.partition(":")[0]
        raise UserError(
            f"{protocol}://{user}:…@{place}: an address has no password",
            hint=f"$FSSPEC_{protocol.upper()}_PASSWORD, or fsspec's configuration, may hold it",
        )
    if protocol in ("file", "local"):
        return FolderStore(Path("/", rest))
    return RemoteStore(address)


@dataclass(frozen=True)
class FolderStore:
    """A folder, the same on all machines of a run.

    Attributes:
        folder: Its absolute path.
    """

    folder: Path

    @property
    def address(self) -> str:
        """See `Store`."""
        return str(self.folder)

    def versions(self, *, may_lack: bool = False) -> dict[str, str]:
        """See `Store`."""
        if may_lack and not self.folder.exists():
            return {}
        try:
            found = list_images(self.folder, suffixes=IMAGE_SUFFIXES | VIDEO_SUFFIXES)
        except DataError as error:
            raise UserError(str(error)) from error
        names = [path.relative_to(self.folder).as_posix() for path in found]
        versions = {}
        for name in _photos(names, "" if may_lack else self.address):
            try:
                versions[name] = self.version(name)
            except OSError as error:  # it was there a moment ago
                _log.warning("%s/%s: left out: %s", self.address, name, error.strerror)
        return versions

    def version(self, name: str) -> str:
        """See `Store`."""
        about = (self.folder / name).stat()
        return f"{about.st_size} {about.st_mtime_ns}"

    def read(self, name: str) -> bytes:
        """See `Store`."""
        return read_content(self.folder / name)

    def write(self, name: str, content: bytes) -> str:
        """See `Store`."""
        with atomic_write(self.folder / name) as file:
            file.write(content)
        return self.version(name)

    def check_writable(self, flag: str) -> None:
        """See `Store`."""
        check_place(self.folder, flag, folder=True)


class RemoteStore:
    """What fsspec knows: s3://bucket/photos, for example.

    Where it is, and who asks, fsspec's packages read from the environment and their own files.

    Args:
        address: Of the folder.

    Raises:
        UserError: fsspec does not know such addresses, or lacks a package for them.
        MissingPackageError: fsspec is not installed.
    """

    def __init__(self, address: str) -> None:
        try:
            import fsspec  # type: ignore[import-untyped]
        except ImportError as error:
            raise MissingPackageError("fsspec") from error
        self._address = address.rstrip("/") if address.partition("://")[2] else address
        self._whole = address.partition("://")[0] in _WHOLE
        try:
            self._files, root = fsspec.core.url_to_fs(self._address)
        except ImportError as error:
            raise UserError(f"{address}: {error}", hint="`pip install` what it names") from error
        except ValueError as error:
            raise UserError(f"{address}: {one_line(error)}") from error
        except Exception as error:  # some connect at once, and raise what they like
            raise UserError(f"{address}: cannot be reached: {one_line(error)}") from error
        self._root = root.rstrip("/")

    @property
    def place(self) -> tuple[object, str]:
        """What fsspec takes for one file system, and the path in it."""
        # Those that keep copies have the other below.
        return getattr(self._files, "fs", self._files), self._root

    @property
    def address(self) -> str:
        """See `Store`."""
        return self._address

    def versions(self, *, may_lack: bool = False) -> dict[str, str]:
        """See `Store`."""
        with self._reached(self.address):
            self._files.invalidate_cache()
            found: Mapping[str, Mapping[str, Any]] = self._files.find(self._root, detail=True)
            if not (found or may_lack or self._files.exists(self._root)):
                raise UserError(f"{self.address}: no such folder or bucket")
        if not all(path.startswith(self._root) for path in found):  # s3://…?versionId=1
            raise UserError(f"{self.address}: expected a folder, without more behind its path")
        below = {_below(path, self._root): about for path, about in found.items()}
        if not may_lack:
            warn_of_others(below, self.address)
        photos = _photos(sorted(below), "" if may_lack else self.address)
        return {name: _version(below[name]) for name in photos}

    def read(self, name: str) -> bytes:
        """See `Store`."""
        path = f"{self._root}/{name}"
        size = self._files.size(path)
        if size is not None and size > MAX_RAW_BYTES:
            where = f"{self.address}/{name}"
            raise ImageTooLargeError(f"{where}: a file of more than {MAX_RAW_BYTES:,} bytes")
        return bytes(self._files.cat_file(path))

    def write(self, name: str, content: bytes) -> str:
        """See `Store`."""
        path = f"{self._root}/{name}"
        if self._whole:
            self._files.pipe_file(path, content)
        else:
            part = f"{path}.{secrets.token_hex(6)}.part"
            self._files.makedirs(path.rpartition("/")[0], exist_ok=True)
            try:
                self._files.pipe_file(part, content)
                self._files.mv(part, path)
            except BaseException:
                with suppress(Exception):
                    self._files.rm_file(part)
                raise
        self._files.invalidate_cache(path.rpartition("/")[0])
        return self.version(name)

    def version(self, name: str) -> str:
        """See `Store`."""
        return _version(self._files.info(f"{self._root}/{name}"))

    def check_writable(self, flag: str) -> None:
        """See `Store`."""
        name = f".pocketface-{secrets.token_hex(6)}"
        with self._reached(f"{flag} {self.address}"):
            self.write(name, b"")
            self._files.rm_file(f"{self._root}/{name}")

    @contextmanager
    def _reached(self, what: str) -> Iterator[None]:
        """Turn whatever a store's package raises into one line."""
        try:
            yield
        except UserError:
            raise
        except FileNotFoundError as error:
            raise UserError(f"{what}: no such folder or bucket") from error
        except NotImplementedError as error:
            raise UserError(f"{what}: nothing can be written there") from error
        except Exception as error:
            raise UserError(f"{what}: cannot be reached: {one_line(error)}") from error


def overlap(one: Store, other: Store) -> bool:
    """Whether one lies within the other, whichever way their addresses are written."""
    (here, first), (there, second) = _place(one), _place(other)
    return bool(here == there) and (first.startswith(second) or second.startswith(first))


def _place(store: Store) -> tuple[object, str]:
    """A file system, and the path in it with a slash at its end."""
    files: object = "file"
    if isinstance(store, FolderStore):
        path = os.path.realpath(store.folder)
    else:
        assert isinstance(store, RemoteStore)
        files, path = store.place
        if "file" in getattr(files, "protocol", ()):
            files, path = "file", os.path.realpath(path)
    return files, f"{path.rstrip('/')}/"


def check_originals(source: Store, output: Store, names: Iterable[str]) -> None:
    """Keep links from leading what is written to a photo of the archive.

    Raises:
        UserError: One does.
    """
    if not (isinstance(source, FolderStore) and isinstance(output, FolderStore)):
        return
    parents: dict[str, str] = {}

    def at(folder: Path, name: str) -> str:
        parent, _, last = f"{folder}/{name}".rpartition("/")
        if parent not in parents:
            parents[parent] = os.path.realpath(parent)
        return f"{parents[parent]}/{last}"

    originals = set()
    for name in names:
        path = at(source.folder, name)
        originals.add(os.path.realpath(path) if os.path.islink(path) else path)
    for name in names:
        # A link with the name itself is replaced, and what it leads to is left alone.
        if (place := at(output.folder, name)) in originals:
            raise UserError(f"--output {output.address}: {place} is a photo to be blurred")


def one_line(error: BaseException) -> str:
    """What an exception of another package says, in one line."""
    said = " ".join(str(error).split())
    return said[:300] or type(error).__name__


def tells(version: str) -> bool:
    """Whether a version is more than a size."""
    return " " in version


def sha256(content: bytes) -> str:
    """The SHA-256 of a file's content, 64 lower-case hex digits."""
    return hashlib.sha256(content).hexdigest()


def _below(path: str, root: str) -> str:
    return path.removeprefix(root).removeprefix("/")


def _version(about: Mapping[str, Any]) -> str:
    """Of what fsspec says of a file; its size alone where a store has nothing that changes."""
    changes = next((str(about[key]) for key in _CHANGES if about.get(key)), "")
    return f"{about.get('size')} {changes}".strip()


def _photos(names: list[str], where: str) -> list[str]:
    """The photos among files; videos are left out, with a warning that begins with `where`."""
    # What ends so stands for a folder where a store has none.
    parts = {name: name.split("/") for name in names if name and not name.endswith("/")}
    seen = [name for name in parts if not any(part[:1] == "." for part in parts[name])]
    # To a folder a//b.jpg is a/b.jpg, which may be another photo.
    odd = [name for name in seen if "" in parts[name]]
    if odd:
        seen = [name for name in seen if "" not in parts[name]]
        if where:
            _log.warning("%s: names with // are left out: %d, as %s", where, len(odd), odd[0])
    suffixes = {name: PurePosixPath(name).suffix.lower() for name in seen}
    photos = [name for name in seen if suffixes[name] in IMAGE_SUFFIXES]
    videos = [name for name in seen if suffixes[name] in VIDEO_SUFFIXES]
    if videos and where:
        _log.warning(
            "%s: left out %s, as %s: videos of a folder are blurred without --ray",
            where,
            "1 video" if len(videos) == 1 else f"{len(videos):,} videos",
            videos[0],
        )
    return photos
