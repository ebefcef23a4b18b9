"""Contracts of segmenters that exist in tests alone."""

from __future__ import annotations

from pocketface.model_templates.contract import Contract

_POINTS = ((0.381, 0.475), (0.622, 0.475), (0.501, 0.617), (0.398, 0.723), (0.604, 0.723))


def points_of(side: int) -> tuple[tuple[float, float], ...]:
    """The landmarks of an aligned head, in pixels of a square input."""
    return tuple((x * side, y * side) for x, y in _POINTS)


def segmenter_contract(
    *classes: str, side: int, batch: int = -1, precision: str = "fp32"
) -> Contract:
    """The contract of a segmenter with a square input.

    Args:
        classes: Names of the planes of its mask.
        side: Of the input, in pixels.
        batch: Heads in a batch; -1 if it is free.
        precision: Of the file.
    """
    shape = (batch, len(classes), side, side)
    return Contract.model_validate(
        {
            "name": "segmenter",
            "task": "face-segmentation",
            "input": {
                "shape": (batch, 3, side, side),
                "resize": "align",
                "points": points_of(side),
            },
            "outputs": (
                {"name": "mask", "shape": shape, "meaning": "of each class", "unit": "0 to 1"},
            ),
            "rules": {"classes": [*classes], "threshold": 0.5},
            "precision": precision,
            "provenance": {"template": "segmenter", "package_version": "0"},
        }
    )
