"""The one exception tree. `cli/` turns these into one line and an exit code."""

from __future__ import annotations

EXTRAS = {
    "ai_edge_litert": "litert",
    "ai_edge_quantizer": "litert",
    "altair": "benchmark",
    "coremltools": "coreml",
    "cpuinfo": "benchmark",
    "fastapi": "serve",
    "fastapi_offline": "serve",
    "faster_coco_eval": "eval",
    "kornia": "train",
    "lightning": "train",
    "litert_torch": "litert",
    "matplotlib": "train",
    "nncf": "compress",
    "onnx": "onnx",
    "onnxruntime": "onnx",
    "onnxscript": "onnx",
    "openvino": "openvino",
    "psutil": "benchmark",
    "python_multipart": "serve",
    "pytorch_optimizer": "train",
    "safetensors": "train",
    "scipy": "eval",
    "sklearn": "compress",
    "tensorboard": "train",
    "tensorflow": "tensorflow",
    "torch": "train",
    "uvicorn": "serve",
    "vl_convert": "benchmark",
}
"""Optional package, by the name of its import -> the extra that brings it."""


class PocketfaceError(Exception):
    """A failure that is not the user's mistake: exit code 1.

    Args:
        message: One line: the file, key or flag, its value, and what was expected.
        hint: What to do about it, if there is something to do.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class UserError(PocketfaceError):
    """A mistake in what the user gave: exit code 2."""

    exit_code = 2


class TemplateError(UserError):
    """A template that does not fit its schema."""


class ContractError(UserError):
    """A model file whose contract is missing, damaged, or does not fit the file."""


class ModelFileError(UserError):
    """A model file or checkpoint that is missing, damaged, or of an unknown kind."""


class DataError(UserError):
    """Annotations or photos that cannot be used."""


class ImageError(DataError):
    """A file or buffer that does not decode to a photo, or is too large to try."""


class ImageTooLargeError(ImageError):
    """A photo of more pixels than are decoded."""


class InputError(UserError):
    """An array of the wrong type, shape or range given to a model."""


class MissingPackageError(UserError):
    """An optional package is needed and absent; the message names the extra.

    Args:
        package: As in `EXTRAS`; of others it is said that `all` brings them.
    """

    def __init__(self, package: str) -> None:
        extra = EXTRAS.get(package, "all")
        super().__init__(
            f"the package {package!r} is not installed: needs `pip install pocketface[{extra}]`"
        )


class NothingFitsError(PocketfaceError):
    """Nothing meets what was asked for: exit code 3."""

    exit_code = 3


class TrainingError(PocketfaceError):
    """Training cannot go on: the loss is not finite, for example."""
