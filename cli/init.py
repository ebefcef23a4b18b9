"""`pocketface init`."""

from __future__ import annotations

import argparse
import shlex

from .console import tell
from .parser import a_path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's flags."""
    parser.add_argument("template", metavar="TEMPLATE", help="a name, or a template.yaml")
    parser.add_argument("work_dir", metavar="WORK_DIR", type=a_path, help="made if it is not there")
    parser.add_argument("--force", action="store_true", help="overwrite files that are there")


def run(args: argparse.Namespace) -> None:
    """Make the work directory, and print the next steps."""
    from ..apps.work_dir import create_work_dir
    from ..tasks.weights import SNAPSHOT

    written = create_work_dir(args.template, args.work_dir, force=args.force)
    tell(f"{args.work_dir}: {', '.join(path.name for path in written)}")
    tell("next:")
    tell(f"  cd {shlex.quote(str(args.work_dir))}")
    if any(path.name == SNAPSHOT for path in written):
        tell("  python export.py --save-model-to export")
        tell("  python visualize.py --load-weights export/model.bin --video 0")
    else:
        tell("  python train.py --train-ann-files A.json --train-data-roots DIR \\")
        tell("    --val-ann-files B.json --val-data-roots DIR --save-checkpoints-to checkpoints")
