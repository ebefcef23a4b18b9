"""The false match rate that may be asked for: flags name it, so this loads nothing heavy."""

from __future__ import annotations

from ..errors import UserError

MAX_FMR = 1e-3
"""Share of pairs of two people that may be called one person, unless another one is asked for."""


def check_fmr(value: float) -> None:
    """Refuse what is no false match rate.

    Raises:
        UserError: It is not above 0 and below 1.
    """
    if not 0 < value < 1:
        raise UserError(f"--max-fmr {value:g}: expected a share above 0 and below 1, as 0.001")
