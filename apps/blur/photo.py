"""Hide the faces of a photo: its file's bytes in, those of another file out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from ...results import Detections
from .cover import Cover, hidden_pixels, hide
from .find import Finder, merged, with_more
from .jpeg_blocks import check_installed, with_old_blocks
from .photo_file import Frame, Picture, turned_back
from .photo_metadata import Group
from .photo_read import read_photo
from .photo_write import photo_bytes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ...mask import Mask
    from ...tasks.segmentation.model import FaceSegmenter

SUFFIXES = {
    "JPEG": ".jpg",
    "PNG": ".png",
    "WEBP": ".webp",
    "AVIF": ".avif",
    "HEIF": ".heic",
    "TIFF": ".tif",
    "BMP": ".bmp",
    "GIF": ".gif",
    "PPM": ".ppm",
}
"""Of each format that is written, by Pillow's name."""


class Chooser(Protocol):
    """Says whose faces stay visible."""

    def visible(self, image: Picture, faces: Detections) -> NDArray[np.bool_]:
        """For each face of a photo, uint8 (H, W, 3) BGR, whether it is not to be hidden."""


@dataclass(frozen=True, eq=False)
class BlurredPhoto:
    """A photo whose faces are hidden.

    Attributes:
        content: The file.
        suffix: Of its format, as `.jpg`.
        found: The faces of each frame, in pixels of the upright photo.
        hidden: How many of them are hidden.
        covered: What is hidden in each frame, as `found`, with what is only found beside it.
    """

    content: bytes
    suffix: str
    found: tuple[Detections, ...]
    hidden: int
    covered: tuple[Detections, ...]


class PhotoBlurrer:
    """Hides faces in photos.

    Args:
        finder: Finds the faces.
        cover: How they are hidden.
        segmenter: Says which pixels are a face's; needed for the shape `mask`.
        who: Whose faces stay visible; None for nobody's.
        keep: The groups of metadata that are kept.
        lossless_jpeg: Whether of a JPEG only the blocks change that a face's outline touches; it
            keeps its orientation then.

    Raises:
        MissingPackageError: `lossless_jpeg` needs a package that is not installed.
    """

    def __init__(
        self,
        finder: Finder,
        cover: Cover,
        *,
        segmenter: FaceSegmenter | None = None,
        who: Chooser | None = None,
        keep: frozenset[Group] = frozenset(),
        lossless_jpeg: bool = False,
    ) -> None:
        if lossless_jpeg:
            check_installed()
        self.finder = finder
        self.cover = cover
        self.segmenter = segmenter
        self.who = who
        self.keep = keep
        self.lossless_jpeg = lossless_jpeg

    def blur(self, content: bytes, *, source: str) -> BlurredPhoto:
        """Hide the faces of a photo.

        In an animation a face is hidden in the frames before and after too, where it may be missed.

        Args:
            content: The photo's file.
            source: Its name in error messages.

        Raises:
            ImageError: See `read_photo`, `photo_bytes` and `with_old_blocks`.
        """
        photo = read_photo(content, source=source, keep=self.keep, as_stored=self.lossless_jpeg)
        found: list[Detections] = []
        hidden: list[Detections] = []
        for frame in photo.frames:
            frame.wipe_unseen()
            faces, chosen = self._looked_at(frame)
            found.append(faces)
            hidden.append(chosen)
        covers: list[Detections] = []
        animated = len(photo.frames) > 1 and photo.kind != "TIFF"
        for number, frame in enumerate(photo.frames):
            faces = hidden[number]
            if animated:
                for other in (
                    *hidden[max(0, number - 1) : number],
                    *hidden[number + 1 : number + 2],
                ):
                    faces = with_more(faces, other)
            covered = self._hide(frame, faces)
            covers.append(faces)
        made = photo_bytes(photo, source=source)
        if covered is not None and photo.kind == "JPEG":
            stored = turned_back(covered, photo.orientation)
            made = with_old_blocks(photo.stored, made, stored, source=source)
        return BlurredPhoto(
            made,
            SUFFIXES[photo.kind],
            tuple(found),
            sum(map(len, hidden)),
            tuple(covers),
        )

    def _looked_at(self, frame: Frame) -> tuple[Detections, Detections]:
        """The faces of a frame, and those that are to be hidden."""
        views = frame.views()
        faces = self.finder.find(views[0])
        hidden = self._hidden(views[0], faces)
        for view in views[1:]:
            more = self.finder.find(view)
            faces, hidden = merged(faces, more), merged(hidden, self._hidden(view, more))
        return faces, hidden

    def _hidden(self, image: Picture, faces: Detections) -> Detections:
        if self.who is None or not len(faces):
            return faces
        return faces[np.flatnonzero(~self.who.visible(image, faces))]

    def _hide(self, frame: Frame, faces: Detections) -> NDArray[np.bool_] | None:
        """Hide faces of a frame, in place; for `lossless_jpeg` says in which pixels."""
        masks: Sequence[Mask] | None = None
        if self.cover.shape == "mask" and len(faces):
            assert self.segmenter is not None, "the shape mask needs a segmenter"
            assert faces.landmarks is not None
            masks = self.segmenter.predict(frame.views()[0], faces.landmarks)
        hide(frame.colours, faces, self.cover, masks=masks, from_bgr=frame.from_bgr)
        if not self.lossless_jpeg:
            return None
        return hidden_pixels(frame.colours.shape[:2], faces, self.cover, masks=masks)
