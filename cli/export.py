"""`pocketface export`."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..apps.work_dir import weights_for
from .console import print_table
from .parser import names, size


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags."""
    parser.add_argument(
        "--template",
        metavar="NAME|FILE",
        help="whose input and thresholds the files state (default: that inside the weights)",
    )
    parser.add_argument(
        "--load-weights",
        type=Path,
        metavar="FILE",
        help="a .pth or .safetensors (default: what ships with the template)",
    )
    parser.add_argument("--save-model-to", type=Path, required=True, metavar="DIR")
    parser.add_argument(
        "--formats", type=names, metavar="A,B", help="openvino, onnx (default: the template's)"
    )
    parser.add_argument(
        "--precision", choices=("fp32", "fp16"), default="fp32", help="of the stored weights"
    )
    parser.add_argument(
        "--input-size", type=size, metavar="HxW", help="instead of the template's, as 480x640"
    )


def run(args: argparse.Namespace) -> None:
    """Export, and print what was written and how far it is from PyTorch."""
    weights = weights_for(args.template, args.load_weights)
    # After the flags were checked: the exporters take seconds to load.
    from ..export import export_model

    report = export_model(
        weights=weights,
        template=args.template,
        folder=args.save_model_to,
        formats=args.formats,
        precision=args.precision,
        input_size=args.input_size,
    )
    checks = {
        one.file: f"{one.runtime}: boxes within {one.box_px:.1g} px, scores within {one.score:.1g}"
        for one in report.parity
    }
    print_table(
        f"{report.contract.name} {report.contract.precision}, input "
        f"{report.contract.input.width}x{report.contract.input.height}",
        ("file", "MB", "difference from PyTorch"),
        [
            (str(path), f"{path.stat().st_size / 1e6:.2f}", checks.get(path, ""))
            for path in report.files
        ],
        numbers=(1,),
    )
