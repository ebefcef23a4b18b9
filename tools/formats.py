"""What every template's export gives here, file by file: docs/reports/formats.md.

    python tools/formats.py > docs/reports/formats.md

Exports all templates whole, with the weights that ship where any do. Hours, on two cores.
"""

from __future__ import annotations

import argparse
import runpy
import tempfile
from pathlib import Path

from pocketface.export import Row, export_model
from pocketface.model_templates import template_names, template_path
from pocketface.models.weights import shipped_weights
from pocketface.tasks.templates import open_template

TEST = Path(__file__).resolve().parents[1] / "tests" / "export" / "test_matrix.py"

SIDES = {"face-detection-0206": 128}
"""Input where the template's own takes hours: 340 GFLOPs, in seven runtimes and two precisions."""


def main() -> None:
    """Export, and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.parse_args()
    test = runpy.run_path(str(TEST))
    print(
        "# Every template in every format\n\n"
        "Written by `python tools/formats.py`, on two cores. `seconds` are those of\n"
        "a format's conversion and verification. Weights are trained where a template ships some;\n"
        "the others are random behind calibrated batch norms, and exaggerate what is rounded:\n"
        "their files, FP16 above all, may miss limits that are meant for trained networks, and\n"
        "are then named so. face-detection-0206 is measured at 128x128.\n"
    )
    print("| template | file | precision | MB | seconds | corners, px | scores | faces | parity |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name in template_names():
        with tempfile.TemporaryDirectory() as scratch:
            shipped = shipped_weights(open_template(name))
            text = test["text_of"](name, side=SIDES.get(name))
            weights = shipped or test["write_calibrated"](text, Path(scratch))
            report = export_model(
                weights=weights,
                template=name if shipped else None,
                folder=Path(scratch) / "out",
                precisions=("fp32", "fp16"),
            )
            for row in report.rows:
                if row.file is not None and "_nms" not in row.file.name:
                    print(f"| {name} | {cells_of(row)} |", flush=True)


def cells_of(row: Row) -> str:
    """What the table says of a file behind its template's name."""
    assert row.file is not None
    assert row.certificate is not None
    found, faces = row.certificate, row.certificate.faces
    assert faces is not None
    cells = [
        f"`{row.file.name}`",
        row.precision,
        f"{row.size / 1e6:.2f}",
        "" if row.seconds is None else f"{row.seconds:.1f}",
        "" if found.corners_px is None else f"{found.corners_px:.1e}",
        "" if found.score is None else f"{found.score:.1e}",
        f"{faces.matched} of {faces.faces}",
        row.status,
    ]
    return " | ".join(cells)


if __name__ == "__main__":
    main()
