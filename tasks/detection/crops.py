"""Training samples cut from photos: crops that zoom in and out, and SSD's IoU crops."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from .augmentation import AugmentationSpec

_FLIPPED_LANDMARKS = [1, 0, 2, 4, 3]
_ATTEMPTS = 50
_WHOLE, _FREE = 1.0, 0.0
_IOU_MODES = (_WHOLE, 0.1, 0.3, 0.5, 0.7, 0.9, _FREE)


@dataclass(frozen=True, eq=False)
class Scene:
    """One photo or a piece of it, with its faces.

    Attributes:
        image: uint8 (H, W, 3), BGR.
        boxes: float32 (N, 4): x1, y1, x2, y2 in pixels of `image`.
        landmarks: float32 (N, 5, 2); NaN if unknown.
        ignore: bool (N,): boxes that are neither face nor background.
    """

    image: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    landmarks: NDArray[np.float32]
    ignore: NDArray[np.bool_]


def augment(
    sample: Scene, *, spec: AugmentationSpec, height: int, width: int, rng: np.random.Generator
) -> Scene:
    """Crop to (height, width), flip, and mark faces that are too small or cut as ignored.

    Args:
        sample: A whole photo.
        spec: The template's recipe.
        height: Height of the result, in pixels.
        width: Width of the result, in pixels.
        rng: Source of all randomness, so that a sample can be made again.
    """
    if spec.crop == "letterbox":
        window = _letterbox_window(sample, spec, rng, shape=(height, width))
    else:
        window = (
            _zoom_window(sample, spec, rng) if spec.crop == "zoom" else _iou_window(sample, rng)
        )
    if spec.crop == "zoom" and spec.rotate and rng.random() < spec.rotate:
        angle = float(rng.uniform(-spec.max_angle, spec.max_angle))
        sample = _cut_turned(sample, window, angle, height=height, width=width, rng=rng)
    else:
        sample = _cut(sample, window, height=height, width=width, rng=rng)
    sample = _clipped(sample)
    if rng.random() < spec.flip:
        sample = flip(sample)
    sides = (sample.boxes[:, 2:] - sample.boxes[:, :2]).max(1, initial=0)
    return Scene(
        sample.image, sample.boxes, sample.landmarks, sample.ignore | (sides < spec.min_face)
    )


def flip(sample: Scene) -> Scene:
    """Mirror left to right, and swap left and right landmarks."""
    width = sample.image.shape[1]
    boxes = sample.boxes.copy()
    boxes[:, [0, 2]] = width - boxes[:, [2, 0]]
    landmarks = sample.landmarks[:, _FLIPPED_LANDMARKS].copy()
    landmarks[..., 0] = width - landmarks[..., 0]
    image = np.asarray(cv2.flip(sample.image, 1), np.uint8)
    return Scene(image, boxes, landmarks, sample.ignore)


def _zoom_window(
    sample: Scene, spec: AugmentationSpec, rng: np.random.Generator
) -> tuple[float, float, float, float]:
    """A window with the centre of a randomly chosen face, and with all of it if it fits.

    Or, for the share `anywhere`, a window at any place, which mostly shows background.
    """
    extent = np.array(sample.image.shape[1::-1], dtype=np.float64)
    unit = np.full(2, extent.min()) if spec.shape == "square" else extent
    scale = float(rng.choice(spec.scales))
    faces = sample.boxes[~sample.ignore]
    if len(faces) == 0 or (spec.anywhere and rng.random() < spec.anywhere):
        size = scale * unit
        lower, upper = np.minimum(0.0, extent - size), np.maximum(0.0, extent - size)
    else:
        face = faces[rng.integers(len(faces))].astype(np.float64)
        size = max(scale, 1.05 * float(((face[2:] - face[:2]) / unit).max())) * unit
        # Inside the photo if possible: there is padding only if the window is larger.
        low, high = np.minimum(0.0, extent - size), np.maximum(0.0, extent - size)
        lower, upper = np.clip(face[2:] - size, low, high), np.clip(face[:2], low, high)
    left, top = rng.uniform(lower, np.maximum(lower, upper)).tolist()
    width, height = size.tolist()
    return left, top, width, height


def _letterbox_window(
    sample: Scene, spec: AugmentationSpec, rng: np.random.Generator, *, shape: tuple[int, int]
) -> tuple[float, float, float, float]:
    """A window of the sample's `shape` (height, width) with the photo at its top left.

    The photo has its size in the network's input (`data.preprocess`) times one of the scales.
    """
    unit = max(had / has for had, has in zip(sample.image.shape[:2], shape, strict=True))
    unit /= float(rng.choice(spec.scales))
    return 0.0, 0.0, unit * shape[1], unit * shape[0]


def _iou_window(sample: Scene, rng: np.random.Generator) -> tuple[float, float, float, float]:
    """SSD's crop (Liu et al. 2016, section 2.2), drawn as by MMDetection's MinIoURandomCrop.

    One of seven modes: the whole photo, a window whose IoU with every face of the photo is at
    least .1, .3, .5, .7 or .9, or a free window. Windows have sides of .3 to 1 of the photo's,
    aspect ratios of 1/2 to 2, and the centre of at least one face if the photo has faces. A mode
    that fails 50 times is drawn anew.

    A face far smaller than the photo has no such IoU with any window, so photos of groups end
    with the whole photo or a free window, about half each on WIDER FACE. The paper's windows have
    sides from .1 and other rules for a failed draw; the published models were trained with these.
    """
    height, width = sample.image.shape[:2]
    faces = sample.boxes[~sample.ignore]
    centres = (faces[:, :2] + faces[:, 2:]) / 2
    areas = (faces[:, 2:] - faces[:, :2]).prod(1)
    extent = np.array([width, height], dtype=np.float64)
    while True:
        minimum = _IOU_MODES[rng.integers(len(_IOU_MODES))]
        if minimum == _WHOLE:
            return 0.0, 0.0, float(width), float(height)
        # All attempts at once, because modes that no window can satisfy are drawn often.
        sizes = rng.uniform(0.3, 1.0, (_ATTEMPTS, 2)) * extent
        origins = rng.uniform(0.0, 1.0, (_ATTEMPTS, 2)) * (extent - sizes)
        aspects = sizes[:, 0] / sizes[:, 1]
        good = (aspects >= 0.5) & (aspects <= 2.0)
        if len(faces):
            low, high = origins[:, None], (origins + sizes)[:, None]  # (_ATTEMPTS, 1, 2)
            good &= np.minimum(centres - low, high - centres).min(2).max(1) > 0
            inner = np.minimum(faces[:, 2:], high) - np.maximum(faces[:, :2], low)
            inter = inner.clip(min=0).prod(2)
            iou = inter / (areas + sizes.prod(1)[:, None] - inter)
            good &= iou.min(1) >= minimum
        if good.any():
            found = int(good.argmax())
            (left, top), (w, h) = origins[found].tolist(), sizes[found].tolist()
            return left, top, w, h


def _cut(
    sample: Scene,
    window: tuple[float, float, float, float],
    *,
    height: int,
    width: int,
    rng: np.random.Generator,
) -> Scene:
    """Cut a window (left, top, width, height) and scale it; parts outside the photo are black.

    Boxes may reach beyond the result.
    """
    left, top, w, h = window
    # At least one pixel of the photo, even for a tiny window.
    x0 = min(round(left), sample.image.shape[1] - 1)
    y0 = min(round(top), sample.image.shape[0] - 1)
    x1, y1 = max(x0 + 1, 1, round(left + w)), max(y0 + 1, 1, round(top + h))
    inside = sample.image[max(y0, 0) : max(y1, 0), max(x0, 0) : max(x1, 0)]
    scale_x, scale_y = width / (x1 - x0), height / (y1 - y0)
    target_w = min(width, max(1, round(inside.shape[1] * scale_x)))
    target_h = min(height, max(1, round(inside.shape[0] * scale_y)))
    shrinks = scale_x < 1
    interpolation = cv2.INTER_AREA if shrinks and rng.random() < 0.5 else cv2.INTER_LINEAR
    resized = cv2.resize(inside, (target_w, target_h), interpolation=interpolation)
    image = np.zeros((height, width, 3), dtype=np.uint8)
    px = min(max(0, round(-x0 * scale_x)), width - target_w)
    py = min(max(0, round(-y0 * scale_y)), height - target_h)
    image[py : py + target_h, px : px + target_w] = resized

    # The scale really applied to the pixels, rounding included.
    scale = np.array([target_w / inside.shape[1], target_h / inside.shape[0]], dtype=np.float32)
    origin = np.array([max(x0, 0), max(y0, 0)], dtype=np.float32)
    place = np.array([px, py], dtype=np.float32)
    boxes = ((sample.boxes.reshape(-1, 2, 2) - origin) * scale + place).reshape(-1, 4)
    landmarks = (sample.landmarks - origin) * scale + place
    return Scene(image, boxes, landmarks.astype(np.float32), sample.ignore)


def _cut_turned(
    sample: Scene,
    window: tuple[float, float, float, float],
    angle: float,
    *,
    height: int,
    width: int,
    rng: np.random.Generator,
) -> Scene:
    """Cut a window rotated about its centre, counter-clockwise in degrees.

    A face's new box encloses the rotated ellipse inside the old one, which fits a head better than
    the rotated box; an ignored box encloses the whole rotated box.
    """
    left, top, w, h = window
    diagonal = math.ceil(math.hypot(width, height))  # enough for any angle
    outer_w, outer_h = w * diagonal / width, h * diagonal / height
    around = left - (outer_w - w) / 2, top - (outer_h - h) / 2, outer_w, outer_h
    sample = _cut(sample, around, height=diagonal, width=diagonal, rng=rng)
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    turn = np.array([[cos, sin], [-sin, cos]])  # y points down
    shift = np.array([width, height]) / 2 - turn @ np.full(2, diagonal / 2)
    # cv2 counts from the centre of the first pixel, boxes from its corner.
    matrix = np.column_stack((turn, shift + turn @ (0.5, 0.5) - 0.5))
    image = cv2.warpAffine(sample.image, matrix, (width, height), flags=cv2.INTER_LINEAR)
    centres = (sample.boxes[:, :2] + sample.boxes[:, 2:]) / 2 @ turn.T + shift
    upright = (sample.boxes[:, 2:] - sample.boxes[:, :2]) / 2
    ellipses = np.sqrt(upright**2 @ turn.T**2)
    halves = np.where(sample.ignore[:, None], upright @ np.abs(turn.T), ellipses)
    boxes = np.concatenate((centres - halves, centres + halves), axis=1, dtype=np.float32)
    landmarks = (sample.landmarks @ turn.T + shift).astype(np.float32)
    return Scene(image.astype(np.uint8, copy=False), boxes, landmarks, sample.ignore)


def _clipped(sample: Scene) -> Scene:
    """Clip boxes and drop those outside the image; faces with their centre outside are ignored."""
    height, width = sample.image.shape[:2]
    boxes = sample.boxes
    limit = np.array([width, height], dtype=np.float32)
    clipped = np.concatenate(
        (boxes[:, :2].clip(0, limit), boxes[:, 2:].clip(0, limit)), axis=1, dtype=np.float32
    )
    visible = (clipped[:, 2:] - clipped[:, :2]).prod(1)
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    centred = ((centres > 0) & (centres < limit)).all(1)
    keep = visible > 0
    # A face whose centre is cut off is still partly visible, so it must not become background.
    ignore = sample.ignore | ~centred
    return Scene(sample.image, clipped[keep], sample.landmarks[keep], ignore[keep])
