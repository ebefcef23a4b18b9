"""The parity certificate: how far a model file answers as the network that it was made from."""

from __future__ import annotations

import datetime
import importlib.metadata
import math
import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final, Literal

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from .. import __version__
from ..errors import ModelFileError
from ..files import atomic_write, sha256_file
from ..model_templates.contract import Contract, ParitySummary
from ..runtimes.seal import model_files
from ..runtimes.session import Outputs
from .comparison import BEST_BOXES, Comparison, limits_of
from .matching import MATCH_IOU, RIVALS
from .photos import Photo

CERTIFICATE_VERSION: Final = 1
SUFFIX = ".parity.json"
"""Behind the whole name of the model file."""

_PACKAGES = {
    "openvino": ("openvino",),
    "onnxruntime": ("onnxruntime",),
    "coreml": ("coremltools",),
    "coreml-reference": ("coremltools", "torch"),
    "litert": ("ai-edge-litert",),
    "tensorflow": ("tensorflow-cpu", "tensorflow", "keras"),
    "torch": ("torch",),
}


def _finite(value: float | None) -> float | None:
    # JSON has no NaN; a comparison may.
    return value if value is None or math.isfinite(value) else None


_Number = Annotated[float | None, BeforeValidator(_finite)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class TensorParity(_Frozen):
    """Of one output tensor over all photos; boxes and landmarks in network-input pixels."""

    max_abs: _Number
    mean_abs: _Number
    cosine: _Number


class FaceParity(_Frozen):
    """Of the faces above the contract's threshold, after NMS; or of those that have a label.

    Attributes:
        match_iou: From which on two boxes are the same face; None of a classifier.
        faces: That the trained network finds, or was shown.
        matched: Of these, found by the file too, or given the same label.
        extra: That only the file finds.
    """

    match_iou: float | None = MATCH_IOU
    faces: int
    matched: int
    extra: int


class Tolerance(_Frozen):
    """Largest differences allowed.

    Attributes:
        corners_px: Network-input pixels; None of a classifier.
        corners_of_side: Or this share of the box's longer side, if that is more.
        score: Of scores.
        compared_boxes: Of each photo, the best so many,
        compared_from: with this share of the score threshold and more.
    """

    corners_px: float | None
    corners_of_side: float
    score: float
    compared_boxes: int = BEST_BOXES
    compared_from: float = 0.0


class PhotoAnswer(_Frozen):
    """A photo, and what the trained network says of it: faces in network-input pixels, or labels.

    `landmarks` are ten numbers a face; `rivals` are boxes that NMS dropped for faces hardly better.
    """

    name: str
    sha256: str
    boxes: tuple[tuple[float, ...], ...] | None = None
    scores: tuple[float, ...] | None = None
    landmarks: tuple[tuple[float, ...], ...] | None = None
    rivals: tuple[tuple[float, ...], ...] | None = None
    probabilities: tuple[float, ...] | None = None


class Certificate(_Frozen):
    """What lies beside a model file as `<its name>.parity.json`.

    Attributes:
        files: SHA-256 of the file and of its other parts, by name.
        checkpoint_sha256: Of the weights that it was made from.
        status: "not verified" where nothing could be compared.
        reason: Why it is not "passed".
        against: What it was compared with: the trained network itself, or what an earlier
            certificate says that it answered.
        photos: With the trained network's answers, so that the file can be verified again where
            neither PyTorch nor the checkpoint is.
    """

    certificate_version: Literal[1] = CERTIFICATE_VERSION
    file: str
    files: dict[str, str]
    template: str
    precision: str
    checkpoint_sha256: str | None
    status: Literal["passed", "failed", "not verified"]
    reason: str | None = None
    against: Literal["checkpoint", "certificate"] = "checkpoint"
    runtime: str
    corners_px: _Number
    score: _Number
    tensors: dict[str, TensorParity]
    faces: FaceParity
    tolerance: Tolerance
    photos: tuple[PhotoAnswer, ...] = ()
    versions: dict[str, str] = {}
    host: dict[str, str] = {}
    date: str

    def summary(self) -> ParitySummary:
        """What the file's own contract holds of it."""
        faces = self.faces
        return ParitySummary(
            status=self.status,
            runtime=self.runtime,
            images=len(self.photos),
            corners_px=self.corners_px,
            score=self.score,
            agreement=faces.matched / faces.faces if faces.faces else None,
        )


def certify(
    path: Path,
    contract: Contract,
    *,
    runtime: str,
    found: Comparison,
    against: Literal["checkpoint", "certificate"] = "checkpoint",
    photos: Sequence[Photo] = (),
    answers: Sequence[Outputs] = (),
) -> Certificate:
    """Make a certificate.

    Args:
        path: The file.
        contract: The file's.
        runtime: What ran it.
        found: What was found.
        against: See `Certificate`.
        photos: What it was run on.
        answers: What the trained network says of each; see `answers_of`.
    """
    limits = limits_of(contract)
    detects = contract.task == "face-detection"
    reason = found.problem
    status: Literal["passed", "failed", "not verified"] = "failed" if reason else "passed"
    if not reason and not found.tensors and not found.faces:
        status, reason = "not verified", "the trained network finds no face in these photos"
    return Certificate(
        file=path.name,
        files={},
        template=contract.provenance.template,
        precision=contract.precision,
        checkpoint_sha256=contract.provenance.checkpoint_sha256,
        status=status,
        reason=reason,
        against=against,
        runtime=runtime,
        corners_px=found.corners_px,
        score=found.score,
        tensors={name: TensorParity(**one._asdict()) for name, one in found.tensors.items()},
        faces=FaceParity(
            match_iou=MATCH_IOU if detects else None,
            faces=found.faces,
            matched=found.matched,
            extra=found.extra,
        ),
        tolerance=Tolerance(
            corners_px=limits.pixels if detects else None,
            corners_of_side=limits.of_side,
            score=limits.score,
            compared_from=limits.compared_from,
        ),
        photos=tuple(_photo(*pair) for pair in zip(photos, answers, strict=True)),
        versions=_versions(runtime),
        host=this_host(),
        date=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    )


def this_host() -> dict[str, str]:
    """What measurements here depend on."""
    return {
        "machine": platform.machine(),
        "system": platform.system(),
        "cores": str(os.cpu_count()),
    }


def certificate_path(path: Path) -> Path:
    """Where the certificate of a model file lies."""
    return path.with_name(path.name + SUFFIX)


def write_certificate(path: Path, certificate: Certificate) -> Path:
    """Write the certificate of a finished model file beside it, with the file's SHA-256.

    Returns:
        Where it lies.
    """
    base = path if path.is_dir() else path.parent
    files = {part.relative_to(base).as_posix(): sha256_file(part) for part in model_files(path)}
    certificate = certificate.model_copy(update={"file": path.name, "files": files})
    target = certificate_path(path)
    with atomic_write(target, "w") as handle:
        handle.write(certificate.model_dump_json(indent=1) + "\n")
    return target


def read_certificate(path: Path) -> Certificate | None:
    """The certificate beside a model file; None where there is none.

    Raises:
        ModelFileError: It cannot be read, or is none.
    """
    source = certificate_path(path)
    try:
        text = source.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise ModelFileError(f"{source}: cannot be read: {error}") from error
    try:
        return Certificate.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise ModelFileError(f"{source}: no parity certificate: {where}: {first['msg']}") from error


def answers_in(certificate: Certificate) -> dict[str, Outputs]:
    """What the trained network said by the photo's SHA-256; see `answers_of`."""
    answers = {}
    for photo in certificate.photos:
        answers[photo.sha256] = {
            name: np.array(values, np.float32).reshape(1, *shape)
            for name, values, shape in (
                ("boxes", photo.boxes, (-1, 4)),
                ("scores", photo.scores, (-1,)),
                ("landmarks", photo.landmarks, (-1, 5, 2)),
                (RIVALS, photo.rivals, (-1, 4)),
                ("probabilities", photo.probabilities, (-1,)),
            )
            if values is not None
        }
    return answers


def _photo(photo: Photo, answer: Outputs) -> PhotoAnswer:
    fields: dict[str, object] = {"name": photo.name, "sha256": photo.sha256}
    for name, values in answer.items():
        if name in ("boxes", "landmarks", RIVALS):
            fields[name] = _rounded(_rows(values[0]), 3)
        else:
            fields[name] = tuple(round(float(value), 6) for value in values[0])
    return PhotoAnswer.model_validate(fields)


def _rows(values: np.ndarray) -> np.ndarray:
    return values.reshape(len(values), -1) if len(values) else values


def _rounded(rows: np.ndarray, digits: int) -> tuple[tuple[float, ...], ...]:
    # To a thousandth of a pixel: a hundredth of the least tolerance and less.
    return tuple(tuple(round(float(value), digits) for value in row) for row in rows)


def _versions(runtime: str) -> dict[str, str]:
    versions = {"pocketface": __version__, "python": platform.python_version()}
    for package in dict.fromkeys((*_PACKAGES.get(runtime, ()), "torch", "numpy")):
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions
