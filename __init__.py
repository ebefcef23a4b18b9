"""Small face models, from a YAML template to a checked model file on any device."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .errors import (
        ContractError,
        DataError,
        ImageError,
        InputError,
        MissingPackageError,
        ModelFileError,
        PocketfaceError,
        TemplateError,
        TrainingError,
        UserError,
    )
    from .model_templates.contract import Contract
    from .results import Classification, Detections
    from .tasks.classification.model import FaceClassifier
    from .tasks.detection.model import FaceDetector
    from .tasks.load import load
    from .tasks.model import Model

__version__ = "0.2.0"

__all__ = [
    "Classification",
    "Contract",
    "ContractError",
    "DataError",
    "Detections",
    "FaceClassifier",
    "FaceDetector",
    "ImageError",
    "InputError",
    "MissingPackageError",
    "Model",
    "ModelFileError",
    "PocketfaceError",
    "TemplateError",
    "TrainingError",
    "UserError",
    "__version__",
    "load",
]

# Names outside `errors`, and their modules: imported at first use, so that `import pocketface`
# costs next to nothing.
_HOMES = {
    "Classification": "results",
    "Contract": "model_templates.contract",
    "Detections": "results",
    "FaceClassifier": "tasks.classification.model",
    "FaceDetector": "tasks.detection.model",
    "Model": "tasks.model",
    "load": "tasks.load",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f".{_HOMES.get(name, 'errors')}", __name__)
    value = globals()[name] = getattr(module, name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
