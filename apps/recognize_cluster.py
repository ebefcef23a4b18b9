"""Sort photos by the people in them, without knowing anybody."""

from __future__ import annotations

import csv
import logging
import os
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, UserError
from ..files import atomic_write, scratch_folder
from ..places import check_place
from ..tasks.recognition.model import FaceRecognizer
from .gallery import Gallery, stamped
from .gallery_file import EnrolledPhoto, GalleryContent
from .photo_files import find_photos
from .recognize_enroll import SAVED_EACH
from .recognize_faces import Recognizer
from .recognize_linkage import average_linkage
from .recognize_rate import MAX_FMR, check_fmr
from .recognize_verdict import advised_fmr

_log = logging.getLogger(__name__)

STATE, TABLE, ALONE, PERSON = "faces.gallery", "faces.csv", "alone", "person-"
"""What is in the folder: embeddings of all faces, where each face went, and the folders."""

_LONG = 10_000
"""Faces from which on grouping takes more than half a minute."""

COLUMNS = ("image", "x1", "y1", "x2", "y2", "person")


@dataclass
class ClusterSummary:
    """Counts of a run.

    Attributes:
        photos: Photos that were read, also before.
        faces: Faces in them that are large enough.
        people: People who are there twice or more.
        alone: Faces that are like no other.
        no_face: Photos without such a face.
        doubled: Photos with two faces of one person.
        unreadable: Photos that could not be read.
    """

    photos: int = 0
    faces: int = 0
    people: int = 0
    alone: int = 0
    no_face: int = 0
    doubled: int = 0
    unreadable: int = 0


@dataclass(frozen=True, kw_only=True)
class ClusterRequest:
    """Photos to be sorted.

    Attributes:
        folder: Of the photos.
        output: Folder that gets a folder for each person.
        open: Opens the models, after the request was checked.
        max_fmr: Share of pairs of two people that reach the mean cosine at which two groups are
            merged.
        link: Whether hard links are made in place of copies.
        on_progress: Called with the number of photos done and the total.
    """

    folder: Path
    output: Path
    open: Callable[[], Recognizer]
    max_fmr: float = MAX_FMR
    link: bool = False
    on_progress: Callable[[int, int], None] | None = None


def cluster(request: ClusterRequest) -> ClusterSummary:
    """Copy photos into a folder for each person, and into `alone` those with nobody else's face.

    Embeddings are kept in the output's `STATE`, so that a run that was ended goes on, and photos
    are seen once by one detector at one score. The folders appear all at once, when they are
    complete.

    Raises:
        UserError: A folder cannot be used, or was filled before; or the model's thresholds were
            never measured.
        DataError: None of the photos can be read, or the state is damaged or another model's.
        KeyboardInterrupt: Ctrl-C; what was seen is in the state.
    """
    check_fmr(request.max_fmr)
    if not request.folder.is_dir():
        raise UserError(f"{request.folder}: expected a folder of photos")
    photos = dict(find_photos([request.folder]))
    _check_output(request.folder, request.output)
    recognizer = request.open()
    threshold = recognizer.model.threshold(max_fmr=request.max_fmr)
    gallery = _state(request.output / STATE, recognizer)
    wanted = {stamped("", path, place.as_posix()): path for path, place in photos.items()}
    summary = ClusterSummary()
    try:
        _see(recognizer, gallery, wanted, summary, request.on_progress)
    finally:
        gallery.save()
    paths = {photo.stamp: path for photo, path in wanted.items()}
    content = _of(gallery.content, paths)
    summary.photos = len(photos) - summary.unreadable
    if not summary.photos:
        raise DataError(f"none of the {len(photos)} photos could be read")
    _warn_of_many(len(content.photo_of), request.max_fmr, recognizer.model)
    if len(content.embeddings) > _LONG:
        _log.info("grouping %d faces, which takes a while", len(content.embeddings))
    groups = average_linkage(content.embeddings, threshold, photo_of=content.photo_of)
    names = group_names(groups)
    _count(content, groups, summary)
    _write(request, content, names, [paths[photo.stamp] for photo in content.photos])
    return summary


def group_names(groups: NDArray[np.int64]) -> list[str]:
    """The folder of each face.

    Args:
        groups: The group of each face, (N,); the largest is 0.
    """
    sizes = Counter(groups.tolist())
    several = sum(size > 1 for size in sizes.values())
    width = max(3, len(str(several)))
    return [
        f"{PERSON}{group + 1:0{width}}" if sizes[group] > 1 else ALONE for group in groups.tolist()
    ]


def _check_output(folder: Path, output: Path) -> None:
    inside = output.resolve()
    if folder.resolve() in (inside, *inside.parents):
        raise UserError(f"--output {output}: lies in {folder}, among the photos to be read")
    check_place(output, "--output", folder=True)
    names = sorted(os.listdir(output)) if output.is_dir() else []
    for name in names:
        if name.startswith(PERSON) or name in (ALONE, TABLE):
            raise UserError(
                f"--output {output}: {output / name} is there already",
                hint=f"name a new folder; or remove what is there but {STATE}, which saves the "
                "time of seeing all photos again",
            )


def _state(path: Path, recognizer: Recognizer) -> Gallery:
    """The faces that an earlier run saw, if it looked for them as this one does."""
    gallery = Gallery.open(path, recognizer.model)
    if named := [name for name in gallery.names if name]:
        raise DataError(
            f"{path}: holds faces of {named[0]!r}, as `enroll` names them: expected those of an "
            "earlier `cluster`, which have no names",
            hint="name another folder for --output",
        )
    if gallery.content.finder != recognizer.finder:
        if gallery.content.photos:
            _log.warning("%s: of another --detector or --face-score: photos are seen anew", path)
        gallery.begin_anew(recognizer.finder)
    return gallery


def _see(
    recognizer: Recognizer,
    gallery: Gallery,
    wanted: Mapping[EnrolledPhoto, Path],
    summary: ClusterSummary,
    on_progress: Callable[[int, int], None] | None,
) -> None:
    """Add the faces of photos that are not there yet."""
    waiting = {path: photo for photo, path in wanted.items() if not gallery.has(photo)}

    def on_unreadable(_: Path) -> None:
        summary.unreadable += 1

    for done, seen in enumerate(
        recognizer.photos(list(waiting), on_unreadable=on_unreadable, on_progress=on_progress), 1
    ):
        large = [index for index, small in enumerate(seen.small) if not small]
        embeddings = [seen.embeddings[index] for index in large]
        gallery.add_photo(waiting[seen.path], embeddings, seen.faces.boxes[large])
        if done % SAVED_EACH == 0:
            gallery.save()


def _of(
    content: GalleryContent, wanted: Mapping[tuple[str, str, int, int], Path]
) -> GalleryContent:
    """The faces of photos that are there, in the photos' order."""
    order = {stamp: place for place, stamp in enumerate(wanted)}
    there = [place for place, photo in enumerate(content.photos) if photo.stamp in order]
    there.sort(key=lambda place: order[content.photos[place].stamp])
    moved = np.full(len(content.photos), -1, np.int32)
    moved[there] = np.arange(len(there))
    photo_of = moved[content.photo_of]
    rows = photo_of.argsort(kind="stable")
    rows = rows[photo_of[rows] >= 0]
    photos = [content.photos[place] for place in there]
    return GalleryContent(photos, photo_of[rows], content.embeddings[rows], content.boxes[rows])


def _warn_of_many(faces: int, max_fmr: float, model: FaceRecognizer) -> None:
    """Each face is compared with all others, so that false matches add up."""
    if faces * max_fmr <= 1:
        return
    better, is_enough = advised_fmr(model, 1 / faces)
    advice = f"--max-fmr {better:g} makes purer folders"
    if not is_enough:
        advice = "that is the smallest rate that was measured: sort fewer photos at once"
        if better < max_fmr:
            advice = (
                f"--max-fmr {better:g}, the smallest that was measured, makes that "
                f"{faces * better:.1g}; sort fewer photos at once"
            )
        advice += ", or `recognize calibrate` on photos of more people"
    _log.warning(
        "%d faces at --max-fmr %g: each is taken for one of about %.0f strangers, if nobody of "
        "its own is nearer; %s",
        faces,
        max_fmr,
        faces * max_fmr,
        advice,
    )


def _count(content: GalleryContent, groups: NDArray[np.int64], summary: ClusterSummary) -> None:
    sizes = np.bincount(groups) if len(groups) else np.empty(0, np.int64)
    summary.faces = len(groups)
    summary.people = int((sizes > 1).sum())
    summary.alone = int((sizes == 1).sum())
    summary.no_face = len(content.photos) - len(np.unique(content.photo_of))
    pairs = Counter(zip(content.photo_of.tolist(), groups.tolist(), strict=True))
    doubled = {photo for (photo, _), count in pairs.items() if count > 1}
    summary.doubled = len(doubled)
    if doubled:
        first = content.photos[min(doubled)].file
        _log.warning(
            "%d photos have two faces that are taken for one person, as %s: mirrors or collages, "
            "or some are wrong",
            len(doubled),
            first,
        )


def _write(
    request: ClusterRequest, content: GalleryContent, names: Sequence[str], paths: Sequence[Path]
) -> None:
    """Make all folders beside their places, then move them there."""
    folders: dict[int, set[str]] = {}
    for photo, name in zip(content.photo_of.tolist(), names, strict=True):
        folders.setdefault(photo, set()).add(name)
    with scratch_folder(request.output) as scratch:
        taken: set[Path] = set()
        for photo, inside in folders.items():
            # Who is alone in a photo with somebody who is not has the photo there.
            for name in sorted(inside - {ALONE}) or [ALONE]:
                target = _free(scratch / name / paths[photo].name, taken)
                target.parent.mkdir(exist_ok=True)
                _put(paths[photo], target, link=request.link)
        for folder in sorted(scratch.iterdir()):
            os.replace(folder, request.output / folder.name)
    with atomic_write(request.output / TABLE, "w") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(COLUMNS)
        for photo, box, name in zip(content.photo_of.tolist(), content.boxes, names, strict=True):
            sides = [f"{side:.1f}" for side in box]
            writer.writerow([content.photos[photo].file, *sides, name])


def _free(path: Path, taken: set[Path]) -> Path:
    """The path, or one with a number where photos of two folders have one name."""
    number, free = 1, path
    while free in taken:
        number += 1
        free = path.with_stem(f"{path.stem}-{number}")
    taken.add(free)
    return free


def _put(photo: Path, target: Path, *, link: bool) -> None:
    try:
        if link:
            os.link(os.path.realpath(photo), target)
        else:
            shutil.copyfile(photo, target)
    except FileNotFoundError:
        _log.warning("%s: is gone", photo)
    except OSError as error:
        if link:
            raise UserError(
                f"--link: {photo} cannot be linked into the folder of --output: {error.strerror}",
                hint="hard links are for one disk; without --link photos are copied",
            ) from error
        raise
