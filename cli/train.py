"""`pocketface train`."""

from __future__ import annotations

import argparse
import os

from ..places import check_place
from .console import tell
from .labels import ANNOTATIONS, add_classes, labels_of
from .parser import FOREIGN, PRECISIONS, a_path, count, positive, positive_count

TRACKERS = ("mlflow", "clearml")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's flags."""
    parser.add_argument("--template", required=True, metavar="NAME|FILE", help="what to train")
    start = parser.add_mutually_exclusive_group()
    start.add_argument(
        "--load-weights",
        type=a_path,
        metavar="FILE|NAME",
        help=f"start at epoch 0 from these weights, a template's, or {FOREIGN}",
    )
    start.add_argument(
        "--resume-from", type=a_path, metavar="FILE", help="go on with this training"
    )
    for part, required in (("train", True), ("val", False)):
        parser.add_argument(
            f"--{part}-ann-files", nargs="+", required=required, metavar="FILE", help=ANNOTATIONS
        )
        parser.add_argument(
            f"--{part}-data-roots",
            nargs="+",
            required=required,
            metavar="DIR",
            help="folders of the photos, one for each file or one for all",
        )
    add_classes(parser)
    parser.add_argument(
        "--save-checkpoints-to", type=a_path, required=True, metavar="DIR",
        help="for latest.pth, best.pth, logs and curves",
    )  # fmt: skip
    parser.add_argument("--epochs", type=positive_count, metavar="N", help="in all")
    parser.add_argument("--batch-size", type=positive_count, metavar="N", help="per GPU")
    parser.add_argument(
        "--base-learning-rate", type=positive, metavar="RATE",
        help="default: the template's, scaled to the photos of a step",
    )  # fmt: skip
    parser.add_argument(
        "--gpu-num", type=count, metavar="N",
        help="0 for the CPU; default: the template's, as far as the machine has them",
    )  # fmt: skip
    parser.add_argument(
        "--seed", type=count, metavar="N", help="default: that of the training resumed, else 0"
    )
    parser.add_argument(
        "--workers", type=count, default=1, metavar="N", help="processes that cut samples"
    )
    parser.add_argument(
        "--val-every",
        type=positive_count,
        default=1,
        metavar="N",
        help="epochs between validations",
    )
    parser.add_argument(
        "--precision",
        choices=PRECISIONS,
        default=PRECISIONS[0],
        help="of the arithmetic: 32-true, the most exact (default); bf16-mixed, for speed and "
        "memory on processors and GPUs with bfloat16; 16-mixed, the same on GPUs without it",
    )
    parser.add_argument(
        "--tracker", nargs="+", choices=TRACKERS, metavar="NAME",
        help=f"experiment trackers to tell too: {', '.join(TRACKERS)}",
    )  # fmt: skip


def run(args: argparse.Namespace) -> None:
    """Train, and print the files written."""
    from ..api.train import train

    if os.environ.get("RANK", "0") == "0":  # of torchrun's processes the first one writes
        check_place(args.save_checkpoints_to, "--save-checkpoints-to", folder=True)
    report = train(
        args.template,
        args.save_checkpoints_to,
        annotations=labels_of(args, "train"),
        val_annotations=labels_of(args, "val"),
        weights=args.load_weights,
        resume_from=args.resume_from,
        epochs=args.epochs,
        batch_size=args.batch_size,
        base_learning_rate=args.base_learning_rate,
        gpu_num=args.gpu_num,
        seed=args.seed,
        workers=args.workers,
        precision=args.precision,
        val_every=args.val_every,
        trackers=args.tracker or (),
        command=args.command_line,
    )
    for path in report.written:
        tell(f"written: {path}")
    if report.written and report.best_value is not None:
        tell(f"best {report.metric_name} on the validation photos: {100 * report.best_value:.2f} %")
