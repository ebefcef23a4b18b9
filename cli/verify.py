"""`pocketface verify`."""

from __future__ import annotations

import argparse

from ..api.verify import verify
from ..errors import PocketfaceError
from .console import print_table, progress, tell
from .parity_figures import columns, figures
from .parser import a_path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's flags."""
    parser.add_argument("models", nargs="+", type=a_path, metavar="FILE|DIR", help="model files")
    parser.add_argument(
        "--load-weights",
        type=a_path,
        metavar="FILE",
        help="the checkpoint they were made from (default: what ships with their template, or "
        "the answers in the certificate beside each)",
    )
    parser.add_argument(
        "--photos",
        type=a_path,
        metavar="DIR",
        help="to run them on (default: 20 views of two photos in the public domain)",
    )


def run(args: argparse.Namespace) -> None:
    """Verify, print a table, and fail unless every file passed."""
    with progress("files") as on_progress:
        found = verify(
            args.models, weights=args.load_weights, photos=args.photos, on_progress=on_progress
        )
    heads = columns(one.certificate for one in found)
    print_table(
        "Model files beside the network that they were made from",
        ("file", "status", *heads, "compared with"),
        [
            (
                str(one.file),
                one.status,
                *figures(one.certificate, heads),
                one.certificate.against if one.certificate else "",
            )
            for one in found
        ],
        numbers=range(3, 1 + len(heads)),
    )
    for one in found:
        if one.reason:
            tell(str(one))
    passed = sum(one.status == "passed" for one in found)
    if passed < len(found):
        raise PocketfaceError(f"{passed} of {len(found)} files passed")
