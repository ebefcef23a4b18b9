"""Results of models: frozen dataclasses of numpy arrays, in pixels of the original image.

Their JSON: docs/reference/results.md.
"""

from __future__ import annotations

import json
import operator
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from .errors import InputError

LANDMARK_NAMES = ("left_eye", "right_eye", "nose", "left_mouth", "right_mouth")
"""Order of the five landmarks; left and right as seen in the picture."""

_PIXEL_DIGITS, _SCORE_DIGITS = 2, 4
"""Decimals of positions and of scores in JSON."""


@dataclass(frozen=True, eq=False)
class Detection:
    """One face of `Detections`.

    Attributes:
        box: float32 (4,): x1, y1, x2, y2 in pixels of the original image.
        score: 0 to 1.
        landmarks: float32 (5, 2) in the order of `LANDMARK_NAMES`, pixels of the original image;
            None if the model has none.
    """

    box: NDArray[np.float32]
    score: float
    landmarks: NDArray[np.float32] | None = None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Detection):
            return NotImplemented
        return (
            self.score == other.score
            and np.array_equal(self.box, other.box)
            and _same(self.landmarks, other.landmarks)
        )

    def __repr__(self) -> str:
        box = ", ".join(f"{side:.0f}" for side in self.box)
        return f"Detection(score={self.score:.2f}, box=[{box}])"

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers: `box`, `score` and `landmarks`, by name or None.

        Raises:
            InputError: A number is not finite.
        """
        points = None
        if self.landmarks is not None:
            numbers = _plain(self.landmarks, _PIXEL_DIGITS)
            points = dict(zip(LANDMARK_NAMES, numbers, strict=True))
        return {
            "box": _plain(self.box, _PIXEL_DIGITS),
            "score": _plain(self.score, _SCORE_DIGITS),
            "landmarks": points,
        }


@dataclass(frozen=True, eq=False)
class Detections:
    """Faces found in one image, best first.

    `for face in found` gives each as a `Detection`, and so does `found[0]`; a slice, a mask and a
    list of indices give `Detections` again.

    Attributes:
        boxes: float32 (N, 4): x1, y1, x2, y2 in pixels of the original image.
        scores: float32 (N,), 0 to 1, in descending order.
        landmarks: float32 (N, 5, 2) in the order of `LANDMARK_NAMES`, pixels of the original
            image; None if the model has none.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    landmarks: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.scores)

    def __iter__(self) -> Iterator[Detection]:
        return (self[index] for index in range(len(self)))

    @overload
    def __getitem__(self, index: int | np.integer[Any]) -> Detection: ...

    @overload
    def __getitem__(self, index: slice | NDArray[Any] | Sequence[int]) -> Detections: ...

    def __getitem__(
        self, index: int | np.integer[Any] | slice | NDArray[Any] | Sequence[int]
    ) -> Detection | Detections:
        if isinstance(index, slice):
            return self._part(index)
        if isinstance(index, np.ndarray | Sequence) and np.ndim(index) == 1:
            # An empty list would be of floats.
            return self._part(np.asarray(index) if len(index) else slice(0))
        one = operator.index(index)  # type: ignore[arg-type]
        landmarks = None if self.landmarks is None else self.landmarks[one]
        return Detection(self.boxes[one], float(self.scores[one]), landmarks)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Detections):
            return NotImplemented
        return (
            np.array_equal(self.boxes, other.boxes)
            and np.array_equal(self.scores, other.scores)
            and _same(self.landmarks, other.landmarks)
        )

    def __repr__(self) -> str:
        count = len(self)
        best = ", ".join(f"{score:.2f}" for score in self.scores[:3])
        more = ", ..." if count > 3 else ""
        faces = f"{count} face{'' if count == 1 else 's'}"
        return f"Detections({faces}{': ' if count else ''}{best}{more})"

    def above(self, score: float) -> Detections:
        """The detections whose score is at least `score`."""
        return self.where(self.scores >= score)

    def where(self, keep: NDArray[np.bool_]) -> Detections:
        """The detections for which `keep`, bool (N,), is true."""
        return self._part(keep)

    def _part(self, keep: slice | NDArray[Any]) -> Detections:
        landmarks = None if self.landmarks is None else self.landmarks[keep]
        return Detections(self.boxes[keep], self.scores[keep], landmarks)

    def draw(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A copy of the photo, uint8 (H, W, 3) BGR, with boxes, scores and landmarks.

        Args:
            image: The photo, uint8 (H, W, 3), BGR; not changed. `read_pixels` gives a file's.

        Raises:
            InputError: It is no such array, or a face's place is not a number.
        """
        from .drawing import draw_faces

        captions = [[f"{score:.2f}"] for score in self.scores]
        colours = [0] * len(self)
        return draw_faces(checked_photo(image), self, captions=captions, colours=colours)

    def crop(self, image: NDArray[np.uint8], *, grow: float = 0) -> list[NDArray[np.uint8]]:
        """Cut the faces out of the photo, each as a copy of its own.

        What is beyond the photo's edge is left out, so such crops are smaller.

        Args:
            image: The photo, uint8 (H, W, 3), BGR. `read_pixels` gives a file's.
            grow: How much more than the box is cut out at each side, as a share of the box's width
                or height: with 0.5 the crop is twice as wide and twice as high.

        Returns:
            For each face uint8 (h, w, 3), BGR; of at least one pixel.

        Raises:
            InputError: The image is no such array, a box is beside it, or `grow` is negative.
        """
        photo = checked_photo(image)
        if not 0 <= grow < np.inf:
            raise InputError(f"grow is {grow!r}: expected a number from 0 on")
        height, width = photo.shape[:2]
        crops = []
        for box in self.boxes.astype(np.float64):
            more = grow * (box[2:] - box[:2])
            low = np.floor((box[:2] - more).clip(0)).astype(int)
            high = np.ceil((box[2:] + more).clip(max=(width, height))).astype(int)
            if not (low < high).all():
                raise InputError(
                    f"a face at {box.round(1).tolist()} is beside the image of {width}x{height} "
                    "(width x height): is it another photo?"
                )
            crops.append(photo[low[1] : high[1], low[0] : high[0]].copy())
        return crops

    def to_dict(self) -> dict[str, Any]:
        """Plain lists and numbers: `faces`, each as `Detection.to_dict` has it.

        Pixels have two decimals, scores four.

        Raises:
            InputError: A number is not finite, which JSON has no form for.
        """
        return {"faces": [face.to_dict() for face in self]}

    def to_json(self) -> str:
        """`to_dict` as one line of JSON."""
        return json.dumps(self.to_dict())

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Detections:
        """Read what `to_dict` gives; without faces, `landmarks` is None.

        Raises:
            InputError: The content has another form.
        """
        try:
            faces = list(content["faces"])
            boxes = np.array([face["box"] for face in faces], np.float32).reshape(len(faces), 4)
            scores = np.array([face["score"] for face in faces], np.float32).reshape(len(faces))
            landmarks = None
            # Of all faces or of none: a face without any is told by the TypeError.
            if any(face["landmarks"] is not None for face in faces):
                points = [[face["landmarks"][name] for name in LANDMARK_NAMES] for face in faces]
                landmarks = np.array(points, np.float32).reshape(len(faces), 5, 2)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise InputError(f"not the form of Detections.to_dict: {error!r}") from error
        return cls(boxes, scores, landmarks)


@dataclass(frozen=True, eq=False)
class Classification:
    """A classifier's answer for one face.

    Attributes:
        label: The label of the face, one of the contract's.
        index: Index of that label in the contract.
        score: Probability of that label, 0 to 1.
        scores: Probabilities of all labels in the contract's order, float32 (labels,); their sum
            is 1.
    """

    label: str
    index: int
    score: float
    scores: NDArray[np.float32]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Classification):
            return NotImplemented
        mine, its = ((one.label, one.index, one.score) for one in (self, other))
        return mine == its and np.array_equal(self.scores, other.scores)

    def __repr__(self) -> str:
        return f"Classification(label={self.label!r}, score={self.score:.2f})"

    def to_dict(self) -> dict[str, Any]:
        """Plain values: `label`, `index`, `score` and `scores`, with four decimals.

        Raises:
            InputError: A number is not finite, which JSON has no form for.
        """
        return {
            "label": self.label,
            "index": self.index,
            "score": _plain(self.score, _SCORE_DIGITS),
            "scores": _plain(self.scores, _SCORE_DIGITS),
        }

    def to_json(self) -> str:
        """`to_dict` as one line of JSON."""
        return json.dumps(self.to_dict())

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Classification:
        """Read what `to_dict` gives.

        Raises:
            InputError: The content has another form.
        """
        try:
            scores = np.array(content["scores"], np.float32).reshape(len(content["scores"]))
            label, index = str(content["label"]), operator.index(content["index"])
            return cls(label, index, float(content["score"]), scores)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise InputError(f"not the form of Classification.to_dict: {error!r}") from error


def _same(one: NDArray[np.float32] | None, other: NDArray[np.float32] | None) -> bool:
    if one is None or other is None:
        return one is other
    return np.array_equal(one, other)


def checked_photo(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The photo that results are of, checked."""
    what = type(image).__name__
    if isinstance(image, np.ndarray):
        what = f"an array of {image.dtype} {image.shape}"
        if image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3 and image.size:
            return image
    raise InputError(
        f"image is {what}: expected a uint8 array (height, width, 3), BGR",
        hint="`pocketface.read_pixels(image)` makes one of all that `predict` takes",
    )


def _plain(values: NDArray[np.float32] | float, digits: int) -> Any:
    """Python's own numbers, rounded, in lists as the array has them."""
    numbers = np.asarray(values, np.float64)
    if not np.isfinite(numbers).all():
        raise InputError("a result that is not finite: JSON has no such number")
    # Adding 0 makes -0.0 a plain 0.0.
    return (numbers.round(digits) + 0.0).tolist()


def pairwise_intersection(
    one: NDArray[np.float32], other: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Area of the overlap of boxes (N, 4) and (M, 4), x1 y1 x2 y2: float64 (N, M)."""
    low = np.maximum(one[:, None, :2], other[None, :, :2]).astype(np.float64)
    high = np.minimum(one[:, None, 2:], other[None, :, 2:])
    return np.asarray((high - low).clip(min=0).prod(2))


def pairwise_iou(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float64]:
    """Intersection over union of boxes (N, 4) and (M, 4), x1 y1 x2 y2: float64 (N, M)."""
    common = pairwise_intersection(one, other)
    areas = [(boxes[:, 2:] - boxes[:, :2]).astype(np.float64).prod(1) for boxes in (one, other)]
    # `tiny` gives boxes without area an IoU of 0, not NaN.
    union = np.maximum(areas[0][:, None] + areas[1][None] - common, np.finfo(np.float64).tiny)
    return np.asarray(common / union)
