"""How `export` and `verify` print a parity certificate."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..export.certificate import Certificate

FIGURES = ("runtime", "corners, px", "scores", "faces agreed")
"""Columns of a table."""


def figures(certificate: Certificate | None) -> tuple[str, ...]:
    """Cells of `FIGURES`."""
    if certificate is None:
        return ("",) * len(FIGURES)
    faces = certificate.faces
    return (
        certificate.runtime,
        "" if certificate.tolerance.corners_px is None else _number(certificate.corners_px),
        _number(certificate.score),
        f"{faces.matched} of {faces.faces}",
    )


def _number(value: float | None) -> str:
    return "not finite" if value is None else f"{value:.1e}"
