"""The templates in the package: `<task>/<name>/template.yaml` beside this file."""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ModelFileError, TemplateError
from ..files import sha256_file

if TYPE_CHECKING:
    from .schema import TemplateFile

TEMPLATE_FILE = "template.yaml"
READY_FILE = "model_fp16.onnx"
"""Name of the model file beside a template that has one, for machines without PyTorch."""

DETECTOR, CLASSIFIER, SEGMENTER = "face-detection-n", "glasses-n", "face-segmentation-n"
RECOGNIZER = "face-recognition-n"
SECOND_DETECTOR, REPORT_DETECTOR = "face-detection-m", "face-detection-s"
"""Templates whose models are used where none is named."""

LICENCE = "Apache-2.0"
"""Of the weights that ship with the templates."""

_ROOT = Path(__file__).parent

NAMES = _ROOT / "names"
"""Maps from the names in other people's checkpoints to ours; see `models.name_map`."""

COUNTS_FILE = _ROOT / "counts.json"
"""By template, its parameters and operations at some input sizes, as `tools/counts.py` writes."""


def template_names() -> list[str]:
    """Names of all templates, sorted."""
    return sorted(_paths())


def file_path(given: str | os.PathLike[str]) -> Path:
    """The path that a user gives where a template's name may stand too; `./name` is a file.

    A `Path` drops the `./` that tells it from the name, so such a path becomes absolute.
    """
    path = Path(given)
    is_file = str(path) != os.fspath(given) and str(path) in template_names()
    return path.absolute() if is_file else path


def template_path(name: str) -> Path:
    """Path of the template with this name.

    Raises:
        TemplateError: The name is unknown; the message lists the choices and the nearest one.
    """
    paths = _paths()
    if name not in paths:
        raise TemplateError(
            f"unknown template {name!r}: expected one of {', '.join(sorted(paths))}, "
            f"or the path of a {TEMPLATE_FILE}",
            hint=meant_template(name),
        )
    return paths[name]


def meant_template(text: str) -> str | None:
    """A hint with the template that a misspelt name, or a path that is not there, may mean."""
    path = Path(text.strip())
    name = path.parent.name if path.name == TEMPLATE_FILE else path.stem
    plain = name.lower().replace("_", "-").replace(" ", "-")
    near = difflib.get_close_matches(plain, sorted(_paths()), n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}?" if near else None


def find_template(name_or_path: str | os.PathLike[str]) -> Path:
    """Find a template by name, or by the path of its file or folder.

    A name in the catalogue takes precedence over a file of that name; write `./name` for the file.

    Raises:
        TemplateError: The text is neither a known name nor an existing path.
    """
    text = os.fspath(name_or_path)
    path = Path(text)
    if text in _paths():
        return _paths()[text]
    if path.is_dir():
        path = path / TEMPLATE_FILE
        if not path.is_file():
            raise TemplateError(f"{text}: a folder without {TEMPLATE_FILE}")
        return path
    if path.is_file():
        return path
    if len(path.parts) > 1 or path.suffix in (".yaml", ".yml"):
        raise TemplateError(
            f"{text}: no such file; expected a {TEMPLATE_FILE} or one of "
            f"{', '.join(template_names())}",
            hint=meant_template(text),
        )
    return template_path(text)


def ready_file(name: str) -> Path | None:
    """The model file of a template's shipped weights that is ready to run; None if there is none.

    Raises:
        TemplateError: There is no template of this name.
    """
    path = template_path(name).with_name(READY_FILE)
    return path if path.is_file() else None


def _paths() -> dict[str, Path]:
    return {path.parent.name: path for path in _ROOT.glob(f"*/*/{TEMPLATE_FILE}")}


def is_shipped(sha256: str) -> bool:
    """Whether weights with this SHA-256 ship with any template, which then says so."""
    return any(sha256 in path.read_text(encoding="utf-8") for path in _paths().values())


def shipped_weights(template: TemplateFile) -> Path | None:
    """The weights file that ships beside a template; None if none does.

    Raises:
        ModelFileError: The template names weights that are missing or differ from its size and
            SHA-256.
    """
    spec = template.spec.initial_weights
    if spec is None:
        return None
    path = template.path.parent / spec.file
    try:
        size = path.stat().st_size
        if size != spec.size:
            raise ModelFileError(f"{path}: {size} bytes; {template.path} says {spec.size}")
        sha256 = sha256_file(path)
    except OSError as error:
        raise ModelFileError(
            f"{path}: cannot be read: {error.strerror} (named by {template.path})"
        ) from error
    if sha256 != spec.sha256:
        raise ModelFileError(f"{path}: SHA-256 is {sha256}; {template.path} says {spec.sha256}")
    return path
