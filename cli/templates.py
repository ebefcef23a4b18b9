"""`pocketface templates`."""

from __future__ import annotations

import argparse
import json
from typing import Any

from ..apps.template_table import TemplateRow, template_rows
from .console import print_table

_NONE = "\N{EN DASH}"
_COLUMNS = (
    "name", "input", "batch x GPUs", "network",
    "Mparams", "published", "diff",
    "GFLOPs", "GMAC", "published", "diff",
    "weights MB", "metrics",
)  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's flags."""
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def run(args: argparse.Namespace) -> None:
    """Print the table."""
    rows = template_rows()
    if args.json:
        print(json.dumps([_as_json(row) for row in rows], indent=2))
        return
    for task in dict.fromkeys(row.template.problem for row in rows):
        cells = [line for row in rows if row.template.problem == task for line in _lines(row)]
        print_table(f"Templates for {task}", _COLUMNS, cells, numbers=range(4, 12))
    print("Mparams, GFLOPs (2xMAC) and GMAC are counted from the built network, at batch 1.")
    if not any(row.sizes for row in rows):
        print("Counting needs torch: pip install 'pocketface[train]'")
    for row in rows:
        if row.template.published is not None and row.template.published.note:
            print(f"{row.template.name}: {row.template.published.note}")


def _lines(row: TemplateRow) -> list[list[str]]:
    lines = [_cells(row)]
    for size in row.sizes[1:]:
        at = f"at {size.width}x{size.height}"
        lines.append(["", at, *[""] * 5, f"{size.gflops:.2f}", f"{size.gmac:.2f}"])
    return lines


def _cells(row: TemplateRow) -> list[str]:
    template, published = row.template, row.template.published
    own = row.sizes[0] if row.sizes else None
    difference = row.difference()
    metrics = [m for m in template.metrics if m.value is not None]
    return [
        template.name,
        f"{template.input.width}x{template.input.height} {template.input.resize}",
        f"{template.hyper_parameters.basic.batch_size} x {template.gpu_num}",
        row.network,
        f"{own.mparams:.3f}" if own else _NONE,
        f"{published.mparams:.2f}" if published else _NONE,
        f"{difference[0]:+.1%}" if difference else _NONE,
        f"{own.gflops:.2f}" if own else _NONE,
        f"{own.gmac:.2f}" if own else _NONE,
        f"{published.gflops:.2f}" if published else _NONE,
        f"{difference[1]:+.1%}" if difference else _NONE,
        f"{row.weights_bytes / 1e6:.2f}" if row.weights_bytes else _NONE,
        "\n".join(f"{m.key} {m.value:g} {m.unit}" for m in metrics) or _NONE,
    ]


def _as_json(row: TemplateRow) -> dict[str, Any]:
    template = row.template
    difference = row.difference()
    return {
        "name": template.name,
        "task": template.problem,
        "summary": template.summary,
        "input": template.input.model_dump(),
        "batch_size": template.hyper_parameters.basic.batch_size,
        "gpu_num": template.gpu_num,
        "network": row.network,
        "counted": [
            {
                "height": size.height,
                "width": size.width,
                "mparams": size.mparams,
                "gflops": size.gflops,
                "gmac": size.gmac,
            }
            for size in row.sizes
        ],
        "published": None if template.published is None else template.published.model_dump(),
        "difference": None
        if difference is None
        else {"mparams": difference[0], "gflops": difference[1]},
        "weights_bytes": row.weights_bytes,
        "metrics": [metric.model_dump() for metric in template.metrics],
    }
