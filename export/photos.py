"""Photos to check model files on."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ..data.images import IMAGE_SUFFIXES, list_images, read_image
from ..errors import DataError, ImageError, UserError
from ..model_templates.contract import Contract, InputSpec
from ..runtimes.align import cut_face, similarity

_log = logging.getLogger(__name__)

_PUBLIC_DOMAIN = {
    ("matplotlib", "mpl-data/sample_data/grace_hopper.jpg"): (
        ((225, 195), (303, 190), (268, 238), (233, 272), (305, 268))
    ),
    ("skimage", "data/astronaut.png"): (
        ((203, 105), (245, 104), (223, 130), (206, 147), (241, 146))
    ),
}
"""Photos in the public domain, in packages that training needs or the demo brings; and by eye the
landmarks of the face in each."""

MOST_PHOTOS = 50
"""Of a folder: they are all in memory at once."""

CROWDS = 4
"""For files with NMS inside."""

VIEWS = 20
"""Of the photos at hand, together, where the user names none."""


@dataclass(frozen=True, eq=False)
class Photo:
    """A picture to run a model on.

    Attributes:
        name: The file's, or that of a view of one.
        sha256: Of the pixels, with their shape.
        pixels: uint8 (H, W, 3), BGR.
        is_noise: Of `noise_photos`.
        is_crowd: Of `crowd_photos`.
    """

    name: str
    sha256: str
    pixels: NDArray[np.uint8]
    is_noise: bool = False
    is_crowd: bool = False


def photos_for(contract: Contract, folder: Path | None = None) -> list[Photo]:
    """What a model file is to be run on: photos, noise, and of a detector crowds.

    Args:
        contract: The file's. A classifier without a folder gets faces, aligned more or less well.
        folder: See `check_photos`; a classifier takes each photo for a face.
    """
    spec = contract.input
    if spec.points is not None and folder is None:
        photos = list(_faces(spec))
    else:
        photos = check_photos(folder)
    crowds = crowd_photos() if contract.task == "face-detection" else []
    return photos + noise_photos(spec.height, spec.width) + crowds


def check_photos(folder: Path | None = None) -> list[Photo]:
    """Photos of a folder, or else `VIEWS` views of photos in the public domain.

    The views are cuts, mirrored, darker and brighter ones of scikit-image's astronaut and
    matplotlib's Grace Hopper, as far as those packages are installed; always the same ones.

    Args:
        folder: With photos, in any depth: at most `MOST_PHOTOS`, evenly picked, are taken. One
            that cannot be read is named in a warning, and left out.

    Raises:
        UserError: There is no such folder.
        DataError: It holds no photo, or none that can be read.
    """
    if folder is None:
        return list(_views())
    if not folder.is_dir():
        raise UserError(f"--photos {folder}: no such folder")
    files = list_images(folder)
    if not files:
        raise DataError(f"--photos {folder}: holds no photo ({', '.join(sorted(IMAGE_SUFFIXES))})")
    if len(files) > MOST_PHOTOS:
        _log.info(
            "--photos %s: %d of its %d photos, evenly picked", folder, MOST_PHOTOS, len(files)
        )
        files = [files[i] for i in np.linspace(0, len(files) - 1, MOST_PHOTOS).round().astype(int)]
    photos = []
    for file in files:
        try:
            photos.append(_photo(file.relative_to(folder).as_posix(), read_image(file)))
        except ImageError as error:
            _log.warning("left out: %s", error)
    if not photos:
        raise DataError(f"--photos {folder}: none of its {len(files)} photos can be read")
    return photos


def noise_photos(height: int, width: int) -> list[Photo]:
    """Noise, and soft shapes, of a network's input size: what no photo shows."""
    generator = np.random.default_rng(0)
    noise = generator.integers(0, 256, (height, width, 3), dtype=np.uint8)
    soft = generator.integers(0, 256, (7, 7, 3), dtype=np.uint8)
    soft = cv2.resize(soft, (width, height), interpolation=cv2.INTER_CUBIC)  # type: ignore[assignment]
    return [_photo("noise", noise, is_noise=True), _photo("soft shapes", soft, is_noise=True)]


def crowd_photos() -> list[Photo]:
    """Many small faces beside and upon each other, dark and blurred ones too.

    In photos of one plain face no score is near the threshold and no two boxes overlap as much as
    NMS just allows: a graph with another threshold or NMS inside would answer the same. The faces
    are those of the public-domain photos: none where these are not installed.
    """
    found = [(read_image(path), landmarks) for path, landmarks in public_domain_photos()]
    generator = np.random.default_rng(0)
    return [
        _photo(f"crowd {index}", _crowd(found, generator), is_crowd=True)
        for index in range(CROWDS if found else 0)
    ]


def public_domain_photos() -> list[tuple[Path, NDArray[np.float32]]]:
    """The photos of that kind that are here, each with the landmarks (5, 2) of its face."""
    found = []
    for (package, inside), landmarks in _PUBLIC_DOMAIN.items():
        spec = find_spec(package)
        if spec is not None and spec.origin is not None:
            path = Path(spec.origin).parent / inside
            if path.is_file():
                found.append((path, np.array(landmarks, np.float32)))
    return found


def _faces(spec: InputSpec) -> Iterator[Photo]:
    assert spec.points is not None
    found = [(path.name, read_image(path), points) for path, points in public_domain_photos()]
    generator = np.random.default_rng(0)
    for index in range(VIEWS if found else 0):
        name, image, landmarks = found[index % len(found)]
        jitter = generator.normal(0, 0.02 * spec.width, (5, 2)) * (index >= len(found))
        transform = similarity(landmarks, np.array(spec.points) + jitter)
        face = cut_face(image, transform, spec)
        gain = generator.uniform(0.7, 1.3) if index >= len(found) else 1.0
        pixels = (face * gain).round().clip(0, 255).astype(np.uint8)
        yield _photo(f"{name}, face {index // len(found)}", pixels)


def _views() -> Iterator[Photo]:
    found = [(path.name, read_image(path)) for path, _ in public_domain_photos()]
    generator = np.random.default_rng(0)
    for index in range(VIEWS if found else 0):
        name, image = found[index % len(found)]
        if index < len(found):
            yield _photo(name, image)
            continue
        yield _photo(f"{name}, view {index // len(found)}", _view(image, generator))


def _view(image: NDArray[np.uint8], generator: np.random.Generator) -> NDArray[np.uint8]:
    """A cut of 60 to 100 % of each side, perhaps mirrored, at another size and brightness."""
    height, width = image.shape[:2]
    h, w = (round(size * generator.uniform(0.6, 1.0)) for size in (height, width))
    # Both faces are in the upper half.
    top, left = round(generator.uniform(0, 0.3) * (height - h)), generator.integers(width - w + 1)
    cut = image[top : top + h, left : left + w]
    if generator.random() < 0.5:
        cut = cut[:, ::-1]
    scale = generator.uniform(0.5, 2.0)
    gain, shift = generator.uniform(0.6, 1.4), generator.uniform(-30, 30)
    resized = cv2.resize(np.ascontiguousarray(cut), None, fx=scale, fy=scale)
    return (resized * gain + shift).round().clip(0, 255).astype(np.uint8)


def _crowd(
    found: Sequence[tuple[NDArray[np.uint8], NDArray[np.float32]]], generator: np.random.Generator
) -> NDArray[np.uint8]:
    """Forty faces of 16 to 147 pixels, grey between them."""
    side = 640
    crowd = np.full((side, side, 3), 110, np.uint8)
    for _ in range(40):
        image, landmarks = found[int(generator.integers(len(found)))]
        reach = 2.2 * np.ptp(landmarks, axis=0).max()
        shift = reach / 2 * generator.uniform(0.8, 1.3, 2)
        left, top = (landmarks.mean(0) - shift).clip(0).astype(int)
        size = int(16 * 2 ** generator.uniform(0, 3.2))
        cut = image[top : top + int(reach), left : left + int(reach)]
        face = cv2.resize(cut, (size, size), interpolation=cv2.INTER_AREA)
        sigma = generator.uniform(0, size / 12)
        if sigma > 0.3:
            face = cv2.GaussianBlur(face, (0, 0), sigma)
        gain = generator.uniform(0.3, 1.4)
        x, y = generator.integers(side - size, size=2)
        crowd[y : y + size, x : x + size] = (face * gain).clip(0, 255)
    return crowd


def _photo(
    name: str, pixels: NDArray[np.uint8], *, is_noise: bool = False, is_crowd: bool = False
) -> Photo:
    digest = hashlib.sha256(str(pixels.shape).encode())
    digest.update(np.ascontiguousarray(pixels).tobytes())
    return Photo(name, digest.hexdigest(), pixels, is_noise, is_crowd)
