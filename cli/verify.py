"""`pocketface verify`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..errors import PocketfaceError
from .console import print_table, progress, tell
from .json_lines import add_json, print_json
from .parity_figures import columns, figures
from .parser import FOREIGN, a_path

if TYPE_CHECKING:
    from ..exporting.report import Verified


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's flags."""
    parser.add_argument(
        "models", nargs="+", type=a_path, metavar="FILE|DIR|NAME", help="model files"
    )
    parser.add_argument(
        "--template", metavar="NAME|FILE", help="of the checkpoint (default: that inside it)"
    )
    parser.add_argument(
        "--load-weights",
        type=a_path,
        metavar="FILE|NAME",
        help=f"the checkpoint they were made from; with --template also {FOREIGN} (default: what "
        "ships with --template or their own template, or the answers in the certificate beside "
        "each)",
    )
    parser.add_argument(
        "--photos",
        type=a_path,
        metavar="DIR",
        help="to run them on (default: 20 views of two photos in the public domain)",
    )
    add_json(parser, "file")


def run(args: argparse.Namespace) -> None:
    """Verify, print a table, and fail unless every file passed."""
    from ..api.verify import verify

    with progress("files") as on_progress:
        found = verify(
            args.models,
            template=args.template,
            weights=args.load_weights,
            photos=args.photos,
            on_progress=on_progress,
        )
    if args.json:
        for one in found:
            print_json(_as_json(one))
    else:
        _print(found)
    passed = sum(one.status == "passed" for one in found)
    if passed < len(found):
        raise PocketfaceError(f"{passed} of {len(found)} files passed")


def _as_json(one: Verified) -> dict[str, Any]:
    certificate = one.certificate
    return {
        "file": str(one.file),
        "status": one.status,
        "reason": one.reason,
        "precision": certificate and certificate.precision,
        "runtime": certificate and certificate.runtime,
        "compared_with": certificate and certificate.against,
        "differences": dict(certificate.differences) if certificate else {},
        "asked": certificate and certificate.agreement.asked,
        "agreed": certificate and certificate.agreement.agreed,
        "extra": certificate and certificate.agreement.extra,
    }


def _print(found: Sequence[Verified]) -> None:
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
