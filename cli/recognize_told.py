"""What `pocketface recognize` prints."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .console import print_table, tell
from .json_lines import print_json

if TYPE_CHECKING:
    from ..apps.gallery import Gallery
    from ..apps.recognize_calibrate import Measured
    from ..apps.recognize_cluster import ClusterSummary
    from ..apps.recognize_compare import Compared, CompareSummary, Reference
    from ..apps.recognize_enroll import EnrollSummary
    from ..apps.recognize_faces import PhotoFaces
    from ..apps.recognize_find import FindSummary, FoundPhoto
    from ..apps.recognize_verdict import Verdict

_DIGITS = 4
"""Decimals of similarities and probabilities in JSON."""


@dataclass
class Teller:
    """Prints what is found: lines for people, or JSON, or a table and nothing else.

    Attributes:
        json: Whether it is JSON.
        quiet: Whether the table is what is printed.
        reference: The face that others are compared with, once it is known.
    """

    json: bool
    quiet: bool
    reference: Reference | None = None

    def on_reference(self, found: Reference) -> None:
        """Keep the face that others are compared with."""
        self.reference = found

    def on_line(self, line: str) -> None:
        """Print a line of the table."""
        print(line, flush=True)

    def on_compared(self, one: Compared) -> None:
        """Print what is said of a photo."""
        if self.json:
            print_json(self._compared_as_json(one))
        elif not self.quiet:
            tell(f"{one.seen.path}: {_compared(one)}")

    def on_found(self, one: FoundPhoto) -> None:
        """Print who is in a photo."""
        if self.json:
            results = [
                {"answer": face.answer, "name": face.name, **_numbers(face.verdict)}
                for face in one.people
            ]
            print_json({"file": str(one.seen.path), "faces": _faces(one.seen, results)})
        elif not self.quiet:
            tell(f"{one.seen.path}: {_found(one)}")

    def _compared_as_json(self, one: Compared) -> dict[str, Any]:
        assert self.reference is not None
        best = None if one.best is None else one.verdicts[one.best]
        results = [{"answer": each.answer, **_numbers(each)} for each in one.verdicts]
        return {
            "file": str(one.seen.path),
            "answer": one.answer,
            "face": None if one.best is None else one.seen.numbers[one.best],
            "similarity": None if best is None else _numbers(best)["similarity"],
            "probability": None if best is None else _numbers(best)["probability"],
            "reference": {"file": str(self.reference.path), "face": self.reference.number},
            "faces": _faces(one.seen, results),
        }


def ask_of(args: argparse.Namespace) -> Teller:
    """Who prints what is found."""
    return Teller(args.json, args.csv == Path("-"))


def tell_compared(args: argparse.Namespace, summary: CompareSummary) -> None:
    """Print the counts of a comparison."""
    counts = [f"{summary.yes} yes", f"{summary.unsure} unsure", f"{summary.no} no"]
    _tell_counts(args, counts, summary.no_face, summary.unreadable)


def tell_found(args: argparse.Namespace, summary: FindSummary) -> None:
    """Print the counts of a search."""
    counts = [
        _counted(summary.photos, "photo"),
        f"{_counted(summary.known, 'face')} of known people",
        f"{summary.unsure} unsure",
        f"{summary.unknown} unknown",
        f"{summary.small} too small",
    ]
    _tell_counts(
        args, counts if summary.small else counts[:-1], summary.no_face, summary.unreadable
    )


def tell_enrolled(gallery: Path, summary: EnrollSummary) -> None:
    """Print the counts of an enrolment."""
    parts = [f"{_counted(summary.added, 'face')} added"]
    for number, what in (
        (summary.skipped, "enrolled before"),
        (summary.no_face, "without a face"),
        (summary.small, "too small"),
        (summary.unreadable, "unreadable"),
    ):
        if number:
            parts.append(f"{number:,} {what}")
    tell(f"{', '.join(parts)}; {gallery} knows {_people(summary.people)}")


def tell_forgotten(name: str, faces: int, gallery: Gallery) -> None:
    """Print what is gone from a gallery, and what is left."""
    left = f"{_counted(len(gallery), 'face')} of {_people(len(gallery.names))}"
    tell(f"forgotten: {name}, {_counted(faces, 'face')}; left: {left}")


def tell_clusters(output: Path, summary: ClusterSummary) -> None:
    """Print the counts of a sorting."""
    parts = [
        _counted(summary.photos, "photo"),
        _counted(summary.faces, "face"),
        f"{_people(summary.people)} twice or more",
        f"{summary.alone:,} alone",
    ]
    if summary.no_face:
        parts.append(f"{summary.no_face:,} without a face")
    if summary.unreadable:
        parts.append(f"{summary.unreadable:,} unreadable")
    tell(", ".join(parts))
    tell(f"written: {output}")


def tell_measured(found: Measured, saved: Path | None) -> None:
    """Print what was measured of a model."""
    rows = [
        [f"{point.fmr:g}", f"{point.cosine:.4f}", f"{100 * share:.2f} %"]
        for point, share in zip(found.rules.thresholds, found.accepted, strict=True)
    ]
    print_table(
        f"{found.photos:,} photos of {found.people:,} people, {found.genuine:,} pairs of one "
        f"person, {found.impostor:,} of two; {found.left_out:,} photos left out",
        ["false match\nrate", "similarity\nfrom", "same person\nfound"],
        rows,
        numbers=(0, 1, 2),
    )
    curve = found.rules.calibration
    if curve is not None:
        tell(
            f"probability = 1 / (1 + exp(-({curve.slope:.3f} similarity {curve.offset:+.3f}))), at "
            "even odds"
        )
    smallest = found.rules.thresholds[-1].fmr
    tell(f"--max-fmr may be {smallest:g} or more; smaller ones need more people")
    if saved is not None:
        tell(f"written: {saved}")


def _tell_counts(
    args: argparse.Namespace, counts: list[str], no_face: int, unreadable: int
) -> None:
    if args.json or args.csv == Path("-"):
        return
    if no_face:
        counts.append(f"{no_face} without a face")
    if unreadable:
        counts.append(f"{unreadable} unreadable")
    tell(", ".join(counts))
    for written in (args.csv, args.output):
        if written is not None:
            tell(f"written: {written}")


def _compared(one: Compared) -> str:
    if one.best is None:
        return "no face"
    best = one.verdicts[one.best]
    return f"{best.answer}{_why(best)}{_which(one.seen, one.best)}"


def _found(one: FoundPhoto) -> str:
    """Who may be somebody, from left to right, and how many others there are."""
    from ..apps.recognize_find import said_of

    if not one.people:
        return "no face"
    named = {
        number: f"{said_of(face)}{_why(face.verdict)}"
        for number, face in zip(one.seen.numbers, one.people, strict=True)
        if face.name is not None
    }
    told = [named[number] for number in sorted(named)]
    small = sum(face.verdict.small for face in one.people)
    unknown = sum(face.answer == "unknown" for face in one.people)
    told += [
        f"{number} {what}"
        for number, what in ((unknown, "unknown"), (small, "too small"))
        if number
    ]
    return "; ".join(told)


def _why(verdict: Verdict) -> str:
    number = f"similarity {verdict.similarity:.2f}"
    if verdict.probability is not None:
        number = f"{verdict.probability:.0%}, {number}"
    return f" ({number}{', the face is too small' if verdict.small else ''})"


def _which(seen: PhotoFaces, index: int) -> str:
    count = len(seen.faces)
    return "" if count == 1 else f", face {seen.numbers[index]} of {count} from the left"


def _numbers(verdict: Verdict) -> dict[str, Any]:
    chance = verdict.probability
    return {
        "similarity": round(verdict.similarity, _DIGITS),
        "probability": None if chance is None else round(chance, _DIGITS),
        "small": verdict.small,
    }


def _faces(seen: PhotoFaces, results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {**face.to_dict(), "number": number, "result": result}
        for face, number, result in zip(seen.faces, seen.numbers, results, strict=True)
    ]


def _people(number: int) -> str:
    return "1 person" if number == 1 else f"{number:,} people"


def _counted(number: int, name: str) -> str:
    return f"{number:,} {name}" if number == 1 else f"{number:,} {name}s"
