"""A snapshot as MMDetection writes them, of the weights in OpenVINO's public file.

    python tools/snapshot_of_ir.py face-detection-0200 face-detection-0200.xml SNAPSHOT.pth

The snapshots themselves are no longer to be had. With this one, `--load-weights SNAPSHOT.pth` can
be measured beside the file: docs/reports/servers.md.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pocketface.models.weights import read_weights
from pocketface.tasks.templates import open_template

TESTS = Path(__file__).resolve().parents[1] / "tests" / "models"
"""Has the published networks, under the published names."""


def main() -> None:
    """Read the file as our template, and write its weights under the published names."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("template")
    parser.add_argument("file", type=Path, help="an .xml, with its .bin beside it")
    parser.add_argument("snapshot", type=Path)
    given = parser.parse_args()
    template = open_template(given.template)
    weights = read_weights(given.file, template=template)

    sys.path.insert(0, str(TESTS))
    from mmdet_files import fill, save_snapshot  # type: ignore[import-not-found]
    from mmdet_networks import detector  # type: ignore[import-not-found]

    head = template.spec.architecture.head
    anchors = [level.model_dump() for level in head.anchors] if head.type == "ssd" else []
    network = detector(given.template, anchors)
    fill(network, weights.state_dict)
    save_snapshot(network, given.snapshot)


if __name__ == "__main__":
    main()
