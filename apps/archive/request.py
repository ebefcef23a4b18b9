"""What a run over an archive is asked for, and what came of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ..blur.manifest import Done, Failed
from ..blur.request import BlurRequest


@dataclass(frozen=True, kw_only=True)
class ArchiveRequest:
    """One run over the photos of a folder or an object store.

    Attributes:
        settings: How they are blurred; `force` says whether files are replaced that no earlier run
            wrote. Its sources, output, `resume` and calls are not used.
        source: A folder, or an address that fsspec knows.
        output: The same of what is written, with the names and places of the photos.
        manifest: File that says what is done; None for `MANIFEST` in an output folder.
        ray: Address of a Ray cluster, as HOST:PORT; "" for this machine's, begun if there is none;
            None for this process alone.
        on_line: Called with each new line of the manifest.
        on_progress: Called with the number of photos that are dealt with and the total.
    """

    settings: BlurRequest
    source: str
    output: str
    manifest: Path | None = None
    ray: str | None = None
    on_line: Callable[[Done | Failed], None] | None = None
    on_progress: Callable[[int, int], None] | None = None


@dataclass
class ArchiveSummary:
    """Counts of a run.

    Attributes:
        photos: Photos that were written.
        hidden: Faces that are hidden in them.
        without: Photos without a face.
        skipped: Photos that an earlier run wrote.
        failed: Photos of which nothing is written, and why.
        seconds: Time of the whole run, with the start of Ray and of the models.
    """

    photos: int = 0
    hidden: int = 0
    without: int = 0
    skipped: int = 0
    failed: list[Failed] = field(default_factory=list)
    seconds: float = 0.0
