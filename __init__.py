"""Small face models, from a YAML template to a checked model file on any device."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .api.benchmark import benchmark
    from .api.blur import blur
    from .api.compress import compress
    from .api.evaluate import EvalReport, evaluate
    from .api.export import export
    from .api.templates import templates
    from .api.train import train
    from .api.verify import verify
    from .apps.blur.request import BlurSummary
    from .apps.gallery import Gallery, Match
    from .apps.template_table import TemplateRow
    from .benchmarks.results import Results
    from .compressing.report import CompressedFile, CompressionReport
    from .data.pixels import read_pixels
    from .embedding import Embedding
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
    from .exporting.report import ExportedFile, ExportReport, Verified
    from .mask import Mask
    from .model_templates.contract import Contract, Metric
    from .results import Classification, Detection, Detections
    from .tasks.classification.model import FaceClassifier
    from .tasks.detection.model import FaceDetector
    from .tasks.load import load
    from .tasks.measuring import Labels
    from .tasks.model import Model
    from .tasks.recognition.model import FaceRecognizer
    from .tasks.segmentation.model import FaceSegmenter
    from .training.report import EpochReport, FitReport

__version__ = "0.2.0"

__all__ = [
    "BlurSummary",
    "Classification",
    "CompressedFile",
    "CompressionReport",
    "Contract",
    "ContractError",
    "DataError",
    "Detection",
    "Detections",
    "Embedding",
    "EpochReport",
    "EvalReport",
    "ExportReport",
    "ExportedFile",
    "FaceClassifier",
    "FaceDetector",
    "FaceRecognizer",
    "FaceSegmenter",
    "FitReport",
    "Gallery",
    "ImageError",
    "InputError",
    "Labels",
    "Mask",
    "Match",
    "Metric",
    "MissingPackageError",
    "Model",
    "ModelFileError",
    "PocketfaceError",
    "Results",
    "TemplateError",
    "TemplateRow",
    "TrainingError",
    "UserError",
    "Verified",
    "__version__",
    "benchmark",
    "blur",
    "compress",
    "evaluate",
    "export",
    "load",
    "read_pixels",
    "templates",
    "train",
    "verify",
]

# Names outside `errors`, and their modules: imported at first use, so that `import pocketface`
# costs next to nothing.
_HOMES = {
    "BlurSummary": "apps.blur.request",
    "Classification": "results",
    "CompressedFile": "compressing.report",
    "CompressionReport": "compressing.report",
    "Contract": "model_templates.contract",
    "Detection": "results",
    "Detections": "results",
    "Embedding": "embedding",
    "EpochReport": "training.report",
    "EvalReport": "api.evaluate",
    "ExportReport": "exporting.report",
    "ExportedFile": "exporting.report",
    "FaceClassifier": "tasks.classification.model",
    "FaceDetector": "tasks.detection.model",
    "FaceRecognizer": "tasks.recognition.model",
    "FaceSegmenter": "tasks.segmentation.model",
    "FitReport": "training.report",
    "Gallery": "apps.gallery",
    "Labels": "tasks.measuring",
    "Mask": "mask",
    "Match": "apps.gallery",
    "Metric": "model_templates.contract",
    "Model": "tasks.model",
    "Results": "benchmarks.results",
    "TemplateRow": "apps.template_table",
    "Verified": "exporting.report",
    "benchmark": "api.benchmark",
    "blur": "api.blur",
    "compress": "api.compress",
    "evaluate": "api.evaluate",
    "export": "api.export",
    "load": "tasks.load",
    "read_pixels": "data.pixels",
    "templates": "api.templates",
    "train": "api.train",
    "verify": "api.verify",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f".{_HOMES.get(name, 'errors')}", __name__)
    value = globals()[name] = getattr(module, name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
