"""Reports of exports and of later verifications."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from .certificate import Certificate


@dataclass(frozen=True)
class ExportedFile:
    """One model file that was made or asked for.

    Attributes:
        format: Key of `EXPORTERS`.
        precision: "fp32" or "fp16"; "int8" for weights quantized in training.
        status: Status of the file's certificate; "unchecked" if verification was switched off.
            Without a file: "failed" if the format was asked for by name, else "skipped".
        file: The path that `load` opens; None without a file.
        size: Size of all its parts together, in bytes.
        seconds: Time for it, verification included; that of a format's first file includes the
            conversion of all of them. None if nothing was done.
        certificate: The file's certificate; None without a file or a check.
        reason: Why the status is not "passed".
    """

    format: str
    precision: str
    status: Literal["passed", "failed", "not verified", "unchecked", "skipped"]
    file: Path | None = None
    size: int = 0
    seconds: float | None = None
    certificate: Certificate | None = field(default=None, repr=False)
    reason: str | None = None

    def __str__(self) -> str:
        """A line that says what became of it."""
        took = "" if self.seconds is None else f", {self.seconds:.1f} s"
        why = f": {self.reason}" if self.reason else ""
        return f"{self.file or self.format} ({self.precision}): {self.status}{took}{why}"


@dataclass(frozen=True)
class ExportReport:
    """All files asked for, whether made, failed or skipped.

    Attributes:
        name: Name of the network.
        input_size: Height and width in pixels.
        files: The files, in order of precision and format.
    """

    name: str
    input_size: tuple[int, int]
    files: tuple[ExportedFile, ...]

    @property
    def paths(self) -> tuple[Path, ...]:
        """Paths that `load` opens, of all files made."""
        return tuple(one.file for one in self.files if one.file is not None)

    @property
    def failed(self) -> tuple[ExportedFile, ...]:
        """Files that could not be made, or whose answers differ from the network's."""
        return tuple(one for one in self.files if one.status == "failed")


@dataclass(frozen=True)
class Verified:
    """A model file that was verified again.

    Attributes:
        file: The path that `load` opens.
        status: Status of the certificate; "failed" also if `load` refuses the file.
        certificate: The new certificate; None if the file was not run.
        reason: Why the status is not "passed".
    """

    file: Path
    status: Literal["passed", "failed", "not verified"]
    certificate: Certificate | None = field(default=None, repr=False)
    reason: str | None = None

    def __str__(self) -> str:
        """A line that says what became of it."""
        return f"{self.file}: {self.status}" + (f": {self.reason}" if self.reason else "")
