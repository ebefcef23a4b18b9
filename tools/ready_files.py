"""Make the ready model files of the templates that are used by default, which need no PyTorch.

    python tools/ready_files.py [TEMPLATE ...]

Without names: the templates that have one. A file is what `export --formats onnx --precision fp16`
writes of the weights that ship, with its certificate. To be run after `tools/ship.py`, and after a
change of the contract or of the exporter.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from pocketface.exporting import ExportRequest, export_model
from pocketface.exporting.certificate import certificate_path
from pocketface.model_templates.catalogue import (
    READY_FILE,
    ready_file,
    template_names,
    template_path,
)
from pocketface.tasks.weights import open_weights

LARGEST = 3_000_000
"""Most bytes of a ready file: all of them are in every wheel."""


def main() -> None:
    """Make the files, and print their sizes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("templates", nargs="*", metavar="TEMPLATE")
    for name in parser.parse_args().templates or filter(ready_file, template_names()):
        folder = template_path(name).parent
        with tempfile.TemporaryDirectory(dir=folder, prefix=".ready-") as aside:
            report = export_model(
                ExportRequest(
                    weights=open_weights(name, None),
                    folder=Path(aside),
                    formats=["onnx"],
                    precisions=["fp16"],
                )
            )
            (file,) = report.files
            if file.status != "passed" or file.size > LARGEST:
                sys.exit(f"{name}: {file.status}, {file.size} bytes: {file.reason}")
            made = Path(aside, READY_FILE)
            for path in (made, certificate_path(made)):
                os.replace(path, folder / path.name)
        print(f"{folder / READY_FILE}: {file.size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
