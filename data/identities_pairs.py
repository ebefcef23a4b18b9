"""Read LFW's `pairs.txt`: which pairs of photos an official protocol compares, by fold."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from ..errors import DataError
from .record_set import RecordSet
from .table import read_text

Pair = tuple[int, int, int]
"""Places of two photos, and the fold from 1."""


def read_pairs(
    file: Path, photos: Sequence[tuple[str, str | None]], *, records: RecordSet
) -> list[Pair]:
    """Read the pairs of a protocol in LFW's form (Huang et al. 2007), View 1 or 2.

    The first line has the number of folds, which View 1 leaves out, and that of pairs of each kind
    in a fold. A pair of one person is a name and two numbers; of two people, a name and a number of
    each. Number 7 of `Ann_Lee` is the photo `Ann_Lee_0007`, whatever its suffix.

    Args:
        file: The pairs.
        photos: Name, with `/`, and person of each photo.
        records: Account of what is left out, which this adds to: pairs of photos that are not
            there.

    Raises:
        DataError: The file cannot be read, has another form, or names photos of which more than
            half are not there.
    """
    lines = [
        (number, line.split())
        for number, line in enumerate(read_text(file).splitlines(), start=1)
        if line.strip()
    ]
    heading = [int(one) for one in lines[0][1] if one.isdecimal()] if lines else []
    if len(heading) not in (1, 2) or len(heading) != len(lines[0][1]) or 0 in heading:
        raise DataError(f"{file}:1: expected the numbers of folds and of pairs, as in 10 300")
    folds, each = (1, *heading)[-2:]
    if len(lines) - 1 != 2 * folds * each:
        raise DataError(
            f"{file}: {len(lines) - 1} pairs: expected {2 * folds * each}, 2 x {each} in each of "
            f"{folds} folds"
        )
    places = {
        (person, PurePosixPath(image).stem): place
        for place, (image, person) in enumerate(photos)
        if person is not None
    }
    tally, pairs = records.tally(file, "pairs", "line {}"), list[Pair]()
    for place, (number, words) in enumerate(lines[1:]):
        fold, within = divmod(place, 2 * each)
        is_same = within < each
        if len(words) != (3 if is_same else 4):
            expected = "a name and two numbers" if is_same else "a name and a number, twice"
            raise DataError(f"{file}:{number}: {' '.join(words)[:80]!r}: expected {expected}")
        named = [(words[0], words[1]), (words[0] if is_same else words[2], words[-1])]
        found = []
        for name, index in named:
            if not index.isdecimal():
                raise DataError(f"{file}:{number}: {index[:80]!r}: expected a photo's number")
            person = unicodedata.normalize("NFC", name)
            found.append(places.get((person, f"{person}_{int(index):04d}")))
        if found[0] is None or found[1] is None:
            tally.lose("pair of a photo that is not there", number)
        else:
            pairs.append((found[0], found[1], fold + 1))
    tally.kept = len(pairs)
    tally.check()
    return pairs
