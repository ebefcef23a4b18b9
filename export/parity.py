"""Does a written file answer as the network that it was made from?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import PocketfaceError
from ..model_templates.contract import Contract
from ..runtimes import load
from .report import Parity

if TYPE_CHECKING:
    from ..models.network import Detector


class Limits(NamedTuple):
    """Largest differences allowed.

    Attributes:
        pixels: Of box corners and landmarks, network-input pixels.
        of_side: The same, as a share of the box's longer side; the larger of both counts.
        score: Of scores.
    """

    pixels: float
    of_side: float
    score: float


LIMITS = {
    "fp32": Limits(pixels=0.5, of_side=0.0, score=1e-4),
    # FP16 rounds weights to 11 bits, so the error of a box grows with the box.
    "fp16": Limits(pixels=1.0, of_side=0.01, score=5e-3),
}


def verify(
    network: Detector,
    contract: Contract,
    path: Path,
    *,
    precision: Literal["fp32", "fp16"],
) -> Parity:
    """Run a written file beside the network, on noise and on a soft picture, as one batch.

    Args:
        network: In eval mode, on the CPU.
        contract: Of the file.
        path: The file; it is opened as a user opens it.
        precision: Of its weights.

    Raises:
        PocketfaceError: Raw outputs differ by more than `LIMITS`.
    """
    import torch

    batch = probe_images(contract.input.height, contract.input.width)
    with torch.inference_mode():
        outputs = [output.numpy() for output in network(torch.from_numpy(batch))]
    expected = dict(zip((output.name for output in contract.outputs), outputs, strict=True))
    model = load(path)
    found = model.raw(batch)
    limits = LIMITS[precision]
    sides = (expected["boxes"][..., 2:] - expected["boxes"][..., :2]).max(axis=-1)
    allowed = np.maximum(limits.pixels, limits.of_side * sides)
    apart = {
        name: np.abs(found[name].astype(np.float64) - array) for name, array in expected.items()
    }
    score = apart.pop("scores").max()
    # Corners and landmarks of a box in one row.
    pixels = np.concatenate([a.reshape(*sides.shape, -1) for a in apart.values()], axis=-1)
    pixels = pixels.max(axis=-1)
    parity = Parity(path, model.session.runtime, float(pixels.max()), float(score))
    # Said so that NaN fails too.
    if not ((pixels <= allowed).all() and score <= limits.score):
        raise PocketfaceError(
            f"{path.name}: {parity.runtime} and PyTorch differ by {parity.box_px:.3g} px and "
            f"{parity.score:.3g} in score; at {precision} at most {limits.pixels:g} px "
            f"(or {limits.of_side:.0%} of a box) and {limits.score:g} are allowed"
        )
    return parity


def probe_images(height: int, width: int) -> NDArray[np.float32]:
    """float32 (2, 3, height, width), 0-255: noise, and soft shapes as photos have them."""
    generator = np.random.default_rng(0)
    noise = generator.uniform(0, 255, (height, width, 3))
    soft = generator.uniform(0, 255, (7, 7, 3))
    soft = cv2.resize(soft, (width, height), interpolation=cv2.INTER_CUBIC).clip(0, 255)
    return np.stack([noise, soft]).transpose(0, 3, 1, 2).astype(np.float32)
