"""The one exception tree. `cli/` turns these into one line and an exit code."""

from __future__ import annotations


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
    """An optional package is needed and absent; the message names the extra."""

    def __init__(self, package: str, *, extra: str) -> None:
        super().__init__(
            f"the package {package!r} is not installed: needs `pip install pocketface[{extra}]`"
        )


class NothingFitsError(PocketfaceError):
    """Nothing meets what was asked for: exit code 3."""

    exit_code = 3


class TrainingError(PocketfaceError):
    """Training cannot go on: the loss is not finite, for example."""
