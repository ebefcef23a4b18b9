"""Pictures to run model files on: public-domain photos or the user's, and noise."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, ImageError, UserError
from ..files import name_in_utf8
from ..model_templates.contract import InputSpec
from .align import cut_face, similarity
from .images import IMAGE_SUFFIXES, list_images, read_image

_log = logging.getLogger(__name__)

_PUBLIC_DOMAIN = {
    ("matplotlib", "mpl-data/sample_data/grace_hopper.jpg"): (
        ((225, 195), (303, 190), (268, 238), (233, 272), (305, 268))
    ),
    ("skimage", "data/astronaut.png"): (
        ((203, 105), (245, 104), (223, 130), (206, 147), (241, 146))
    ),
}
"""Public-domain photos in packages that training or the demo installs, with the landmarks of the
face in each, marked by eye."""

MOST_PHOTOS = 50
"""Most photos taken from a folder, as they are all in memory at once."""

PHOTO, NOISE = "photo", "noise"

VIEWS = 20
"""Number of views of the public-domain photos together."""


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture to run a model on.

    Attributes:
        name: Name of the file, or of a view of a photo.
        sha256: SHA-256 of the pixels and their shape.
        pixels: uint8 (H, W, 3), BGR.
        kind: `PHOTO`, `NOISE`, or a task's name for its own pictures.
    """

    name: str
    sha256: str
    pixels: NDArray[np.uint8]
    kind: str = PHOTO


def pictures_for(spec: InputSpec, folder: Path | None = None) -> list[Picture]:
    """Pictures to run a model file on: photos or aligned faces, and noise.

    Args:
        spec: The file's input. For aligned faces and without `folder`, the pictures are faces
            aligned more or less well.
        folder: See `check_photos`; for aligned faces each of its photos counts as a face.
    """
    if spec.points is not None and folder is None:
        pictures = list(_faces(spec))
    else:
        pictures = check_photos(folder)
    return pictures + noise_pictures(spec.height, spec.width)


def check_photos(folder: Path | None = None) -> list[Picture]:
    """Photos of a folder, or `VIEWS` views of public-domain photos.

    The views are crops, mirrored, darker and brighter versions of scikit-image's astronaut and
    matplotlib's Grace Hopper, if those packages are installed; they are always the same.

    Args:
        folder: Folder with photos, also in subfolders; at most `MOST_PHOTOS`, evenly spread, are
            taken. Unreadable ones are left out with a warning.

    Raises:
        UserError: The folder does not exist.
        DataError: The folder has no readable photo.
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
            photos.append(picture(file.relative_to(folder).as_posix(), read_image(file)))
        except ImageError as error:
            _log.warning("left out: %s", error)
    if not photos:
        raise DataError(f"--photos {folder}: none of its {len(files)} photos can be read")
    return photos


def noise_pictures(height: int, width: int) -> list[Picture]:
    """Noise and soft shapes of a network's input size, unlike any photo."""
    generator = np.random.default_rng(0)
    noise = generator.integers(0, 256, (height, width, 3), dtype=np.uint8)
    soft = generator.integers(0, 256, (7, 7, 3), dtype=np.uint8)
    soft = cv2.resize(soft, (width, height), interpolation=cv2.INTER_CUBIC)  # type: ignore[assignment]
    return [picture("noise", noise, NOISE), picture("soft shapes", soft, NOISE)]


def public_domain_photos() -> list[tuple[Path, NDArray[np.float32]]]:
    """The public-domain photos that are installed, with the landmarks (5, 2) of each face."""
    found = []
    for (package, inside), landmarks in _PUBLIC_DOMAIN.items():
        spec = find_spec(package)
        if spec is not None and spec.origin is not None:
            path = Path(spec.origin).parent / inside
            if path.is_file():
                found.append((path, np.array(landmarks, np.float32)))
    return found


def _faces(spec: InputSpec) -> Iterator[Picture]:
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
        yield picture(f"{name}, face {index // len(found)}", pixels)


def _views() -> Iterator[Picture]:
    found = [(path.name, read_image(path)) for path, _ in public_domain_photos()]
    generator = np.random.default_rng(0)
    for index in range(VIEWS if found else 0):
        name, image = found[index % len(found)]
        if index < len(found):
            yield picture(name, image)
            continue
        yield picture(f"{name}, view {index // len(found)}", _view(image, generator))


def _view(image: NDArray[np.uint8], generator: np.random.Generator) -> NDArray[np.uint8]:
    """A crop of 60 to 100 % of each side, perhaps mirrored, at another size and brightness."""
    height, width = image.shape[:2]
    h, w = (round(size * generator.uniform(0.6, 1.0)) for size in (height, width))
    # The faces of both photos are in the upper half.
    top, left = round(generator.uniform(0, 0.3) * (height - h)), generator.integers(width - w + 1)
    cut = image[top : top + h, left : left + w]
    if generator.random() < 0.5:
        cut = cut[:, ::-1]
    scale = generator.uniform(0.5, 2.0)
    gain, shift = generator.uniform(0.6, 1.4), generator.uniform(-30, 30)
    resized = cv2.resize(np.ascontiguousarray(cut), None, fx=scale, fy=scale)
    return (resized * gain + shift).round().clip(0, 255).astype(np.uint8)


def picture(name: str, pixels: NDArray[np.uint8], kind: str = PHOTO) -> Picture:
    """Make a `Picture` with its SHA-256."""
    digest = hashlib.sha256(str(pixels.shape).encode())
    digest.update(np.ascontiguousarray(pixels).tobytes())
    # Certificates are UTF-8, and a file's name may be any bytes.
    return Picture(name_in_utf8(name), digest.hexdigest(), pixels, kind)
