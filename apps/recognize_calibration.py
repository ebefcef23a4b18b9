"""The file that says what a recogniser's cosines mean, beside the model's own."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from ..data.table import read_text
from ..errors import DataError
from ..files import atomic_write
from ..model_templates.spec import Spec
from ..tasks.recognition.model import FaceRecognizer
from ..tasks.recognition.rules import RecognitionRules
from .gallery_model import EmbeddingModel, embedding_model


class CalibrationFile(Spec):
    """The content of the file.

    Attributes:
        format: What tells the file from other JSON.
        version: Of this schema.
        model: The model that was measured.
        rules: What was measured of it.
    """

    format: Literal["pocketface calibration"] = "pocketface calibration"
    version: Literal[1] = 1
    model: EmbeddingModel
    rules: RecognitionRules


def write_calibration(path: Path, model: FaceRecognizer, rules: RecognitionRules) -> None:
    """Write what was measured of a model, atomically.

    Raises:
        OSError: The file cannot be written.
    """
    content = CalibrationFile(model=embedding_model(model.contract), rules=rules)
    with atomic_write(path, "w") as handle:
        handle.write(content.model_dump_json(indent=2) + "\n")


def use_calibration(path: Path, model: FaceRecognizer) -> None:
    """Let a model go by what was measured of it, in the place of its own rules.

    Raises:
        DataError: The file cannot be read, is not such a file, or is of another model.
    """
    try:
        text = read_text(path)
    except DataError as error:
        raise DataError(f"--calibration {error}") from error
    try:
        content = CalibrationFile.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise DataError(
            f"--calibration {path}: {f'{where}: ' if where else ''}{first['msg']}",
            hint="`pocketface recognize calibrate --save` writes such files",
        ) from error
    own = embedding_model(model.contract)
    if content.model != own:
        raise DataError(
            f"--calibration {path}: was measured of {content.model}, not of {own}, which "
            f"{model.path} is"
        )
    model.rules, model.measured_in = content.rules, path
