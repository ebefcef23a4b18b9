"""What a process that blurs photos of an archive is given, whole: it may be on another machine."""

from __future__ import annotations

import io
import json
import tarfile
import weakref
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import PocketfaceError
from ...files import scratch_folder
from ..blur.manifest import Done, Failed
from ..blur.request import BlurRequest, model_files, settings_digest
from ..blur.run import open_blurrer
from .store import Store, one_line, open_store, sha256


@dataclass(frozen=True, eq=False)
class Job:
    """How photos are blurred, and from where to where.

    Attributes:
        request: How, with the gallery itself; its sources and output are not used.
        models: Its model files, a tar archive.
        settings: See `settings_digest`.
        source: The address or absolute folder of the photos.
        output: That of what is written.
    """

    request: BlurRequest
    models: bytes = field(repr=False)
    settings: str
    source: str
    output: str

    def where(self, name: str) -> str:
        """A photo, as the manifest and messages name it."""
        return f"{self.source}{'' if self.source.endswith('/') else '/'}{name}"


@dataclass(frozen=True, slots=True)
class Photo:
    """One photo that is to be blurred.

    Attributes:
        name: Its path below the source.
        version: What the listing says of it.
        noted: What an earlier run with the same settings noted of it, as JSON; "" for nothing.
    """

    name: str
    version: str
    noted: str = ""

    def to_json(self) -> str:
        """One line of ASCII: names may hold bytes that are no text, which Ray does not take."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Photo:
        """What `to_json` wrote."""
        return cls(**json.loads(text))


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a photo.

    Attributes:
        line: The manifest's line.
        is_old: Whether it was found to be done, by its content.
    """

    line: Done | Failed
    is_old: bool = False

    def to_json(self) -> str:
        """One line."""
        return json.dumps({"line": asdict(self.line), "is_old": self.is_old})

    @classmethod
    def from_json(cls, text: str) -> Answer:
        """What `to_json` wrote."""
        record = json.loads(text)
        kind = Failed if "failed" in record["line"] else Done
        return cls(kind(**record["line"]), record["is_old"])


def job_of(request: BlurRequest, source: str, output: str) -> Job:
    """Pack what a run needs.

    Raises:
        OSError: A model or the gallery cannot be read.
    """
    who = request.who
    if who is not None and isinstance(who.gallery, Path):
        # Who somebody is belongs on no disk of another machine.
        request = replace(request, who=replace(who, gallery=who.gallery.read_bytes()))
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for key, path in model_files(request).items():
            archive.add(path, f"{key}/{path.name}")
            beside = path.with_suffix(".bin")
            if path.suffix == ".xml" and beside.exists():
                archive.add(beside, f"{key}/{beside.name}")
    return Job(request, packed.getvalue(), settings_digest(request), source, output)


class Worker:
    """Holds the models, and blurs photos by their paths: a Ray actor, or in this process.

    Args:
        job: What is to be done.

    Raises:
        PocketfaceError: A model cannot be opened; or this machine has another version.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        # A network of another input size is opened from them when a photo needs it.
        # What one that was killed leaves of them is removed by the next on its machine.
        kept = ExitStack()
        weakref.finalize(self, kept.close)
        request = _unpacked(job, kept.enter_context(scratch_folder(Path(gettempdir()))))
        if settings_digest(request) != job.settings:
            raise PocketfaceError("this machine has another version of pocketface than the others")
        self._blurrer = open_blurrer(request)
        self._source: Store = open_store(job.source)
        self._output: Store = open_store(job.output)

    def __call__(self, batch: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Blur a batch of Ray's: `Photo`s as JSON in, `Answer`s as JSON out."""
        photos = map(Photo.from_json, batch["photo"].tolist())
        return {"answer": np.array([self.answer(photo).to_json() for photo in photos])}

    def answer(self, photo: Photo) -> Answer:
        """Blur one photo, if it is not done; whatever goes wrong, nothing is written of it."""
        where = self._job.where(photo.name)
        try:
            return self._blurred(photo, where)
        except Exception as error:
            # Stores raise what they like, and one photo must not end a run over a million.
            if isinstance(error, PocketfaceError):
                return Answer(Failed(where, str(error).removeprefix(f"{where}: ")))
            return Answer(Failed(where, f"{type(error).__name__}: {one_line(error)}"))

    def _blurred(self, photo: Photo, where: str) -> Answer:
        content = self._source.read(photo.name)
        digest = sha256(content)
        if photo.noted:
            noted = Done(**json.loads(photo.noted))
            with suppress(Exception):  # what cannot be read is written again
                there = sha256(self._output.read(photo.name))
                if (noted.source_sha256, noted.output_sha256) == (digest, there):
                    version = self._output.version(photo.name)
                    line = replace(noted, source_version=photo.version, output_version=version)
                    return Answer(line, is_old=True)
        made = self._blurrer.blur(content, source=where)
        version = self._output.write(photo.name, made.content)
        return Answer(
            Done(
                source=where,
                source_sha256=digest,
                settings=self._job.settings,
                output=photo.name,
                output_sha256=sha256(made.content),
                faces=sum(map(len, made.found)),
                hidden=made.hidden,
                frames=len(made.found),
                source_version=photo.version,
                output_version=version,
            )
        )


def _unpacked(job: Job, folder: Path) -> BlurRequest:
    """The request, with its files in a folder of this machine."""
    with tarfile.open(fileobj=io.BytesIO(job.models)) as archive:
        archive.extractall(folder, filter="data")
    request = job.request
    here = {key: folder / key / path.name for key, path in model_files(request).items()}
    who = request.who
    if who is not None:
        who = replace(who, recognizer=here["recognizer"])
    return replace(
        request,
        detector=here["detector"],
        second_opinion=here.get("second_opinion"),
        segmenter=here.get("segmenter"),
        who=who,
    )
