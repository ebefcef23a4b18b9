"""`pocketface.verify`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..tasks.measuring import Progress
from ..tasks.weights import Given
from .given import Paths, optional_path, path_list

if TYPE_CHECKING:
    from ..exporting.report import Verified


def verify(
    files: Paths,
    *,
    weights: Given | None = None,
    photos: Given | None = None,
    on_progress: Progress | None = None,
) -> list[Verified]:
    """Run exported files beside the trained network again, on this machine.

    Args:
        files: Model files, folders of them, or names of templates.
        weights: The checkpoint that they were made from; None for what ships with their template,
            or the network's answers in the certificate beside each.
        photos: Folder of photos to run them on; None for photos in the public domain.
        on_progress: Called with the number of files done and of all.

    Returns:
        What became of each file: "passed", "failed" or "not verified", and why.

    Raises:
        UserError: A file is missing, a folder has no model file, or a file was made from other
            weights.
        ModelFileError: The checkpoint is missing or damaged.
    """
    from ..exporting.verify import verify_files

    return verify_files(
        path_list(files),
        weights=optional_path(weights),
        photos=optional_path(photos),
        on_progress=on_progress,
    )
