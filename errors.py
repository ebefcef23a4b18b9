"""The package's exceptions. `cli/` turns each into one line and an exit code."""

from __future__ import annotations

EXTRAS = {
    "ai_edge_litert": "litert",
    "ai_edge_quantizer": "litert",
    "aiogram": "bot",
    "alembic": "mlflow",
    "altair": "benchmark",
    "av": "video",
    "clearml": "clearml",
    "coremltools": "coreml",
    "cpuinfo": "benchmark",
    "fastapi": "serve",
    "fastapi_offline": "serve",
    "faster_coco_eval": "eval",
    "fsspec": "archive",
    "jpeglib": "lossless-jpeg",
    "kornia": "train",
    "lightning": "train",
    "litert_torch": "litert",
    "matplotlib": "train",
    "mlflow": "mlflow",
    "nncf": "compress",
    "onnx": "train",
    "onnxruntime": "onnx",
    "onnxscript": "train",
    "openvino": "openvino",
    "pillow_heif": "heic",
    "prometheus_client": "serve",
    "psutil": "benchmark",
    "python_multipart": "serve",
    "pytorch_optimizer": "train",
    "ray": "archive",
    "safetensors": "train",
    "scipy": "eval",
    "sklearn": "compress",
    "sqlalchemy": "mlflow",
    "tensorboard": "train",
    "tensorflow": "tensorflow",
    "torch": "train",
    "uvicorn": "serve",
    "vl_convert": "benchmark",
}
"""Import name of an optional package -> the extra that installs it."""


class PocketfaceError(Exception):
    """A failure that is not the user's mistake: exit code 1.

    Args:
        message: One line: the file, key or flag, its value, and what was expected.
        hint: What the user can do about it; None if nothing.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(" ".join(message.splitlines()))  # names may have line breaks
        self.hint = hint
        if hint is not None:
            self.add_note(f"hint: {hint}")  # for tracebacks


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
    """A photo with more pixels than the limit for decoding."""


class InputError(UserError):
    """An array of the wrong type, shape or range given to a model."""


class MissingPackageError(UserError):
    """An optional package is needed but not installed; the message names the extra.

    Args:
        package: Import name of the package. The extra is `all` if `EXTRAS` does not have it.
        hint: What can be done without it; None if nothing.
    """

    def __init__(self, package: str, hint: str | None = None) -> None:
        self.package = package
        extra = EXTRAS.get(package, "all")
        super().__init__(
            f"the package {package!r} is not installed: needs `pip install 'pocketface[{extra}]'`",
            hint=hint,
        )

    def __reduce__(self) -> tuple[type[MissingPackageError], tuple[str, str | None]]:
        # Another process would take the message for the package.
        return type(self), (self.package, self.hint)


class NothingFitsError(PocketfaceError):
    """Nothing meets what was asked for: exit code 3."""

    exit_code = 3


class TrainingError(PocketfaceError):
    """Training cannot go on: the loss is not finite, for example."""
