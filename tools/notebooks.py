"""Run the notebooks of examples/notebooks, and keep what their cells print and show.

    python tools/notebooks.py [NAME ...]

Needs nbclient and ipykernel beside the extra `dev`; they are in no extra, as nothing else uses
them. Each notebook runs in an empty folder. tests/examples/test_notebooks.py runs their cells with
less work, and without Jupyter.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = ROOT / "examples" / "notebooks"
LONGEST = 900
"""Seconds that a cell may take."""


def main() -> None:
    """Run notebooks, and write them back with their outputs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="default: all")
    names = parser.parse_args().names or [path.stem for path in sorted(NOTEBOOKS.glob("*.ipynb"))]
    try:
        import nbformat  # type: ignore[import-not-found]
        from nbclient import NotebookClient  # type: ignore[import-not-found]
    except ImportError as error:
        sys.exit(f"{error}: needs `pip install nbclient ipykernel`")
    for name in names:
        path = NOTEBOOKS / f"{name}.ipynb"
        notebook = nbformat.read(path, as_version=4)
        with tempfile.TemporaryDirectory() as folder:
            for helper in NOTEBOOKS.glob("*.py"):
                shutil.copy(helper, folder)
            NotebookClient(
                notebook, timeout=LONGEST, resources={"metadata": {"path": folder}}
            ).execute()
        for cell in notebook.cells:
            # When each cell ran says nothing to a reader, and changes at each run.
            cell.metadata.pop("execution", None)
            if "outputs" in cell:
                # Bars, which leave empty displays too.
                cell.outputs = [
                    one
                    for one in cell.outputs
                    if one.get("name") != "stderr" and one.get("data", {}).get("text/plain") != ""
                ]
                for output in cell.outputs:
                    if "image/jpeg" in output.get("data", {}):  # Pillow gives both, PNG is larger
                        output.data.pop("image/png", None)
        text = nbformat.writes(notebook).replace(str(ROOT), "CLONE")
        path.write_text(f"{text}\n", encoding="utf-8")
        print(path.relative_to(ROOT))


if __name__ == "__main__":
    main()
