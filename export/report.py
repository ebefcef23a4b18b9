"""What an export, or a later verification, tells of itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from .certificate import Certificate


@dataclass(frozen=True)
class ExportedFile:
    """One model file, made or asked for.

    Attributes:
        format: Key of `EXPORTERS`.
        precision: "fp32" or "fp16"; "int8" of weights quantized in training.
        status: Of the file's certificate; "unchecked" where verification was switched off;
            "skipped" and "failed" without a file: it was not asked for by name, or was.
        file: What `load` opens; None where there is none.
        size: Of all its parts, bytes.
        seconds: That the whole format took, verification included; on its first file only.
        certificate: None where there is no file, or it was not checked.
        reason: Why it is not "passed".
    """

    format: str
    precision: str
    status: Literal["passed", "failed", "not verified", "unchecked", "skipped"]
    file: Path | None = None
    size: int = 0
    seconds: float | None = None
    certificate: Certificate | None = None
    reason: str | None = None


@dataclass(frozen=True)
class ExportReport:
    """All that was asked for: made, failed or skipped.

    Attributes:
        name: Of the network.
        input_size: Height and width, pixels.
        files: By precision and format.
    """

    name: str
    input_size: tuple[int, int]
    files: tuple[ExportedFile, ...]

    @property
    def paths(self) -> tuple[Path, ...]:
        """What `load` opens, of all that was made."""
        return tuple(one.file for one in self.files if one.file is not None)

    @property
    def failed(self) -> tuple[ExportedFile, ...]:
        """What could not be made, or does not answer as the network does."""
        return tuple(one for one in self.files if one.status == "failed")


@dataclass(frozen=True)
class Verified:
    """A model file that was verified again.

    Attributes:
        file: What `load` opens.
        status: "failed" also where `load` refuses it.
        certificate: None where it was not run.
        reason: Why it is not "passed".
    """

    file: Path
    status: Literal["passed", "failed", "not verified"]
    certificate: Certificate | None = None
    reason: str | None = None
