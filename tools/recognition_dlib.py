"""LFW by dlib's recogniser (King 2017), beside ours: its own faces, points, crops and weights.

    pip install dlib-bin face_recognition_models            # in an environment of their own
    python tools/recognition_dlib.py lfw.identities.json ../shared/data/lfw/lfw MODELS

MODELS is the folder of `dlib_face_recognition_resnet_model_v1.dat` and
`shape_predictor_5_face_landmarks.dat`. Where its detector finds no face, the middle of the photo
is taken, as LFW's photos here are aligned. Distances d become cosines, 1 - d² / 2; the protocol is
that of tools/recognition_figures.py.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pocketface.data.identities import read_identities
from pocketface.data.images import read_image
from pocketface.tools.recognition_figures import lfw_by_scores

MIDDLE = 0.28, 0.28, 0.72, 0.72
"""Of a photo: left, top, right and bottom of the face, where none is found."""


def main() -> None:
    """Measure, and print the rows."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("list", type=Path)
    parser.add_argument("root", type=Path)
    parser.add_argument("models", type=Path)
    asked = parser.parse_args()
    import dlib  # type: ignore[import-not-found]

    detector = dlib.get_frontal_face_detector()
    points = dlib.shape_predictor(str(asked.models / "shape_predictor_5_face_landmarks.dat"))
    network = dlib.face_recognition_model_v1(
        str(asked.models / "dlib_face_recognition_resnet_model_v1.dat")
    )
    content = read_identities([asked.list], [asked.root])
    lost, seconds, vectors = 0, 0.0, []
    for photo in content.photos:
        image = cv2.cvtColor(read_image(photo.path), cv2.COLOR_BGR2RGB)
        height, width = image.shape[:2]
        found = detector(image, 1)
        lost += not found
        left, top, right, bottom = (
            round(share * side) for share, side in zip(MIDDLE, (width, height) * 2, strict=True)
        )
        middle = dlib.rectangle(left, top, right, bottom)
        box = min(found, key=lambda one: abs(one.center().x - width / 2), default=middle)
        chip = dlib.get_face_chip(image, points(image, box))
        begun = time.process_time()
        vectors.append(np.array(network.compute_face_descriptor(chip)))
        seconds += time.process_time() - begun
    embeddings: NDArray[np.float64] = np.stack(vectors)
    one, other = content.pairs[:, :2].T
    distances = np.linalg.norm(embeddings[one] - embeddings[other], axis=1)
    print(f"{len(vectors)} photos, {lost} of them without a face that its detector found\n")
    lfw_by_scores(1 - np.square(distances) / 2, content.photos, content.pairs)
    print(f"{1000 * seconds / len(vectors):.1f} ms of processor time for a face's vector")


if __name__ == "__main__":
    main()
