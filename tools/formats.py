"""What every template's export gives here, file by file: docs/reports/formats.md.

    python tools/formats.py > docs/reports/formats.md
    python tools/formats.py glasses-n > rows.md

Exports all templates whole, with the weights that ship where any do. Hours, on two cores. With
names it prints the rows of these alone, and with --formats a,b those of these formats.
"""

from __future__ import annotations

import argparse
import runpy
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pocketface.exporting import ExportedFile, ExportRequest, export_model
from pocketface.exporting.formats import ALL
from pocketface.model_templates import template_names
from pocketface.model_templates.catalogue import shipped_weights
from pocketface.models.weights import read_weights
from pocketface.tasks.templates import open_template

TEST = Path(__file__).resolve().parents[1] / "tests" / "exporting" / "test_matrix.py"

SIDES = {
    "deeplabv3-resnet50": 64,
    "face-detection-0206": 128,
    "faster-rcnn-m": 128,
    "faster-rcnn-r50-fpn": 128,
    "faster-rcnn-r101-fpn": 128,
    "retinanet-r101-fpn": 128,
    "unet-resnet50": 64,
}
"""Input side for templates whose own input takes hours: 7 to 580 GFLOPs, in seven runtimes and
two precisions."""


def main() -> None:
    """Export all templates, and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="TEMPLATE", help="only these (default: all)")
    parser.add_argument("--formats", type=lambda text: text.split(","), default=[ALL])
    asked = parser.parse_args()
    names = asked.names
    test = runpy.run_path(str(TEST))
    if not names:
        print(HEAD)
    for name in names or template_names():
        for row in rows_of(name, test, asked.formats):
            print(row, flush=True)


HEAD = """\
# Every template in every format

Written by `python tools/formats.py`, on two cores. `seconds` are those of
verification and, for a format's first file, of its conversion. Weights are trained
where a template ships some; the others are random behind calibrated batch norms, and
exaggerate what is rounded: their files, FP16 above all, may miss limits that are meant
for trained networks, and are then named so. face-detection-0206 and the detectors for
servers are measured at 128x128, deeplabv3-resnet50 and unet-resnet50 at 64x64. `scores`
of embeddings are 1 - cosine; `agreed` counts faces, or pixels of masks. A file that failed
though all agreed and the columns are within the limits (FP32 0.5 px and 1e-4; FP16 1 px or 1 %
of the box, and 5e-3) found faces in addition.

| template | file | precision | MB | seconds | corners, px | scores | agreed | parity |
|---|---|---|---|---|---|---|---|---|"""


def rows_of(name: str, test: dict[str, Any], formats: Sequence[str]) -> Iterator[str]:
    """The rows of one template.

    Args:
        name: Its name.
        test: What the test of this matrix has, by name.
        formats: As in `ExportRequest`.
    """
    with tempfile.TemporaryDirectory() as scratch:
        template = open_template(name)
        shipped = shipped_weights(template)
        if shipped is not None:
            weights = read_weights(shipped).described_by(template)
        else:
            text = test["text_of"](name, side=SIDES.get(name))
            weights = read_weights(test["write_calibrated"](text, Path(scratch)))
        report = export_model(
            ExportRequest(
                weights=weights,
                folder=Path(scratch) / "out",
                formats=formats,
                precisions=("fp32", "fp16"),
            )
        )
        for one in report.files:
            if one.file is not None and "_nms" not in one.file.name:
                yield f"| {name} | {cells_of(one)} |"
            elif one.file is None and one.status == "failed":
                yield f"| {name} | {one.format} | {one.precision} | | | | | | {one.reason} |"


def cells_of(one: ExportedFile) -> str:
    """The cells of a file's row, after its template's name."""
    assert one.file is not None
    assert one.certificate is not None
    both, apart = one.certificate.agreement, one.certificate.differences
    corners = apart.get("corners_px")
    score = next(
        (apart[key] for key in ("score", "probability", "1 - cosine") if key in apart), None
    )
    cells = [
        f"`{one.file.name}`",
        one.precision,
        f"{one.size / 1e6:.2f}",
        "" if one.seconds is None else f"{one.seconds:.1f}",
        "" if corners is None else f"{corners:.1e}",
        "" if score is None else f"{score:.1e}",
        f"{both.agreed} of {both.asked}",
        one.status,
    ]
    return " | ".join(cells)


if __name__ == "__main__":
    main()
