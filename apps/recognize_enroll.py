"""Add people's photos to a gallery."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..data.record_set import named
from ..errors import DataError, UserError
from .gallery import Gallery, checked_name, stamped
from .gallery_file import EnrolledPhoto, check_gallery_place
from .photo_files import find_photos
from .recognize_faces import PhotoFaces, Recognizer, refuse_videos

_log = logging.getLogger(__name__)

SAVED_EACH = 1000
"""Photos after which the gallery is written, so that little is done twice after a power cut."""


@dataclass
class EnrollSummary:
    """Counts of a run.

    Attributes:
        added: Faces that were added.
        people: People in the gallery after it.
        skipped: Photos of which a face was enrolled before.
        no_face: Photos without a face.
        small: Photos whose largest face is too small.
        unreadable: Photos that could not be read.
    """

    added: int = 0
    people: int = 0
    skipped: int = 0
    no_face: int = 0
    small: int = 0
    unreadable: int = 0


@dataclass(frozen=True, kw_only=True)
class EnrollRequest:
    """Photos of people, and where to.

    Attributes:
        gallery: The gallery's file; made if it is not there.
        sources: Without a name folders with a folder for each person; else photos and folders.
        open: Opens the models, after the request was checked.
        name: Whom all photos show; None if their folders say it.
        on_progress: Called with the number of photos done and the total.
    """

    gallery: Path
    sources: Sequence[Path]
    open: Callable[[], Recognizer]
    name: str | None = None
    on_progress: Callable[[int, int], None] | None = None


def enroll(request: EnrollRequest) -> EnrollSummary:
    """Add the largest face of each photo to a gallery, which is written now and then.

    Photos of which a face is there already are skipped. Those without a face, with one that is too
    small, and those that cannot be read are left out, with a warning, and looked at again the next
    time, as another detector may find more.

    Raises:
        UserError: A source or the gallery cannot be used.
        DataError: The gallery is damaged or another model's, or none of the photos can be read.
        KeyboardInterrupt: Ctrl-C; what was done is in the gallery.
    """
    check_gallery_place(request.gallery)
    refuse_videos(request.sources)
    photos = people_of(request.sources, request.name)
    recognizer = request.open()
    gallery = Gallery.open(request.gallery, recognizer.model)
    gallery.check_named()
    waiting = {path: one for path, one in photos.items() if not gallery.has(one, with_faces=True)}
    summary = EnrollSummary(skipped=len(photos) - len(waiting))

    def on_unreadable(_: Path) -> None:
        summary.unreadable += 1

    try:
        for done, seen in enumerate(
            recognizer.photos(
                list(waiting), on_unreadable=on_unreadable, on_progress=request.on_progress
            ),
            1,
        ):
            _add(gallery, waiting[seen.path], seen, summary)
            if done % SAVED_EACH == 0:
                gallery.save()
    except KeyboardInterrupt:
        gallery.save()
        raise KeyboardInterrupt(f"{summary.added} faces are in {request.gallery}") from None
    if waiting and summary.unreadable == len(waiting):
        raise DataError(f"none of the {len(waiting)} photos could be read")
    if waiting:
        gallery.save()
    summary.people = len(gallery.names)
    return summary


def people_of(sources: Sequence[Path], name: str | None) -> dict[Path, EnrolledPhoto]:
    """Who is to be seen in each photo.

    Args:
        sources: See `EnrollRequest`.
        name: See `EnrollRequest`.

    Raises:
        UserError: A source is missing or no folder of people's folders, or the name is empty.
    """
    person = None if name is None else checked_name(name)
    if person is None:
        for source in sources:
            if source.exists() and not source.is_dir():
                raise UserError(
                    f"{source}: whom does it show? expected --name NAME, or folders with a folder "
                    "for each person"
                )
    found: dict[Path, EnrolledPhoto] = {}
    loose = []
    for path, place in find_photos(sources):
        if person is None and len(place.parts) < 2:
            loose.append(str(place))
            continue
        found[path] = stamped(person or checked_name(place.parts[0]), path, place.as_posix())
    if not found:
        raise UserError(
            f"{', '.join(map(str, sources))}: no photo in a folder of a person",
            hint="--name NAME, if all photos are of one person",
        )
    if loose:
        _log.warning("left out: %d photos in no person's folder: %s", len(loose), named(loose))
    return found


def _add(gallery: Gallery, photo: EnrolledPhoto, seen: PhotoFaces, summary: EnrollSummary) -> None:
    """Add the largest face of a photo, if there is one to add."""
    if not len(seen.faces):
        _log.warning("%s: no face", seen.path)
        summary.no_face += 1
        return
    chosen = seen.largest
    if seen.small[chosen]:
        _log.warning("%s: the face is too small", seen.path)
        summary.small += 1
        return
    if len(seen.faces) > 1:
        _log.warning("%s: %d faces: the largest is enrolled", seen.path, len(seen.faces))
    summary.added += 1
    gallery.add_photo(photo, [seen.embeddings[chosen]], seen.faces.boxes[chosen])
