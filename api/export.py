"""`pocketface.export`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, cast

from ..errors import UserError
from ..exporting.formats import ExportPrecision, check_asked
from ..places import check_place
from ..tasks.measuring import Progress
from ..tasks.weights import Given, open_weights
from .given import Names, name_list, optional_path, sources

if TYPE_CHECKING:
    from ..exporting.report import ExportedFile, ExportReport


def export(
    model: Given | None,
    output: Given,
    *,
    weights: Given | None = None,
    formats: Names | None = None,
    precision: Names = "fp32",
    with_nms: bool = False,
    input_size: tuple[int, int] | None = None,
    photos: Given | None = None,
    verify: bool = True,
    on_file: Callable[[ExportedFile], object] | None = None,
    on_progress: Progress | None = None,
) -> ExportReport:
    """Write model files for other runtimes, and compare each with the network.

    Args:
        model: Name of a template, whose weights ship; or a template's file, or a weights file.
        output: Folder for the files; made if missing.
        weights: Weights to use with a template, `.pth` or `.safetensors`, or the name of a template
            that ships some; None for `snapshot.pth` beside the template's file, or what ships.
        formats: Keys of `exporting.EXPORTERS`, or "all" for each that the network can have and
            whose packages are installed; None for those that the template names.
        precision: Of the stored weights: "fp32", "fp16", or both.
        with_nms: Whether to write a detector's ONNX and OpenVINO files with NMS inside too.
        input_size: Height and width in pixels; None for the template's.
        photos: Folder of photos to compare on; None for photos in the public domain.
        verify: Whether to run each file and compare it with the network.
        on_file: Called with each file as soon as it is in its place, or could not be made.
        on_progress: Called with the number of formats done, once for each precision, and of all.

    Returns:
        The files; `failed` has those that could not be made, or answer differently.

    Raises:
        UserError: A format, precision or input size is not possible, there are no weights, or
            nothing could be exported.
        MissingPackageError: A package that a format asked for needs is not installed.
        ModelFileError: The weights cannot be read, or belong to another architecture.
    """
    wanted = name_list(formats)
    # Literals for the type checker; `check_asked` refuses other texts.
    precisions = cast("list[ExportPrecision]", name_list(precision))
    check_asked(wanted, precisions)
    if photos is not None and not verify:
        raise UserError(f"photos {photos}: files are not verified; expected none")
    check_place(Path(output), "output", folder=True)
    read = open_weights(*sources(model, weights))
    # Imported after the arguments were checked, because the exporters take seconds to load.
    from ..exporting.run import ExportRequest, export_model

    report = export_model(
        ExportRequest(
            weights=read,
            folder=Path(output),
            formats=wanted,
            precisions=precisions,
            with_nms=with_nms,
            input_size=input_size,
            verify=verify,
            photos=optional_path(photos),
            on_file=on_file,
            on_progress=on_progress,
        )
    )
    if all(one.status == "skipped" for one in report.files):
        raise UserError("nothing was exported", hint=str(report.files[0].reason))
    return report
