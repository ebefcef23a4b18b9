"""The losses of masks."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from ...model_templates.heads import MaskLossSpec


def mask_losses(logits: Tensor, classes: Tensor, spec: MaskLossSpec) -> dict[str, Tensor]:
    """The losses that a template asks for, by name, each with its factor.

    Args:
        logits: (B, K, H, W) of K classes, or (B, 1, H, W).
        classes: uint8 (B, H, W): 0 or 1 for one class, or the index of each of K.
        spec: The factors.
    """
    logits = logits.float()  # sums over many pixels, which bfloat16 rounds
    several = logits.shape[1] > 1
    planes = _planes(classes, logits.shape[1])
    pixels = (
        functional.cross_entropy(logits, classes.long(), reduction="none")
        if several
        else functional.binary_cross_entropy_with_logits(logits, planes, reduction="none")[:, 0]
    )
    losses = {}
    if spec.cross_entropy:
        losses["cross_entropy"] = spec.cross_entropy * pixels.mean()
    if spec.dice:
        shares = logits.softmax(1) if several else logits.sigmoid()
        losses["dice"] = spec.dice * (1 - soft_dice(shares, planes).mean())
    if spec.boundary:
        near = _near_border(classes, spec.boundary_width)
        losses["boundary"] = spec.boundary * (pixels * near).sum() / near.sum().clamp(min=1)
    return losses


def soft_dice(shares: Tensor, planes: Tensor) -> Tensor:
    """Dice of probabilities over a batch for each class, (K,): Milletari et al. 2016.

    Args:
        shares: Probabilities (B, K, H, W).
        planes: The truth, 0 or 1, (B, K, H, W).
    """
    common = (shares * planes).sum((0, 2, 3))
    sizes = shares.sum((0, 2, 3)) + planes.sum((0, 2, 3))
    # A class that is nowhere in the batch has no Dice: with the ones it counts as found.
    return (2 * common + 1) / (sizes + 1)


def _planes(classes: Tensor, count: int) -> Tensor:
    """A plane of 0 and 1 for each class, float32 (B, K, H, W)."""
    if count == 1:
        return classes[:, None].float()
    return functional.one_hot(classes.long(), count).permute(0, 3, 1, 2).float()


def _near_border(classes: Tensor, width: int) -> Tensor:
    """1 for pixels with more than one class nearer than `width`, float32 (B, H, W)."""
    indices = classes[:, None].float()
    highest, lowest = _highest_near(indices, width), -_highest_near(-indices, width)
    return (highest > lowest).float()[:, 0]


def _highest_near(plane: Tensor, width: int) -> Tensor:
    """Of each pixel the highest value in the square up to `width` around it."""
    size = 2 * width + 1
    rows = functional.max_pool2d(plane, (size, 1), stride=1, padding=(width, 0))
    return functional.max_pool2d(rows, (1, size), stride=1, padding=(0, width))
