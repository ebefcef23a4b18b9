"""`pocketface export`."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from ..errors import PocketfaceError
from ..places import check_place
from .console import print_table, progress, tell
from .parity_figures import columns, figures
from .parser import FOREIGN, a_path, names, size

if TYPE_CHECKING:
    from ..exporting.report import ExportedFile


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's flags."""
    parser.add_argument(
        "--template",
        metavar="NAME|FILE",
        help="whose input and thresholds the files state (default: that inside the weights)",
    )
    parser.add_argument(
        "--load-weights",
        type=a_path,
        metavar="FILE|NAME",
        help="a .pth or .safetensors (default: what ships with the template); with --template also "
        f"{FOREIGN}",
    )
    parser.add_argument("--save-model-to", type=a_path, required=True, metavar="DIR")
    parser.add_argument(
        "--formats",
        type=names,
        metavar="A,B",
        help="openvino, onnx, coreml, litert, tensorflow, torchscript; all: each that the network "
        "can have (default: those that the template names), as far as their packages are installed",
    )
    parser.add_argument(
        "--precision",
        type=names,
        default=["fp32"],
        metavar="fp32,fp16",
        help="of the stored weights (default: fp32); FP16 files are called model_fp16",
    )
    parser.add_argument(
        "--with-nms",
        action="store_true",
        help="of a detector: ONNX and OpenVINO files with NMS inside, too",
    )
    parser.add_argument(
        "--input-size", type=size, metavar="HxW", help="instead of the template's, as 480x640"
    )
    parser.add_argument(
        "--photos",
        type=a_path,
        metavar="DIR",
        help="to verify the files on (default: 20 views of two photos in the public domain)",
    )
    parser.add_argument(
        "--no-verify", action="store_true", help="do not compare the files with the network"
    )


def run(args: argparse.Namespace) -> None:
    """Export, and print the files and how far their answers are from PyTorch's."""
    from ..api.export import export

    check_place(args.save_model_to, "--save-model-to", folder=True)
    with progress("formats") as on_progress:
        report = export(
            args.template,
            args.save_model_to,
            weights=args.load_weights,
            formats=args.formats,
            precision=args.precision,
            with_nms=args.with_nms,
            input_size=args.input_size,
            photos=args.photos,
            verify=not args.no_verify,
            on_file=_tell_of,
            on_progress=on_progress,
        )
    heads = columns(one.certificate for one in report.files)
    print_table(
        f"{report.name}, input {report.input_size[1]}x{report.input_size[0]} (width x height)",
        ("file", "precision", "MB", "seconds", "parity", *heads),
        [
            (
                str(one.file or one.format),
                one.precision,
                f"{one.size / 1e6:.2f}" if one.file else "",
                "" if one.seconds is None else f"{one.seconds:.1f}",
                one.status,
                *figures(one.certificate, heads),
            )
            for one in report.files
        ],
        numbers=(2, 3, *range(6, 4 + len(heads))),
    )
    if report.failed:
        named = "; ".join(
            f"{one.file or one.format} ({one.precision}: {one.reason})" for one in report.failed
        )
        raise PocketfaceError(f"failed: {named}")


def _tell_of(file: ExportedFile) -> None:
    """Print what became of a file, at once: the others may take minutes."""
    tell(str(file))
    if sys.stdout is not None:
        sys.stdout.flush()
