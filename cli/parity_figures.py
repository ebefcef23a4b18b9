"""How `export` and `verify` print parity certificates."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..exporting.certificate import Certificate

_RUNTIME, _AGREED = "runtime", "agreed"


def columns(certificates: Iterable[Certificate | None]) -> list[str]:
    """Columns of a table: runtime, each difference that a certificate holds, and agreement."""
    names = {name: None for one in certificates if one is not None for name in one.differences}
    return [_RUNTIME, *names, _AGREED]


def figures(certificate: Certificate | None, columns: Sequence[str]) -> list[str]:
    """A certificate's cells for these columns."""
    if certificate is None:
        return [""] * len(columns)
    both = certificate.agreement
    cells = {
        _RUNTIME: certificate.runtime,
        _AGREED: f"{both.agreed} of {both.asked}",
        **{name: _number(value) for name, value in certificate.differences.items()},
    }
    return [cells.get(name, "") for name in columns]


def _number(value: float | None) -> str:
    return "not finite" if value is None else f"{value:.1e}"
