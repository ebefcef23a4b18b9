"""Blur the photos of an archive: what is done is left out, and noted as it comes."""

from __future__ import annotations

import json
import time
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, replace
from pathlib import Path

from ...errors import UserError
from ...interrupts import signals_kept
from ...places import check_place
from ..blur.manifest import MANIFEST, Failed, Manifest, is_begun, only_run, open_manifest
from ..blur.request import BlurRequest
from .cluster import blurred_by_ray, on_ray
from .job import Answer, Job, Photo, Worker, job_of
from .request import ArchiveRequest, ArchiveSummary
from .store import FolderStore, Store, check_originals, open_store, overlap, tells


def blur_archive(request: ArchiveRequest) -> ArchiveSummary:
    """Hide the faces of all photos of a folder or an object store.

    A photo is done when the manifest says so, with the same settings, and neither it nor its
    output has changed since. What fails is noted with its reason, and tried again by the next run.

    Raises:
        UserError: The source, the output, the manifest, a model or the cluster cannot be used; or
            another run writes there.
        PocketfaceError: No worker can start.
        OSError: The manifest cannot be written.
        KeyboardInterrupt: Ctrl-C; what is noted is whole.
    """
    started = time.monotonic()
    source, output = open_store(request.source), open_store(request.output)
    _check_apart(source, output)
    path = _manifest_path(request, output)
    output.check_writable("--output")
    versions = source.versions()
    if not versions:
        raise UserError(f"{request.source}: no photo to blur in there")
    check_originals(source, output, versions)
    job = job_of(_sent(request), source.address, output.address)
    summary = ArchiveSummary()
    with ExitStack() as stack:
        if isinstance(output, FolderStore):
            stack.enter_context(only_run(output.folder))
        if request.manifest is not None:
            stack.enter_context(only_run(path.parent, request.manifest))
        written = output.versions(may_lack=True)
        # Before there is a manifest, which would say of the next run that it goes on.
        if not is_begun(path) and not request.settings.force:
            _check_new(output, versions, written)
        manifest = stack.enter_context(open_manifest(path.parent, path))
        todo = _todo(job, versions, written, manifest)
        summary.skipped = done = len(versions) - len(todo)
        if request.ray is not None and todo:
            stack.enter_context(on_ray(request.ray))
        check = stack.enter_context(signals_kept())
        for part in stack.enter_context(closing(_answers(request, job, todo))):
            check()
            manifest.add(*(answer.line for answer in part))
            for answer in part:
                _count(summary, answer)
                if request.on_line is not None and not answer.is_old:
                    request.on_line(answer.line)
            done += len(part)
            if request.on_progress is not None:
                request.on_progress(done, len(versions))
    summary.seconds = time.monotonic() - started
    return summary


def _check_apart(source: Store, output: Store) -> None:
    """Keep what is written from being a photo of the archive.

    Raises:
        UserError: One lies in the other.
    """
    if overlap(source, output):
        raise UserError(f"--output {output.address}: lies within {source.address}, or around it")


def _manifest_path(request: ArchiveRequest, output: Store) -> Path:
    if request.manifest is not None:
        check_place(request.manifest, "--manifest")
        return request.manifest
    if not isinstance(output, FolderStore):
        raise UserError(
            f"--output {request.output}: needs --manifest FILE, a file of this machine that says "
            "what is done"
        )
    return output.folder / MANIFEST


def _sent(request: ArchiveRequest) -> BlurRequest:
    """The settings without what belongs to this process."""
    settings = request.settings
    # Actors share a machine: one thread in each blurs most.
    threads = settings.threads if request.ray is None else settings.threads or 1
    return replace(
        settings,
        sources=(),
        output=None,
        threads=threads,
        on_blurred=None,
        on_video=None,
        on_progress=None,
        on_frame=None,
    )


def _todo(
    job: Job, versions: Mapping[str, str], written: Mapping[str, str], manifest: Manifest
) -> list[Photo]:
    """The photos that are not done, or whose store cannot say so."""
    todo = []
    for name, version in versions.items():
        noted = manifest.noted(name)
        if noted is None or noted.settings != job.settings:
            todo.append(Photo(name, version))
            continue
        as_noted = noted.source, noted.source_version, noted.output_version
        if as_noted != (job.where(name), version, written.get(name)) or not tells(version):
            todo.append(Photo(name, version, json.dumps(asdict(noted))))
    return todo


def _check_new(output: Store, names: Iterable[str], written: Mapping[str, str]) -> None:
    """Keep a first run from replacing files of others.

    Raises:
        UserError: There is a file already.
    """
    for name in names:
        if name in written:
            raise UserError(
                f"{name}: {output.address}/{name} is there already",
                hint="--force replaces it",
            )


def _answers(
    request: ArchiveRequest, job: Job, todo: Sequence[Photo]
) -> Generator[list[Answer], None, None]:
    if not todo:
        return
    if request.ray is not None:
        yield from blurred_by_ray(job, todo)
    else:
        worker = Worker(job)
        for photo in todo:
            yield [worker.answer(photo)]


def _count(summary: ArchiveSummary, answer: Answer) -> None:
    line = answer.line
    if isinstance(line, Failed):
        summary.failed.append(line)
    elif answer.is_old:
        summary.skipped += 1
    else:
        summary.photos += 1
        summary.hidden += line.hidden
        summary.without += not line.faces
