"""Keep account of all records of a set: what was kept, mended and lost, and when it is too much."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import DataError
from ..files import name_in_utf8
from .photo_paths import PhotoFiles

_log = logging.getLogger(__name__)

_MAX_NAMED = 5
_MAX_LETTERS = 80


@dataclass
class Tally:
    """What became of one kind of record in one annotation file.

    Attributes:
        file: The annotation file.
        what: Name of these records, such as "labels".
        where: Text that names the record at a place, such as "annotations[{}]".
        kept: Number of records that are used, mended ones included.
        lost: Number of records left out as bad, by reason.
        noted: Number of records of which a part was left out, by reason.
        mended: Number of records that were repaired or were there already, by what was done.
        first: For each of these texts, the first record that it is about.
        background: Number of lost records whose photo is used: their faces count as background.
    """

    file: Path
    what: str
    where: str
    kept: int = 0
    lost: Counter[str] = field(default_factory=Counter)
    noted: Counter[str] = field(default_factory=Counter)
    mended: Counter[str] = field(default_factory=Counter)
    first: dict[str, str] = field(default_factory=dict)
    background: int = 0

    def lose(self, reason: str, place: object, *, in_photo: bool = False) -> None:
        """Count a record as left out; `in_photo` if it is a face in a photo that is used."""
        self.lost[reason] += 1
        self.background += in_photo
        self._name(reason, place)

    def note(self, reason: str, place: object) -> None:
        """Count a record as used without a part of it."""
        self.noted[reason] += 1
        self._name(reason, place)

    def mend(self, how: str, place: object) -> None:
        """Count a record as repaired without doubt."""
        self.mended[how] += 1
        self._name(how, place)

    def check(self) -> None:
        """Refuse the file if more than half of the records are lost.

        Raises:
            DataError: They are; the message has the main reason and its first record.
        """
        lost = self.lost.total()
        if lost > self.kept:
            raise DataError(
                f"{self.file}: {lost} of {lost + self.kept} {self.what} cannot be used: "
                f"{listed(self.lost, self.first)}"
            )

    def _name(self, text: str, place: object) -> None:
        if text not in self.first:
            # Names of files may be no UTF-8, which a log cannot take.
            self.first[text] = name_in_utf8(f"{self.where.format(place)} of {self.file.name}")


class RecordSet:
    """All records of one reading, of one annotation file or several.

    A reader makes a `Tally` for each kind of record in a file, finds each photo by `find`, whose
    key is the same for all names of one file, and joins or leaves out what has the same key. It
    calls `Tally.check` after each file, and `report` in the end.
    """

    def __init__(self) -> None:
        self._tallies: list[Tally] = []
        self._files = PhotoFiles()

    def tally(self, file: Path, what: str, where: str) -> Tally:
        """A new account of one kind of record; see `Tally`."""
        self._tallies.append(Tally(file, what, where))
        return self._tallies[-1]

    def find(self, root: Path, name: str) -> tuple[Hashable, Path] | None:
        """Find a photo; see `PhotoFiles.find`."""
        return self._files.find(root, name)

    @property
    def skipped(self) -> Counter[str]:
        """Number of records left out, in whole or in part, by reason."""
        return sum((one.lost + one.noted for one in self._tallies), Counter())

    @property
    def mended(self) -> Counter[str]:
        """Number of records repaired, by what was done."""
        return sum((one.mended for one in self._tallies), Counter())

    def report(self) -> None:
        """Log a warning about the records that were lost, and one about those mended."""
        first: dict[str, str] = {}
        for tally in self._tallies:
            first = {**tally.first, **first}
        background = sum(one.background for one in self._tallies)
        also = f"; the faces of {background} of them count as background" if background else ""
        for counts, said in ((self.skipped, f"skipped %d bad records: %s{also}"),
                             (self.mended, "mended %d records: %s")):  # fmt: skip
            if counts:
                _log.warning(said, counts.total(), listed(counts, first))


def listed(counts: Counter[str], first: dict[str, str] | None = None) -> str:
    """Counts by text as one line, the largest first, with the first record of each."""
    known = first or {}
    return "; ".join(
        f"{count} x {what}" + (f" (first: {known[what]})" if what in known else "")
        for what, count in counts.most_common()
    )


def named(names: Sequence[str]) -> str:
    """The first few of many names, each shortened."""
    some = [
        name if len(name) <= _MAX_LETTERS else f"{name[:_MAX_LETTERS]}..."
        for name in names[:_MAX_NAMED]
    ]
    return ", ".join(some) + (", ..." if len(names) > _MAX_NAMED else "")


def warn_of_empty(shares: Mapping[str, float], parts: Collection[str | None]) -> None:
    """Warn of lists that are to have a share of the people, to which a hash has put nobody.

    Args:
        shares: Share of 1 of each list.
        parts: The lists that photos belong to.
    """
    for part, share in shares.items():
        if share > 0 and part not in parts:
            _log.warning(
                "nobody falls to the list %s, which was to have %g %% of the people: a hash of the "
                "name decides, and people are few",
                part,
                round(100 * share, 1),
            )
