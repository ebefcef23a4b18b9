"""The parity certificate: how well a model file's answers match its network's."""

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
from pydantic import BeforeValidator, Field, ValidationError

from .. import __version__
from ..data.pictures import Picture
from ..errors import ModelFileError
from ..files import atomic_write, reading, sha256_file
from ..model_templates.contract import Contract, ParitySummary
from ..model_templates.spec import Spec
from ..runtimes import RUNTIMES
from ..runtimes.seal import model_files
from ..runtimes.session import Outputs
from ..tasks import task_of
from ..tasks.comparison import Comparison

CERTIFICATE_VERSION: Final = 2
SUFFIX = ".parity.json"
"""Suffix after the whole name of the model file."""


def _finite(value: float | None) -> float | None:
    # A comparison may give NaN, which JSON does not have.
    return value if value is None or math.isfinite(value) else None


Number = Annotated[float | None, BeforeValidator(_finite)]
"""A number; values that are not finite become None."""


class TensorParity(Spec):
    """Differences of one output tensor over all photos, in the output's unit."""

    max_abs: Number
    mean_abs: Number
    cosine: Number


class Agreement(Spec):
    """Counts of answers, as users see them, that both sides give.

    Attributes:
        asked: Number of the trained network's answers: faces found, or faces labelled.
        agreed: Number of these answers that the file gives too.
        extra: Number of answers that only the file gives.
    """

    asked: int
    agreed: int
    extra: int


class Array(Spec):
    """Values of one output for one photo, row by row."""

    shape: tuple[int, ...]
    values: tuple[float, ...]


class PhotoAnswers(Spec):
    """A photo, and the trained network's answers by name; see `Parity.answers_of`."""

    name: str
    sha256: str
    answers: dict[str, Array]


class Certificate(Spec):
    """Content of the file `<name>.parity.json` beside a model file.

    Attributes:
        files: SHA-256 of each part of the model file, by name.
        checkpoint_sha256: SHA-256 of the weights that the file was made from.
        status: "passed", "failed", or "not verified" if nothing could be compared.
        reason: Why the status is not "passed".
        against: What the file was compared with: the trained network, or its answers in an
            earlier certificate.
        differences: Largest differences by name.
        tolerances: Largest differences allowed by name, and other settings of the comparison.
        photos: Photos with the trained network's answers, so that the file can be verified again
            without PyTorch and the checkpoint.
    """

    certificate_version: Literal[2] = CERTIFICATE_VERSION
    file: str
    files: dict[str, str]
    template: str
    precision: str
    checkpoint_sha256: str | None
    status: Literal["passed", "failed", "not verified"]
    reason: str | None = None
    against: Literal["checkpoint", "certificate"] = "checkpoint"
    runtime: str
    differences: dict[str, Number]
    tolerances: dict[str, float]
    agreement: Agreement
    tensors: dict[str, TensorParity]
    photos: tuple[PhotoAnswers, ...] = ()
    versions: dict[str, str] = Field(default={})
    host: dict[str, str] = Field(default={})
    date: str

    def summary(self) -> ParitySummary:
        """The summary for the file's contract."""
        both = self.agreement
        return ParitySummary(
            status=self.status,
            runtime=self.runtime,
            images=len(self.photos),
            differences=self.differences,
            agreement=both.agreed / both.asked if both.asked else None,
        )


def certify(
    path: Path,
    contract: Contract,
    *,
    runtime: str,
    found: Comparison,
    against: Literal["checkpoint", "certificate"] = "checkpoint",
    pictures: Sequence[Picture] = (),
    answers: Sequence[Outputs] = (),
) -> Certificate:
    """Make a certificate.

    Args:
        path: The model file.
        contract: The file's contract.
        runtime: The runtime that ran the file.
        found: The result of the comparison.
        against: See `Certificate`.
        pictures: The pictures that the file was run on.
        answers: The trained network's answers to each picture; see `Parity.answers_of`.
    """
    reason = found.problem
    status: Literal["passed", "failed", "not verified"] = "failed" if reason else "passed"
    if not reason and not found.tensors and not found.asked:
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
        differences=dict(found.differences),
        tolerances=dict(found.tolerances),
        agreement=Agreement(asked=found.asked, agreed=found.agreed, extra=found.extra),
        tensors={name: TensorParity(**one._asdict()) for name, one in found.tensors.items()},
        photos=tuple(
            PhotoAnswers(
                name=picture.name, sha256=picture.sha256, answers=_arrays(answer, contract.task)
            )
            for picture, answer in zip(pictures, answers, strict=True)
        ),
        versions=_versions(runtime),
        host=this_host(),
        date=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    )


def this_host() -> dict[str, str]:
    """Facts about this machine that results depend on."""
    return {
        "machine": platform.machine(),
        "system": platform.system(),
        "cores": str(os.cpu_count()),
    }


def certificate_path(path: Path) -> Path:
    """Path of a model file's certificate."""
    return path.with_name(path.name + SUFFIX)


def write_certificate(path: Path, certificate: Certificate) -> Path:
    """Write the certificate beside a finished model file, with the file's SHA-256.

    Returns:
        The path written.
    """
    base = path if path.is_dir() else path.parent
    files = {part.relative_to(base).as_posix(): sha256_file(part) for part in model_files(path)}
    certificate = certificate.model_copy(update={"file": path.name, "files": files})
    target = certificate_path(path)
    with atomic_write(target, "w") as handle:
        handle.write(certificate.model_dump_json(indent=1) + "\n")
    return target


def read_certificate(path: Path) -> Certificate | None:
    """Read the certificate beside a model file; None if there is none.

    Raises:
        ModelFileError: The file cannot be read, or is not a certificate.
    """
    source = certificate_path(path)
    if not os.path.lexists(source):
        return None
    with reading(source, ModelFileError):
        content = source.read_bytes()
    try:
        return Certificate.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise ModelFileError(f"{source}: no parity certificate: {where}: {first['msg']}") from error


def answers_in(certificate: Certificate) -> dict[str, Outputs]:
    """The trained network's answers by the photo's SHA-256; see `Parity.answers_of`."""
    return {
        photo.sha256: {
            name: np.array(array.values, np.float32).reshape(array.shape)
            for name, array in photo.answers.items()
        }
        for photo in certificate.photos
    }


def _arrays(answers: Outputs, task: str) -> dict[str, Array]:
    digits = task_of(task).parity.DIGITS
    return {
        name: Array(
            shape=array.shape,
            values=tuple(round(value, digits.get(name, 6)) for value in array.ravel().tolist()),
        )
        for name, array in answers.items()
    }


def _versions(runtime: str) -> dict[str, str]:
    versions = {"pocketface": __version__, "python": platform.python_version()}
    name = "coreml" if runtime == "coreml-reference" else runtime  # see `Session.runtime`
    packages = RUNTIMES[name].packages
    for package in dict.fromkeys((*packages, "torch", "numpy")):
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions
