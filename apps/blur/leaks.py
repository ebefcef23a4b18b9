"""Search what was blurred once more, by another detector: `--report`."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ...data.images import read_content
from ...data.videos import open_video
from ...errors import ContractError, ModelFileError
from ...files import atomic_write
from ...quiet import quiet
from ...results import Detections, pairwise_intersection
from .cover import Cover
from .find import FaceFinder, Finder, merged
from .photo_read import read_photo
from .tracks_cover import Covers
from .tracks_file import VideoTracks

Pixels = NDArray[np.uint8]

SCORE = 0.5
"""Lowest score of a face that is found again."""

_SCALES = (1 / 4, 1 / 2, 1.0)
"""Of the largest picture that is searched: twice the size of what was written, up to
`_MOST_SIDE`."""

_MOST_SIDE = 2560
"""Longest side, in pixels, of a picture that is searched."""

_INNER, _HIDDEN = 0.6, 0.5
"""Of a box that was found, the inside, where the features of a face are, as a share of its sides.
If so much of that is hidden, what was found is the cover in a head of hair: that is no leak."""

_CELL, _ACROSS, _MOST_PICTURES = 160, 6, 60
"""Of the contact sheet: side of a picture in pixels, pictures in a row, and in all."""

_NOBODY = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))


@dataclass(frozen=True)
class Leak:
    """A face that was found again.

    Attributes:
        box: x1, y1, x2, y2 in pixels of the picture.
        score: 0 to 1.
        covered: Share of the inside of its box that is hidden.
        file: What was searched.
        frame: Number of the frame of a video or an animation, or page; None for a photo.
        time: Seconds since the start; None where there is none.
    """

    box: tuple[float, float, float, float]
    score: float
    covered: float
    file: str = ""
    frame: int | None = None
    time: float | None = None

    @property
    def is_open(self) -> bool:
        """Whether a face is seen, and not only its cover."""
        return self.covered < _HIDDEN


def open_searcher(path: Path, *, device: str = "cpu", threads: int | None = None) -> Finder:
    """Open a detector of ours, or YuNet's ONNX file.

    Raises:
        ModelFileError: It is neither.
    """
    try:
        return FaceFinder(path, score=SCORE, max_side=_MOST_SIDE, device=device, threads=threads)
    except (ModelFileError, ContractError):
        if path.suffix.lower() != ".onnx" or not path.is_file():
            raise
        return _YuNet(path)


class _YuNet:
    """OpenCV's detector (Wu et al. 2023, doi:10.1007/s11633-023-1423-y)."""

    def __init__(self, path: Path) -> None:
        try:
            with quiet():  # it prints about targets that were not chosen
                made = cv2.FaceDetectorYN.create(str(path), "", (320, 320), SCORE, 0.45, 5000)
        except cv2.error as error:
            raise ModelFileError(
                f"--report-detector {path}: neither a detector of pocketface nor YuNet"
            ) from error
        self._detector: Any = made

    def find(self, image: Pixels) -> Detections:
        """See `Finder`."""
        self._detector.setInputSize((image.shape[1], image.shape[0]))
        rows = self._detector.detect(image)[1]
        rows = np.zeros((0, 15), np.float32) if rows is None else np.asarray(rows, np.float32)
        boxes = np.hstack([rows[:, :2], rows[:, :2] + rows[:, 2:4]])
        found = Detections(boxes, rows[:, 14].copy())
        return found[np.argsort(-found.scores, kind="stable")]


def leaks_in(
    views: Sequence[Pixels],
    searcher: Finder,
    hidden: Detections | None = None,
    *,
    grow: float = Cover.grow,
) -> list[Leak]:
    """The faces that a detector finds in a blurred picture, at three scales; best first.

    Args:
        views: The picture, uint8 (H, W, 3), BGR, in each way in which it may be seen.
        searcher: The detector.
        hidden: The boxes of the faces that are hidden; None for none.
        grow: See `Cover`.
    """
    found = _NOBODY
    for image, share in itertools.product(views, _SCALES):
        scale = share * min(2, _MOST_SIDE / max(image.shape[:2]))
        wide, tall = (max(1, round(side * scale)) for side in image.shape[1::-1])
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        picture = np.asarray(cv2.resize(image, (wide, tall), interpolation=how), np.uint8)
        faces = searcher.find(picture).above(SCORE)
        found = merged(found, Detections((faces.boxes / scale).astype(np.float32), faces.scores))
    covers = _NOBODY if hidden is None else hidden
    inner = _grown(found.boxes, _INNER)
    areas = (inner[:, 2:] - inner[:, :2]).clip(1e-6).prod(1)
    common = pairwise_intersection(inner, _grown(covers.boxes, grow))
    shares = common.max(1, initial=0) / areas
    return [
        Leak(tuple(float(side) for side in box), float(score), float(share))  # type: ignore[arg-type]
        for box, score, share in zip(found.boxes, found.scores, shares, strict=True)
    ]


@dataclass
class LeakReport:
    """What was found again in all that a run wrote.

    Attributes:
        searcher: The detector.
        grow: See `Cover`.
        tell: Called after each frame of a video or an animation with the number done and that of
            all.
        pictures: Photos and frames that were searched.
        found: Faces that were found again, also their covers.
    """

    searcher: Finder
    grow: float = Cover.grow
    tell: Callable[[int, int], None] | None = None
    pictures: int = 0
    found: list[Leak] = field(default_factory=list)
    _sheet: list[Pixels] = field(default_factory=list)

    @property
    def leaks(self) -> list[Leak]:
        """The faces that are seen."""
        return [one for one in self.found if one.is_open]

    def photo(self, file: Path, hidden: Sequence[Detections]) -> None:
        """Search a blurred photo, with all frames or pages.

        Args:
            file: What was written.
            hidden: What is hidden in each frame.

        Raises:
            ImageError: It cannot be read.
        """
        frames = read_photo(read_content(file), source=str(file)).frames
        if len(frames) == 1:
            self._search(frames[0].views(), hidden[0], file, None, None)
            return
        if len(frames) != len(hidden):
            # Pillow makes one of frames that became the same. Which of them hid what is not known:
            # all that is found counts as seen.
            hidden = [_NOBODY] * len(frames)
        time = 0.0
        for number, frame in enumerate(frames):
            at = None if frame.lasts is None else time
            self._search(frame.views(), hidden[number], file, number, at)
            time += (frame.lasts or 0) / 1000
            if self.tell is not None:
                self.tell(number + 1, len(frames))

    def video(self, file: Path, tracks: VideoTracks) -> None:
        """Search a blurred video.

        Raises:
            DataError: It cannot be read.
        """
        steps = np.diff(tracks.times)
        covers = Covers(tracks.paths, float(1 / np.median(steps)) if len(steps) else 25.0)
        with open_video(file) as video:
            for number, frame in enumerate(video.frames):
                self._search([frame.pixels], covers.at(number), file, number, frame.time)
                if self.tell is not None:
                    self.tell(number + 1, max(number + 1, len(tracks.times)))

    def write(self, path: Path) -> Path | None:
        """Write the list as JSON, and where a face is seen a contact sheet beside it.

        Args:
            path: The JSON file.

        Returns:
            The sheet.

        Raises:
            OSError: They cannot be written.
        """
        content = {
            "pictures": self.pictures,
            "leaks": [_told(one) for one in self.leaks],
            "covers_found": [_told(one) for one in self.found if not one.is_open],
        }
        with atomic_write(path, "w") as file:
            json.dump(content, file, indent=1)
            file.write("\n")
        if not self._sheet:
            return None
        sheet = path.with_suffix(".jpg")
        empty = np.zeros((_CELL, _CELL, 3), np.uint8)
        cells = self._sheet + [empty] * (-len(self._sheet) % _ACROSS)
        rows = [np.hstack(cells[at : at + _ACROSS]) for at in range(0, len(cells), _ACROSS)]
        with atomic_write(sheet) as file:
            file.write(cv2.imencode(".jpg", np.vstack(rows))[1].tobytes())
        return sheet

    def _search(
        self,
        views: Sequence[Pixels],
        hidden: Detections,
        file: Path,
        frame: int | None,
        time: float | None,
    ) -> None:
        self.pictures += 1
        for leak in leaks_in(views, self.searcher, hidden, grow=self.grow):
            known = Leak(leak.box, leak.score, leak.covered, str(file), frame, time)
            self.found.append(known)
            if known.is_open and len(self._sheet) < _MOST_PICTURES:
                self._sheet.append(_cell(views[-1], known))


def _grown(boxes: NDArray[np.float32], grow: float) -> NDArray[np.float32]:
    centre, half = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) / 2
    return np.hstack([centre - half * grow, centre + half * grow]).astype(np.float32)


def _told(leak: Leak) -> dict[str, Any]:
    return {
        "file": leak.file,
        "frame": leak.frame,
        "time": None if leak.time is None else round(leak.time, 3),
        "box": [round(side, 1) for side in leak.box],
        "score": round(leak.score, 3),
        "covered": round(leak.covered, 3),
    }


def _cell(image: Pixels, leak: Leak) -> Pixels:
    """A face and what is around it."""
    box = np.array(leak.box, np.float32)
    drawn = image.copy()
    corners = [int(value) for value in np.rint(box)]
    cv2.rectangle(drawn, corners[:2], corners[2:], (0, 0, 255), 1)
    centre, reach = (box[:2] + box[2:]) / 2, max(float(max(box[2:] - box[:2])), 8.0)
    low = np.floor(centre - reach).astype(int).clip(0)
    high = np.minimum(np.ceil(centre + reach).astype(int), image.shape[1::-1])
    part = drawn[low[1] : max(high[1], low[1] + 1), low[0] : max(high[0], low[0] + 1)]
    cell = np.zeros((_CELL, _CELL, 3), np.uint8)
    scale = _CELL / max(part.shape[:2])
    wide, tall = (max(1, round(side * scale)) for side in part.shape[1::-1])
    cell[:tall, :wide] = cv2.resize(part, (wide, tall))
    return cell
