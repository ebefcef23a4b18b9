"""Count the parameters and operations of every template: model_templates/counts.json.

    python tools/counts.py

`pocketface templates` shows them without PyTorch. A test compares the file with what this counts.
"""

from __future__ import annotations

import argparse
import json

from pocketface.files import atomic_write
from pocketface.model_templates.catalogue import COUNTS_FILE, template_names
from pocketface.model_templates.schema import Template
from pocketface.models.count import count
from pocketface.tasks.templates import open_template

VGA = (480, 640)
"""Height and width at which operations are also counted where photos of any size may go in."""


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.parse_args()
    counts = {name: counted(open_template(name).spec) for name in template_names()}
    with atomic_write(COUNTS_FILE, "w") as handle:
        handle.write(json.dumps(counts, indent=1) + "\n")


def counted(template: Template) -> list[dict[str, float]]:
    """Counts at the template's own input, then at `VGA` if photos of any size may go in."""
    sizes = [(template.input.height, template.input.width)]
    whole_photos = template.input.resize != "align"
    if template.input.multiple_of is not None and whole_photos and VGA not in sizes:
        sizes.append(VGA)
    found = []
    for height, width in sizes:
        one = count(template.architecture, height=height, width=width)
        found.append(
            {"height": height, "width": width, "mparams": one.mparams, "gflops": one.gflops}
        )
    return found


if __name__ == "__main__":
    main()
