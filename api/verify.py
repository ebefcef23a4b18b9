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
    template: Given | None = None,
    weights: Given | None = None,
    photos: Given | None = None,
    on_progress: Progress | None = None,
) -> list[Verified]:
    """Run exported files beside the trained network again, on this machine.

    Args:
        files: Model files, folders of them, or names of templates.
        template: Name or file of the template that describes the checkpoint, as other people's
            want; None for the one inside it.
        weights: The checkpoint that they were made from, or the name of a template that ships it;
            None for that of `template`, and without it for what ships with the template of each
            file, or the network's answers in the certificate beside it.
        photos: Folder of photos to run them on; None for photos in the public domain.
        on_progress: Called with the number of files done and of all.

    Returns:
        What became of each file: "passed", "failed" or "not verified", and why.

    Raises:
        UserError: A file is missing, a folder has no model file, a file was made from other
            weights, or the template ships none.
        ModelFileError: The checkpoint is missing or damaged, or a file is no model file by its
            name.
    """
    from ..exporting.verify import verify_files

    return verify_files(
        path_list(files),
        template=template,
        weights=weights,
        photos=optional_path(photos),
        on_progress=on_progress,
    )
