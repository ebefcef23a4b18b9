"""What a recogniser's cosines mean, measured on pairs of faces."""

from __future__ import annotations

import math

from ...errors import DataError
from ...evaluation.verification import Counts, threshold_at
from ...evaluation.verification_calibration import calibrate
from .rules import Calibration, OperatingPoint, RecognitionRules

RATES = (0.3, 0.1, 0.03, 0.01, 3e-3, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5, 3e-6, 1e-6)
"""False match rates whose thresholds are measured, as far as there are pairs enough."""

FALSE_MATCHES = 30
"""Fewest pairs of two people above a threshold that is believed: the true rate is then within
30 % of the measured one, with 90 % confidence, if pairs are independent ("rule of 30", Doddington
et al., "The NIST speaker recognition evaluation", 2000)."""

_DIGITS = 4


def rules_of(genuine: Counts, impostor: Counts, *, measured_on: str) -> RecognitionRules:
    """What scores of pairs say of cosines; without thresholds if there are too few pairs of two.

    Args:
        genuine: Scores of pairs of one person.
        impostor: Scores of pairs of two.
        measured_on: The photos, in words.

    Raises:
        DataError: There are no pairs of a kind, or the model does not tell them apart.
    """
    curve = calibrate(genuine, impostor)
    points = []
    for rate in RATES:
        cosine = threshold_at(impostor, rate)
        # A threshold above 1 is none: too many pairs of two people are the same to the model.
        if cosine is not None and cosine <= 1 and rate * impostor.sum() >= FALSE_MATCHES:
            upwards = math.ceil(cosine * 10**_DIGITS) / 10**_DIGITS
            points.append(OperatingPoint(fmr=rate, cosine=upwards))
    slope, offset = round(curve.slope, _DIGITS), round(curve.offset, _DIGITS)
    if not slope:
        raise DataError("pairs of one person hardly score higher than pairs of two")
    return RecognitionRules(
        thresholds=tuple(points),
        calibration=Calibration(slope=slope, offset=offset),
        measured_on=measured_on,
    )
