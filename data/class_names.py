"""Which names of an annotation file stand for which of our classes."""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from ..errors import UserError

FLAG = "--classes"


@dataclass(frozen=True)
class ClassNames:
    """Names of classes in annotation files, where they are not our own.

    Attributes:
        pairs: Our name and the file's. Several of the file's names may be one class of ours; a
            class that is in no pair has its own name in the file too.
    """

    pairs: tuple[tuple[str, str], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.pairs)

    def __str__(self) -> str:
        return ",".join(f"{ours}={theirs}" for ours, theirs in self.pairs)

    @classmethod
    def parse(cls, texts: Sequence[str]) -> ClassNames:
        """Parse texts of the form "OURS=THEIRS,OURS=THEIRS".

        A comma that no `OURS=` comes after belongs to the name.

        Raises:
            UserError: A text is not of this form, or a file's name is to be two classes.
        """
        pairs: list[tuple[str, str]] = []
        for text in texts:
            parts: list[str] = []
            for part in text.split(","):
                if "=" in part or not parts:
                    parts.append(part)
                else:
                    parts[-1] += f",{part}"
            for part in parts:
                ours, sign, theirs = (side.strip() for side in part.partition("="))
                if not (ours and sign and theirs):
                    raise UserError(f"{FLAG} {text}: expected OURS=THEIRS, as in face=Face")
                pairs.append((ours, theirs))
        by_theirs: dict[str, str] = {}
        for ours, theirs in pairs:
            if by_theirs.setdefault(theirs, ours) != ours:
                raise UserError(
                    f"{FLAG}: {theirs!r} is to be {by_theirs[theirs]!r} and {ours!r}; "
                    "expected one of them"
                )
        return cls(tuple(dict.fromkeys(pairs)))

    def theirs(self, ours: str) -> tuple[str, ...]:
        """The names in files that stand for one of our classes."""
        return tuple(theirs for name, theirs in self.pairs if name == ours) or (ours,)

    def by_theirs(self, classes: Sequence[str]) -> dict[str, int]:
        """The index of our class by each name that stands for one in files.

        Raises:
            UserError: A pair has a class that is not ours, or one class's own name stands for
                another.
        """
        for ours, theirs in self.pairs:
            if ours not in classes:
                raise UserError(
                    f"{FLAG} {ours}={theirs}: no class {ours!r}; the classes are: "
                    f"{', '.join(classes)}"
                )
        found: dict[str, int] = {}
        for index, ours in enumerate(classes):
            for theirs in self.theirs(ours):
                if theirs in found:
                    raise UserError(
                        f"{FLAG} {self}: {theirs!r} is the name of {classes[found[theirs]]!r} and "
                        f"of {ours!r}; expected another for one of them"
                    )
                found[theirs] = index
        return found

    def of(self, classes: Collection[str]) -> ClassNames:
        """The pairs of these classes of ours alone."""
        return replace(self, pairs=tuple(pair for pair in self.pairs if pair[0] in classes))

    def unknown(self, present: Collection[str]) -> list[str]:
        """The pairs, as typed, whose file's name is not among those present."""
        return [f"{ours}={theirs}" for ours, theirs in self.pairs if theirs not in present]


OWN_NAMES = ClassNames()
"""Files that have our own names."""


def hint_for(ours: str, present: Collection[str]) -> str:
    """What to type where a file has none of a class's names.

    Args:
        ours: The class.
        present: The names in the file.
    """
    folded: Mapping[str, str] = {name.casefold().strip(): name for name in present}
    as_word = [name for name in folded if ours.casefold() in re.split(r"\W+|_", name)]
    near = difflib.get_close_matches(ours.casefold(), folded, n=1) or as_word
    if near:
        return f"did you mean {FLAG} {_quoted(ours, folded[near[0]])}?"
    if len(present) == 1:
        return f"if it is meant: {FLAG} {_quoted(ours, next(iter(present)))}"
    return f"{FLAG} {ours}=NAME says which of them is meant"


def widened(names: ClassNames, classes: Sequence[str], others: Collection[str]) -> str | None:
    """What to type if names that are a class's but for case are meant too; None if there are none.

    Args:
        names: What the file calls the classes.
        classes: Our classes.
        others: Names in the file that stand for no class.
    """
    pairs = []
    for ours in classes:
        theirs = names.theirs(ours)
        folded = {name.casefold() for name in theirs}
        alike = [name for name in others if name.casefold() in folded]
        if alike:
            pairs += [f"{ours}={name}" for name in (*theirs, *alike)]
    return f"{FLAG} {shlex.quote(','.join(pairs))}" if pairs else None


def _quoted(ours: str, theirs: str) -> str:
    return shlex.quote(f"{ours}={theirs}")
