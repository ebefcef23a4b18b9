"""The five landmarks among the keypoints of a COCO category, by the names that it gives them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ..results import LANDMARK_NAMES

_WORDS = re.compile("left|right|eyeball|eye|pupil|nose|mouth|lips?|corner|tip|cent(?:er|re)")
_OF_EYE = {"eye", "eyeball", "pupil", "center", "centre"}
_OF_NOSE = {"nose", "tip", "center", "centre"}
_OF_MOUTH = {"mouth", "lip", "lips", "corner"}


@dataclass(frozen=True)
class Order:
    """Where the five landmarks are in a category's `keypoints`.

    Attributes:
        count: Number of keypoints of the category.
        places: For each landmark its place among them; None if none of them is it.
        strange: Names of keypoints that were not understood.
    """

    count: int
    places: tuple[int | None, ...]
    strange: tuple[str, ...]

    @property
    def is_understood(self) -> bool:
        """Whether any landmark is known."""
        return any(place is not None for place in self.places)


def order_of(names: Sequence[object]) -> Order:
    """Find the landmarks among the names of keypoints.

    Two keypoints with names for the same landmark, as of an eye's pupil and its centre, are both
    left out.
    """
    places: list[int | None] = [None] * len(LANDMARK_NAMES)
    meant = [_meaning(name) if isinstance(name, str) else None for name in names]
    for place, landmark in enumerate(meant):
        if landmark is not None and meant.count(landmark) == 1:
            places[LANDMARK_NAMES.index(landmark)] = place
    strange = tuple(str(name) for place, name in enumerate(names) if place not in places)
    return Order(len(names), tuple(places), strange)


def _meaning(name: str) -> str | None:
    """The landmark of which this is a common name, such as "mouth_left" or "Left eye center"."""
    spread = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    parts = [part for part in re.split(r"[^a-z]+", spread.lower()) if part]
    words: set[str] = set()
    for part in parts:
        rest = part
        if part in ("l", "r") or (part[0] in "lr" and part[1:] in ("eye", "mouth")):
            words.add("left" if part[0] == "l" else "right")
            rest = part[1:]
        found = _WORDS.findall(rest)
        if "".join(found) != rest:
            return None
        words.update(found)
    sides = words & {"left", "right"}
    what = words - sides
    if not sides and "nose" in what and what <= _OF_NOSE:
        return "nose"
    if len(sides) != 1:
        return None
    (side,) = sides
    if what & {"eye", "eyeball", "pupil"} and what <= _OF_EYE:
        return f"{side}_eye"
    if what & {"mouth", "lip", "lips"} and what <= _OF_MOUTH:
        return f"{side}_mouth"
    return None
