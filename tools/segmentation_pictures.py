"""Draw docs/segmentation.jpg: masks on two photos in the public domain, as they are and made hard.

python tools/segmentation_pictures.py [--segmenter FILE|NAME] [--output docs/segmentation.jpg]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
import skimage
from numpy.typing import NDArray

from pocketface.data.images import read_image
from pocketface.data.pictures import public_domain_photos
from pocketface.drawing import draw_masks
from pocketface.evaluation.contact_sheet import contact_sheet
from pocketface.model_templates.catalogue import DETECTOR, SEGMENTER
from pocketface.tasks.detection.model import FaceDetector
from pocketface.tasks.disguise import wear_mask
from pocketface.tasks.load import load_as
from pocketface.tasks.segmentation.model import FaceSegmenter

Pixels = NDArray[np.uint8]

SIDE, QUALITY = 260, 88
CUP = (slice(60, 330), slice(170, 440))
"""Where the cup is in scikit-image's photo of coffee."""


def main() -> None:
    """Segment, and draw."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--segmenter", default=SEGMENTER)
    parser.add_argument("--output", type=Path, default=Path("docs/segmentation.jpg"))
    asked = parser.parse_args()
    detector = load_as(FaceDetector, DETECTOR)
    segmenter = load_as(FaceSegmenter, asked.segmenter)
    drawn = []
    pictures = hard_pictures()
    for picture in pictures.values():
        faces = detector.predict(picture).above(0.5)
        assert faces.landmarks is not None
        masks = segmenter.predict(picture, faces.landmarks)
        drawn.append(draw_masks(picture, masks))
    sheet = contact_sheet(drawn, [*pictures], columns=4, side=SIDE)
    cv2.imwrite(str(asked.output), sheet, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    print(f"written: {asked.output}")


def hard_pictures() -> dict[str, Pixels]:
    """Eight pictures by their captions, uint8 (H, W, 3) BGR."""
    (hopper, hopper_face), (astronaut, face) = (
        (read_image(path), landmarks) for path, landmarks in public_domain_photos()
    )
    officer, woman = around(hopper, hopper_face), around(astronaut, face)
    masked = astronaut.copy()
    points = [(float(x), float(y)) for x, y in face]
    wear_mask(masked, points, np.random.default_rng(4))
    drinking = astronaut.copy()
    coffee = read_image(Path(skimage.__path__[0]) / "data" / "coffee.png")[CUP]
    cup = cv2.resize(coffee, (70, 70), interpolation=cv2.INTER_AREA)
    circle = np.zeros((70, 70, 1), np.uint8)
    cv2.circle(circle, (35, 35), 34, 1, -1)
    place = np.s_[125:195, 195:265]
    drinking[place] = np.where(circle > 0, cup, drinking[place])
    height = min(len(officer), len(woman))
    both = np.hstack([cv2.resize(one, (height, height)) for one in (officer, woman)])
    small = cv2.resize(woman, None, fx=0.16, fy=0.16, interpolation=cv2.INTER_AREA)
    noise = np.random.default_rng(0).normal(0, 4, woman.shape)
    return {
        "glasses and cap": officer,
        "turned by 120 degrees": turned(woman, 120),
        "a medical mask": around(masked, face),
        "a cup before the mouth": around(drinking, face),
        "a fifth of the light": (woman * 0.2 + noise).clip(0, 255).astype(np.uint8),
        "a face of 14 pixels": np.asarray(cv2.resize(small, None, fx=6, fy=6), np.uint8),
        "cut tightly": around(astronaut, face, times=2.4),
        "side by side": np.asarray(both, np.uint8),
    }


def around(image: Pixels, landmarks: NDArray[np.float32], *, times: float = 5.0) -> Pixels:
    """The square around a face, whose side is so many times the distance of the eyes."""
    centre = landmarks.mean(0)
    half = times * float(np.linalg.norm(landmarks[1] - landmarks[0])) / 2
    left, top = (centre - half).clip(0).astype(int)
    right, bottom = (centre + half).astype(int)
    return np.ascontiguousarray(image[top:bottom, left:right])


def turned(image: Pixels, degrees: float) -> Pixels:
    """A picture turned around its middle."""
    height, width = image.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 0.8)
    return np.asarray(cv2.warpAffine(image, turn, (width, height)), np.uint8)


if __name__ == "__main__":
    main()
