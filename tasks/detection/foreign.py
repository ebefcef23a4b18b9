"""Open any detector's file, ours or a third party's; outputs are recognised by their shapes."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...data.images import MAX_PIXELS
from ...data.preprocess import Placement
from ...errors import ModelFileError, UserError
from ...model_templates.contract import Contract, InputSpec
from ...results import Detections
from ...runtimes import open_session
from ...runtimes.session import Outputs, Session, Shape
from ..load import contract_of
from ..named import model_path
from .postprocess import as_boxes, find_faces
from .preprocessing import Preprocessing
from .rules import MAX_DETECTIONS

_FREE_SIDE = 640
"""Default side of the input in pixels, if a graph leaves it free."""

_STEP = 32
"""Coarsest stride in pixels; free sides are multiples of it."""

_SHARE = 2.0
"""Largest coordinate that is a share of the input's sides: a box may lie outside by its size."""

_FAINT = 0.001
"""Scores up to here are of no answer."""

_JUDGED = 100
"""Number of the best boxes that tell shares from pixels."""

Array = NDArray[np.float32]
Raw = tuple[Array, Array, Array | None]
"""Boxes (N, 4) and landmarks (N, 5, 2) or None in network-input pixels; scores (N,)."""

Decoder = Callable[[Outputs, int, int], Raw]
"""Function from one image's outputs, and the input's height and width, to candidates."""


@dataclass(frozen=True, eq=False)
class Detector:
    """An opened detector file.

    Attributes:
        path: The file.
        session: The runtime's session.
        kind: Key of `DECODERS`.
        height: Height of the input, in pixels.
        width: Width of the input, in pixels.
        contract: Contract of our own files; None for others.
    """

    path: Path
    session: Session
    kind: str
    height: int
    width: int
    contract: Contract | None

    def find(
        self,
        image: NDArray[np.uint8],
        preprocessing: Preprocessing,
        *,
        score_threshold: float,
        nms_iou: float,
        max_detections: int = MAX_DETECTIONS,
    ) -> Detections:
        """Find the faces in a photo after a given pre-processing.

        Args:
            image: uint8 (H, W, 3), BGR.
            preprocessing: How the photo is prepared for the network.
            score_threshold: Lowest score of a face, 0 to 1.
            nms_iou: IoU above which NMS keeps only the better of two boxes.
            max_detections: Most faces, best first.

        Returns:
            Faces in pixels of the photo, best first.
        """
        batch, placement = self.prepare(image, preprocessing)
        return self.faces(
            self.infer(batch),
            placement,
            score_threshold=score_threshold,
            nms_iou=nms_iou,
            max_detections=max_detections,
        )

    def prepare(
        self, image: NDArray[np.uint8], preprocessing: Preprocessing
    ) -> tuple[Array, Placement]:
        """The first step of `find`: the graph's input, and where the photo lies in it."""
        pad_value = 0.0 if self.contract is None else self.contract.input.pad_value
        planes, placement = preprocessing.apply(
            image, height=self.height, width=self.width, pad_value=pad_value
        )
        (shape,) = self.session.input_shapes.values()
        # Only these runtimes pass the array to the graph unchanged; the others convert the layout.
        if shape[-1] == 3 and self.session.runtime in ("openvino", "onnxruntime"):
            planes = planes.transpose(0, 2, 3, 1)
        return np.ascontiguousarray(planes), placement

    def infer(self, batch: Array) -> Outputs:
        """The second step of `find`: run the network.

        Raises:
            ModelFileError: The graph does not take such an array.
        """
        try:
            return self.session.run(batch)
        except Exception as error:  # runtimes raise any kind of exception
            raise self._other(error) from error

    def faces(
        self,
        outputs: Outputs,
        placement: Placement,
        *,
        score_threshold: float,
        nms_iou: float,
        max_detections: int = MAX_DETECTIONS,
    ) -> Detections:
        """The last step of `find`: decode the outputs by their kind, and apply NMS.

        Raises:
            ModelFileError: The outputs cannot be decoded.
        """
        try:
            boxes, scores, landmarks = DECODERS[self.kind][1](outputs, self.height, self.width)
        except Exception as error:  # outputs of third-party graphs can be anything
            raise self._other(error) from error
        return find_faces(
            boxes,
            scores,
            landmarks,
            placement=placement,
            score_threshold=score_threshold,
            nms_iou=nms_iou,
            max_detections=max_detections,
        )

    def _other(self, error: Exception) -> ModelFileError:
        reason = textwrap.shorten(f"{type(error).__name__}: {error}", 150)
        return ModelFileError(
            f"{self.path}: does not answer a float32 image as {self.kind} would: {reason}"
        )


def open_detector(
    path: Path,
    *,
    input_size: tuple[int, int] | None = None,
    runtime: str | None = None,
    threads: int | None = None,
    device: str = "cpu",
) -> Detector:
    """Open a detector's file, ours or a third party's.

    Args:
        path: The model file (see `runtimes.open_session`), or a template's name.
        input_size: Height and width in pixels, if the graph, or the contract of a file of ours,
            leaves them free.
        runtime: See `runtimes.open_session`.
        threads: Threads for one inference; None for one per core.
        device: See `runtimes.open_session`.

    Raises:
        ModelFileError: The file cannot be opened, does not take a single image, or its kind of
            outputs is unknown.
        ContractError: A contract does not fit.
        UserError: The file does not allow the input size.
    """
    path = model_path(path, runtime=runtime, device=device)
    session = open_session(
        path, runtime=runtime, threads=threads, device=device, input_size=input_size
    )
    contract = None
    if session.contract_json is not None or session.weights is not None:
        contract = contract_of(session, source=str(path), input_size=input_size)
    shape = next(iter(session.input_shapes.values()), ())
    if len(session.input_shapes) != 1 or len(shape) != 4 or 3 not in (shape[1], shape[3]):
        raise ModelFileError(
            f"{path}: inputs {session.input_shapes}: expected one image, (B, 3, H, W) or "
            "(B, H, W, 3)"
        )
    if shape[0] not in (1, -1):
        raise ModelFileError(f"{path}: takes {shape[0]} images at once; expected 1 or any number")
    height, width = _sides(shape[2:] if shape[1] == 3 else shape[1:3], input_size, path)
    for kind, (fits, _) in DECODERS.items():
        if fits(session.output_shapes):
            return Detector(path, session, kind, height, width, contract)
    known = "; ".join(DECODERS)
    raise ModelFileError(f"{path}: outputs {session.output_shapes}: expected those of {known}")


def _sides(sides: tuple[int, ...], asked: tuple[int, int] | None, path: Path) -> tuple[int, int]:
    """Height and width of the input: the graph's, or those asked for if it leaves them free."""
    wanted = (_FREE_SIDE, _FREE_SIDE) if asked is None else asked
    size = [one if side == -1 else side for side, one in zip(sides, wanted, strict=True)]
    if asked is not None:
        said = f"--input-size {asked[0]}x{asked[1]}"
        if tuple(size) != asked:
            raise UserError(f"{said}: {path} has a fixed input of {size[0]}x{size[1]}")
        if -1 in sides and any(side < _STEP or side % _STEP for side in asked):
            raise UserError(f"{said}: expected positive multiples of {_STEP}")
        if size[0] * size[1] > MAX_PIXELS:
            raise UserError(f"{said}: above the limit of {MAX_PIXELS:,} pixels")
    return size[0], size[1]


def _widths(shapes: dict[str, Shape]) -> list[int]:
    return sorted(shape[-1] for shape in shapes.values() if shape)


def _is_plain(shapes: dict[str, Shape]) -> bool:
    return {"boxes", "scores"} <= shapes.keys() and shapes["boxes"][-1:] == (4,)


def _is_vision(shapes: dict[str, Shape]) -> bool:
    return shapes.keys() == {"coordinates", "confidence"} and shapes["coordinates"][-1:] == (4,)


def _vision(outputs: Outputs, height: int, width: int) -> Raw:
    found = as_boxes(outputs, InputSpec(shape=(1, 3, height, width), resize="stretch"))
    return found["boxes"][0], found["scores"][0], None


def _plain(outputs: Outputs, height: int, width: int) -> Raw:
    boxes = outputs["boxes"].reshape(-1, 4)
    if not len(boxes):  # a graph with NMS inside may give no boxes
        return boxes, np.zeros(0, np.float32), None
    # (N,), or (N, 2) with the background's score first.
    scores = outputs["scores"].reshape(len(boxes), -1)[:, -1]
    points = outputs.get("landmarks")
    raw = (boxes, scores, None if points is None else points.reshape(-1, 5, 2))
    boxes, scores, points = _answers(raw, outputs)
    if _in_shares(boxes, scores):
        size = np.array([width, height], np.float32)
        boxes = boxes * np.tile(size, 2)
        if points is not None and np.abs(points).max(initial=0) <= _SHARE:
            points = points * size
    return boxes, scores, points


def _answers(raw: Raw, outputs: Outputs) -> Raw:
    """The rows that are answers, as graphs with NMS inside fill their outputs up.

    What fills them is told by a count of the answers, or by labels below 0; if there is neither,
    by scores of 0.
    """
    boxes, scores, points = raw
    keep = np.ones(len(boxes), np.bool_)
    for name, array in outputs.items():
        if name in ("boxes", "scores", "landmarks"):
            continue
        flat = array.reshape(-1)
        if len(flat) == 1 and re.search("num|count|valid", name.lower()):
            keep &= np.arange(len(boxes)) < flat[0]
        elif len(flat) == len(boxes) and re.search("label|class", name.lower()):
            keep &= (flat >= 0) | (flat != np.floor(flat))  # logits have no whole numbers
    return boxes[keep], scores[keep], None if points is None else points[keep]


def _in_shares(boxes: Array, scores: Array) -> bool:
    """Whether boxes are shares of the input's sides, and not pixels, judged by the best answers.

    Rows without a score, which may be anything, say nothing; where there is no other, there is no
    face to find.
    """
    sound = np.flatnonzero((scores > _FAINT) & np.isfinite(boxes).all(1))
    best = sound[np.argsort(-scores[sound], kind="stable")[:_JUDGED]]
    if not len(best):
        return False
    best = best[scores[best] >= 0.1 * scores[best[0]]]
    return float(np.median(np.abs(boxes[best]).max(1))) <= _SHARE


def _is_detection_output(shapes: dict[str, Shape]) -> bool:
    return [len(shape) for shape in shapes.values()] == [4] and _widths(shapes) == [7]


def _detection_output(outputs: Outputs, height: int, width: int) -> Raw:
    """Decode rows of image, label, confidence, x1, y1, x2, y2 as shares of the input's sides."""
    rows = next(iter(outputs.values())).reshape(-1, 7)
    rows = rows[np.cumsum(rows[:, 0] < 0) == 0]  # -1 ends the list, be it the first
    return rows[:, 3:] * np.array([width, height] * 2, np.float32), rows[:, 2], None


def _is_scrfd(shapes: dict[str, Shape]) -> bool:
    return _widths(shapes) == [1] * 3 + [4] * 3 + [10] * 3


def _scrfd(outputs: Outputs, height: int, width: int) -> Raw:
    """Decode two predictions per cell, with distances and points from its corner, in strides.

    SCRFD: Guo et al., "Sample and Computation Redistribution for Efficient Face Detection", 2022.
    """
    boxes, scores, points = [], [], []
    for arrays, corners, stride in _levels(outputs, height, width, per_cell=2):
        (score,), (sides,), (offsets,) = arrays[1], arrays[4], arrays[10]
        boxes.append(np.hstack([corners - stride * sides[:, :2], corners + stride * sides[:, 2:]]))
        scores.append(score[:, 0])
        points.append(corners[:, None] + stride * offsets.reshape(-1, 5, 2))
    return np.concatenate(boxes), np.concatenate(scores), np.concatenate(points)


def _is_yunet(shapes: dict[str, Shape]) -> bool:
    return _widths(shapes) == [1] * 6 + [4] * 3 + [10] * 3


def _yunet(outputs: Outputs, height: int, width: int) -> Raw:
    """Decode one prediction per cell: centre, points and the logarithm of sides, in strides.

    YuNet: Wu et al., "YuNet: A Tiny Millisecond-level Face Detector", 2023.
    """
    boxes, scores, points = [], [], []
    for arrays, corners, stride in _levels(outputs, height, width, per_cell=1):
        (one, other), (box,), (offsets,) = arrays[1], arrays[4], arrays[10]
        centres = corners + stride * box[:, :2]
        halves = stride * np.exp(box[:, 2:].clip(max=20)) / 2
        boxes.append(np.hstack([centres - halves, centres + halves]))
        scores.append(np.sqrt(one.clip(0, 1) * other.clip(0, 1))[:, 0])
        points.append(corners[:, None] + stride * offsets.reshape(-1, 5, 2))
    return np.concatenate(boxes), np.concatenate(scores), np.concatenate(points)


def _is_centerface(shapes: dict[str, Shape]) -> bool:
    return [shape[1:2] for shape in shapes.values()] == [(1,), (2,), (2,), (10,)]


def _centerface(outputs: Outputs, height: int, width: int) -> Raw:
    """Decode one prediction per cell: score, logarithm of sides, centre, points as shares of sides.

    All pairs have y before x.

    CenterFace: Xu et al., "CenterFace: Joint Face Detection and Alignment Using Face as Point",
    2020.
    """
    rows, columns = -(-height // 4), -(-width // 4)
    scores, logs, offsets, shares = (one[0].reshape(len(one[0]), -1) for one in outputs.values())
    corners = _corners(rows, columns, 4, 1)
    sides = 4 * np.exp(logs[::-1].T.clip(max=20))
    starts = corners + 4 * (offsets[::-1].T + 0.5) - sides / 2
    points = shares.T.reshape(-1, 5, 2)[..., ::-1] * sides[:, None] + starts[:, None]
    return np.hstack([starts, starts + sides]), scores[0], points


def _levels(
    outputs: Outputs, height: int, width: int, *, per_cell: int
) -> list[tuple[dict[int, list[Array]], Array, int]]:
    """For each stride: arrays (N, K) by K, the cells' corners (N, 2) in pixels, the stride."""
    levels = []
    for stride in (8, 16, 32):
        rows, columns = -(-height // stride), -(-width // stride)
        arrays: dict[int, list[Array]] = {}
        for array in outputs.values():
            flat = array.reshape(-1, array.shape[-1])
            if len(flat) == rows * columns * per_cell:
                arrays.setdefault(flat.shape[1], []).append(flat)
        levels.append((arrays, _corners(rows, columns, stride, per_cell), stride))
    return levels


@lru_cache(maxsize=16)
def _corners(rows: int, columns: int, stride: int, per_cell: int) -> Array:
    """Top left corners of a grid's cells, row by row, each `per_cell` times."""
    y, x = np.mgrid[:rows, :columns]
    corners = np.stack([x.ravel(), y.ravel()], axis=1).astype(np.float32) * stride
    found: Array = np.repeat(corners, per_cell, axis=0)
    found.flags.writeable = False
    return found


DECODERS: dict[str, tuple[Callable[[dict[str, Shape]], bool], Decoder]] = {
    "boxes and scores": (_is_plain, _plain),
    "coordinates and confidence": (_is_vision, _vision),
    "SSD's DetectionOutput": (_is_detection_output, _detection_output),
    "SCRFD": (_is_scrfd, _scrfd),
    "YuNet": (_is_yunet, _yunet),
    "CenterFace": (_is_centerface, _centerface),
}
"""By kind: a test of the output shapes, and the decoder."""
