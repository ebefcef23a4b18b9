"""Aligned faces as a classifier's training samples, harder as the training goes on."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from ..data.images import read_image
from ..data.labelled_faces import LabelledFace
from ..errors import DataError, ImageError
from ..model_templates.contract import InputSpec
from ..model_templates.recipe import AugmentationSpec
from ..runtimes.align import cut_face, similarity
from .dataset import DECODE_THREADS, EXTRA, Key, left_out

Pixels = NDArray[np.uint8]

_MARGIN = 0.5
"""Of a face's input, kept on each side, so that shifts and turns find something there."""

_FULL_HARDNESS = 0.6
"""Share of the training after which augmentation is as hard as it gets."""


class Labels(NamedTuple):
    """Of a batch: `labels` and `image_ids`, int64 (B,)."""

    labels: Tensor
    image_ids: Tensor

    def to(self, device: torch.device, *, non_blocking: bool = False) -> Labels:
        """On another device."""
        return Labels(
            self.labels.to(device, non_blocking=non_blocking),
            self.image_ids.to(device, non_blocking=non_blocking),
        )


class FaceCrops(Dataset[list[tuple[Tensor, int, int]]]):
    """Batches of aligned, augmented faces; rarer labels come more often.

    As with `PhotoCrops`, a sample is drawn from a generator seeded with (seed, pass, index).

    Args:
        faces: With landmarks and labels; those without a face are left out.
        spec: The template's augmentation.
        target: The network's input.
        seed: Of the whole training.
        passes: Over all faces, in the whole training.
    """

    def __init__(
        self,
        faces: Sequence[LabelledFace],
        *,
        spec: AugmentationSpec,
        target: InputSpec,
        seed: int,
        passes: int,
    ) -> None:
        self.faces = [face for face in faces if face.found]
        if not self.faces:
            raise DataError(f"none of the {len(faces)} photos has a face with landmarks")
        self.spec = spec
        self.target = target
        self.seed = seed
        self.passes = passes
        self._pixels: list[Pixels] = []
        self._order = _balanced([face.label for face in self.faces])

    def __len__(self) -> int:
        return len(self._order)

    @property
    def used(self) -> int:
        """How many photos are learnt from."""
        return len(self.faces)

    def preload(self, *, budget: float) -> tuple[int, int]:
        """Cut the faces out of their photos, with a margin: they are small.

        Photos that cannot be decoded are left out, with a warning that counts and names them.

        Raises:
            DataError: None can be decoded, or they do not fit into `budget` bytes.
        """
        side = _wide(self.target)
        needed = len(self.faces) * side.height * side.width * 3
        if needed > budget:
            raise DataError(
                f"{len(self.faces)} faces need {needed / 2**30:.1f} GiB of memory, of which "
                f"{budget / 2**30:.1f} GiB are free for them"
            )
        with ThreadPoolExecutor(DECODE_THREADS) as pool:
            cut = list(zip(self.faces, pool.map(self._cut_or_error, self.faces), strict=True))
        kept = [(face, pixels) for face, pixels in cut if not isinstance(pixels, ImageError)]
        left_out(
            [str(pixels) for _, pixels in cut if isinstance(pixels, ImageError)], kept=len(kept)
        )
        self.faces = [face for face, _ in kept]
        self._pixels = [pixels for _, pixels in kept]
        self._order = _balanced([face.label for face in self.faces])
        return len(kept), needed

    def _cut_or_error(self, face: LabelledFace) -> Pixels | ImageError:
        try:
            image = read_image(face.path)
        except ImageError as error:
            return error
        wide = _wide(self.target)
        assert wide.points is not None
        return cut_face(image, similarity(face.landmarks, wide.points), wide)

    def __getitem__(self, keys: Sequence[Key]) -> list[tuple[Tensor, int, int]]:
        """The samples of one batch: uint8 (3, H, W) BGR, label, image id."""
        return [self.sample(key) for key in keys]

    def sample(self, key: Key) -> tuple[Tensor, int, int]:
        """One sample."""
        run, place = key
        rng = np.random.default_rng((self.seed, run, place))
        index = self._order[place]
        face = self.faces[index]
        progress = min(1.0, run % EXTRA / max(1, self.passes * _FULL_HARDNESS))
        hardness = 0.3 + 0.7 * progress
        picture = _jittered(self._pixels[index], self.target, rng, hardness)
        if rng.random() < self.spec.flip:
            picture = picture[:, ::-1]
        if self.spec.photometric:
            picture = spoil(picture, rng, hardness)
        tensor = torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))
        return tensor, face.label, face.image_id


def collate_faces(items: Sequence[tuple[Tensor, int, int]]) -> tuple[Tensor, Labels]:
    """Samples to uint8 images (B, 3, H, W) and their `Labels`."""
    images, labels, ids = zip(*items, strict=True)
    return torch.stack(images), Labels(torch.tensor(labels), torch.tensor(ids))


def _balanced(labels: Sequence[int]) -> list[int]:
    """Indices of all, rarer labels several times: up to half as often as the commonest."""
    counts = np.bincount(labels)
    times = [max(1, round(counts.max() / count / 2)) if count else 0 for count in counts]
    return [index for index, label in enumerate(labels) for _ in range(times[label])]


def _wide(target: InputSpec) -> InputSpec:
    """The input with `_MARGIN` around it."""
    x, y = round(_MARGIN * target.width), round(_MARGIN * target.height)
    assert target.points is not None
    points = tuple((px + x, py + y) for px, py in target.points)
    shape = (1, 3, target.height + 2 * y, target.width + 2 * x)
    return target.model_copy(update={"shape": shape, "points": points})


def _jittered(wide: Pixels, target: InputSpec, rng: np.random.Generator, hardness: float) -> Pixels:
    """Turned, zoomed and shifted as much as a detector's landmarks are off, and more."""
    angle = math.radians(rng.normal(0, 6 * hardness))
    zoom = math.exp(rng.normal(0, 0.09 * hardness))
    size = np.array([target.width, target.height], np.float64)
    shift = rng.normal(0, 0.05 * hardness, 2) * size
    cos, sin = zoom * math.cos(angle), zoom * math.sin(angle)
    turn = np.array([[cos, -sin], [sin, cos]])
    centre = np.array([wide.shape[1], wide.shape[0]]) / 2
    transform = np.hstack([turn, (size / 2 + shift - turn @ centre)[:, None]])
    return cut_face(wide, transform, target)


def spoil(picture: Pixels, rng: np.random.Generator, hardness: float) -> Pixels:
    """Make a picture worse in a random choice of ways: light, colour, blur, noise, JPEG, a patch.

    Args:
        picture: uint8 (H, W, 3), BGR.
        rng: All chance of it.
        hardness: 0 to 1: how often, and how much.
    """
    x = picture.astype(np.float32)
    for chance, step in _STEPS:
        if rng.random() < chance * hardness:
            x = step(x, rng, hardness).clip(0, 255)
    return x.round().astype(np.uint8)


Floats = NDArray[np.float32]


def _grey(x: Floats, rng: np.random.Generator, hardness: float) -> Floats:  # noqa: ARG001
    return np.repeat(x @ np.array([0.114, 0.587, 0.299], np.float32)[:, None], 3, axis=2)


def _light(x: Floats, rng: np.random.Generator, hardness: float) -> Floats:
    gain, shift = rng.uniform(-0.4, 0.4) * hardness, rng.uniform(-40, 40) * hardness
    return x * np.float32(1 + gain) + np.float32(shift)


def _contrast(x: Floats, rng: np.random.Generator, hardness: float) -> Floats:
    mean = x.mean()
    factor = np.float32(1 + rng.uniform(-0.5, 0.5) * hardness)
    return np.asarray((x - mean) * factor + mean, np.float32)


def _colour(x: Floats, rng: np.random.Generator, hardness: float) -> Floats:
    return x * (1 + rng.uniform(-0.2, 0.2, 3) * hardness).astype(np.float32)


def _gamma(x: Floats, rng: np.random.Generator, hardness: float) -> Floats:
    exponent = math.exp(rng.uniform(-0.6, 0.6) * hardness)
    return np.asarray(255 * (x / 255) ** np.float32(exponent), np.float32)


def _blur(x: Floats, rng: np.random.Generator, hardness: float) -> Floats:
    return np.asarray(cv2.GaussianBlur(x, (0, 0), 0.1 + rng.uniform(0.4, 1.6) * hardness))


def _small(x: Floats, rng: np.random.Generator, hardness: float) -> Floats:
    height, width = x.shape[:2]
    share = 1 - rng.uniform(0.1, 0.6) * hardness
    size = (max(1, round(width * share)), max(1, round(height * share)))
    small = cv2.resize(x, size, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR))


def _noise(x: Floats, rng: np.random.Generator, hardness: float) -> Floats:
    noise = rng.standard_normal(x.shape, np.float32)
    return x + noise * np.float32(rng.uniform(2, 12) * hardness)


def _jpeg(x: Floats, rng: np.random.Generator, hardness: float) -> Floats:
    quality = round(95 - rng.uniform(5, 65) * hardness)
    _, buffer = cv2.imencode(
        ".jpg", x.round().astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, quality]
    )
    decoded = cv2.imdecode(buffer, cv2.IMREAD_COLOR)
    return np.asarray(decoded, np.float32)


def _patch(x: Floats, rng: np.random.Generator, hardness: float) -> Floats:
    """A hand, hair, or Random Erasing (Zhong et al. 2020): a rectangle of one colour."""
    height, width = x.shape[:2]
    tall, broad = rng.uniform(0.1, 0.1 + 0.25 * hardness, 2)
    top, left = rng.uniform(-0.1, 1, 2)
    covered = x.copy()
    rows = slice(max(0, round(top * height)), max(0, round((top + tall) * height)))
    columns = slice(max(0, round(left * width)), max(0, round((left + broad) * width)))
    covered[rows, columns] = rng.uniform(0, 255, 3)
    return covered


_STEPS: tuple[tuple[float, Callable[[Floats, np.random.Generator, float], Floats]], ...] = (
    (0.15, _grey),
    (0.8, _light),
    (0.5, _contrast),
    (0.3, _colour),
    (0.3, _gamma),
    (0.2, _blur),
    (0.2, _small),
    (0.2, _noise),
    (0.2, _jpeg),
    (0.25, _patch),
)
"""Chance at full hardness, and what is done."""
