"""`pocketface compress`."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from ..errors import PocketfaceError
from ..places import check_place
from .console import print_table, progress, tell
from .labels import ANNOTATIONS, add_classes, labels_of
from .parser import (
    FOREIGN,
    PRECISIONS,
    a_path,
    count,
    fraction,
    names,
    positive,
    positive_count,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's flags."""
    parser.add_argument("--template", metavar="NAME|FILE", help="whose weights are the default")
    parser.add_argument(
        "--load-weights",
        type=a_path,
        metavar="FILE|NAME",
        help=f".pth or .safetensors; with --template also {FOREIGN}",
    )
    for part, use in (("train", "for the ranges"), ("val", "to measure on")):
        parser.add_argument(
            f"--{part}-ann-files",
            nargs="+",
            required=True,
            metavar="FILE",
            help=f"{use}: {ANNOTATIONS}",
        )
        parser.add_argument(
            f"--{part}-data-roots",
            nargs="+",
            required=True,
            metavar="DIR",
            help="folders of the photos, one for each file or one for all",
        )
    add_classes(parser)
    parser.add_argument(
        "--save-checkpoints-to",
        type=a_path,
        required=True,
        metavar="DIR",
        help="for the files, compression.md and compression.json",
    )
    parser.add_argument(
        "--post-training",
        action="store_true",
        help="int8 without training: ranges from photos, a quantizer of its own for each runtime",
    )
    parser.add_argument(
        "--nncf-quantization",
        action="store_true",
        help="int8 with training: fine-tune with the rounding in place, then make the files",
    )
    parser.add_argument(
        "--nncf-sparsity",
        action="store_true",
        help="fine-tune while weights are made zero; with one of the two above, then int8",
    )
    parser.add_argument(
        "--filter-pruning",
        action="store_true",
        help="drop whole channels and fine-tune, before all of the above",
    )
    parser.add_argument(
        "--formats",
        type=names,
        metavar="NAMES",
        help="openvino,onnx,coreml,litert (default: those whose packages are installed)",
    )
    parser.add_argument(
        "--precision",
        type=names,
        metavar="NAMES",
        help="int8,fp16; of Core ML also palette6,palette4: weights of 6 and 4 bits "
        "(default: int8 where files are quantized)",
    )
    parser.add_argument(
        "--max-drop",
        type=positive,
        default=0.5,
        metavar="POINTS",
        help="of AP50, of balanced accuracy, of a mask's IoU, or of TAR at FAR 1e-3, that may be "
        "lost (default: 0.5)",
    )
    parser.add_argument(
        "--goal",
        choices=("speed", "size"),
        default="speed",
        help="what a compressed file must be better at to be written (default: speed)",
    )
    parser.add_argument(
        "--photos",
        type=positive_count,
        default=300,
        metavar="N",
        help="for the ranges (default: 300)",
    )
    parser.add_argument("--seed", type=count, default=0, metavar="N", help="of their choice")
    training = parser.add_argument_group("training, with --nncf-… and --filter-pruning")
    training.add_argument(
        "--resume", action="store_true", help="go on with what was interrupted in the same folder"
    )
    training.add_argument(
        "--epochs",
        type=positive_count,
        metavar="N",
        help="of each training; default: the template's",
    )
    training.add_argument("--batch-size", type=positive_count, metavar="N", help="per GPU")
    training.add_argument(
        "--base-learning-rate", type=positive, metavar="RATE", help="default: the template's"
    )
    training.add_argument(
        "--gpu-num", type=int, choices=(0, 1), help="0 for the CPU; default: 1 if there is one"
    )
    training.add_argument(
        "--workers", type=count, default=1, metavar="N", help="processes that cut samples"
    )
    training.add_argument(
        "--train-precision",
        choices=PRECISIONS,
        default=PRECISIONS[0],
        help="as train's --precision (default: 32-true)",
    )
    training.add_argument(
        "--sparsity-ratio", type=fraction, metavar="0..1", help="of zeros; default: the template's"
    )
    training.add_argument(
        "--pruning-ratio", type=fraction, metavar="0..1", help="of channels; likewise"
    )
    training.add_argument(
        "--sparsity-mode",
        choices=("magnitude", "regularization"),
        help="the smallest weights, or trained masks; default: the template's",
    )


def run(args: argparse.Namespace) -> None:
    """Compress, and print size, speed and accuracy of each file."""
    from ..api.compress import compress

    check_place(args.save_checkpoints_to, "--save-checkpoints-to", folder=True)
    with _late_progress("files") as on_progress:
        report = compress(
            args.template,
            args.save_checkpoints_to,
            annotations=labels_of(args, "train"),
            val_annotations=labels_of(args, "val"),
            weights=args.load_weights,
            post_training=args.post_training,
            nncf_quantization=args.nncf_quantization,
            nncf_sparsity=args.nncf_sparsity,
            filter_pruning=args.filter_pruning,
            formats=args.formats,
            precision=args.precision,
            max_drop=args.max_drop,
            goal=args.goal,
            range_photos=args.photos,
            seed=args.seed,
            resume=args.resume,
            epochs=args.epochs,
            batch_size=args.batch_size,
            base_learning_rate=args.base_learning_rate,
            gpu_num=args.gpu_num,
            workers=args.workers,
            train_precision=args.train_precision,
            sparsity_ratio=args.sparsity_ratio,
            sparsity_mode=args.sparsity_mode,
            pruning_ratio=args.pruning_ratio,
            command=args.command_line,
            on_progress=on_progress,
        )
    columns, rows = report.table()
    print_table(report.name, columns, rows, numbers=range(3, len(columns)))
    for name in ("compression.md", "compression.json"):
        tell(f"written: {args.save_checkpoints_to / name}")
    if report.failed:
        raise PocketfaceError(f"not compressed: {'; '.join(report.failed)}")


@contextmanager
def _late_progress(unit: str) -> Iterator[Callable[[int, int], None]]:
    """As `progress`, but the bar appears at the first call: trainings before have their own."""
    with ExitStack() as stack:
        shown: list[Callable[[int, int], None]] = []

        def on_progress(done: int, total: int) -> None:
            if not shown:
                shown.append(stack.enter_context(progress(unit)))
            shown[0](done, total)

        yield on_progress
