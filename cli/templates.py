"""`pocketface templates`."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from .console import print_table, tell
from .json_lines import add_json, print_json

if TYPE_CHECKING:
    from ..apps.template_table import TemplateRow

_NONE = "\N{EN DASH}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's flags."""
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--all", action="store_true", help="everything about each")
    add_json(how, "template")


def run(args: argparse.Namespace) -> None:
    """Print the templates."""
    from ..apps.template_table import template_rows

    rows = template_rows()
    tasks = dict.fromkeys(row.template.problem for row in rows)
    for task in tasks:
        of_task = [row for row in rows if row.template.problem == task]
        if args.json:
            for row in of_task:
                print_json(_as_json(row))
        elif args.all:
            for row in of_task:
                for line in _description(row):
                    tell(line)
                print()
        else:
            _print_table(task, of_task)
    if args.json:
        return
    print("Mparams and GFLOPs (2xMAC) are counted from the built network, at batch 1.")
    ready = [row.template.name for row in rows if row.ready_bytes is not None]
    print(textwrap.fill(f"Run without PyTorch: {', '.join(ready)}.", 80, break_on_hyphens=False))
    print("Those without weights have to be trained first.")
    if not args.all:
        print("`pocketface templates --all` tells what each is.")


def _print_table(task: str, rows: Sequence[TemplateRow]) -> None:
    measured = [row.template.metrics for row in rows if row.template.metrics]
    keys = [{metric.key for metric in metrics} for metrics in measured]
    shared = [one for one in measured[0] if all(one.key in some for some in keys)] if keys else []
    heads = [f"{metric.key.replace('_', chr(10))}\n{metric.unit}" for metric in shared]
    cells = []
    for row in rows:
        own = row.sizes[0] if row.sizes else None
        values = {metric.key: metric.value for metric in row.template.metrics}
        cells.append(
            [
                row.template.name,
                f"{row.template.input.width}x{row.template.input.height}",
                f"{own.mparams:.3f}" if own else _NONE,
                f"{own.gflops:.2f}" if own else _NONE,
                _megabytes(row.weights_bytes),
                *(_value(values.get(metric.key)) for metric in shared),
            ]
        )
    print_table(
        f"Templates for {task}",
        ("name", "input", "Mparams", "GFLOPs", "weights\nMB", *heads),
        cells,
        numbers=range(2, 5 + len(heads)),
    )


def _description(row: TemplateRow) -> Iterator[str]:
    template, published = row.template, row.template.published
    given = template.input
    yield template.name
    yield f"  {template.summary}"
    free = f", or any multiple of {given.multiple_of}" if given.multiple_of else ""
    yield f"  task       {template.problem}"
    yield f"  input      {given.width}x{given.height}, {given.resize}{free}"
    yield f"  network    {row.network}"
    basic = template.hyper_parameters.basic
    gpus = f"{template.gpu_num} GPU" + "s" * (template.gpu_num > 1)
    yield f"  training   batch {basic.batch_size} x {gpus}, {basic.epochs} epochs"
    for size in row.sizes:
        yield (
            f"  counted    {size.mparams:.3f} Mparams, {size.gflops:.2f} GFLOPs "
            f"({size.gmac:.2f} GMAC) at {size.width}x{size.height}"
        )
    if published is not None:
        difference = row.difference() or (None, None)
        yield (
            f"  published  {published.mparams:g} Mparams{_share(difference[0])}, "
            f"{published.gflops:g} GFLOPs{_share(difference[1])}"
        )
        if published.note:
            yield f"             {published.note}"
    ready = f"; {row.ready_bytes / 1e6:.2f} MB without PyTorch" if row.ready_bytes else ""
    yield f"  weights    {_megabytes(row.weights_bytes)}{' MB' * bool(row.weights_bytes)}{ready}"
    for metric in template.metrics:
        yield f"  measured   {metric.display_name}: {_value(metric.value)} {metric.unit}"


def _value(value: float | None) -> str:
    return _NONE if value is None else f"{value:.2f}"


def _share(difference: float | None) -> str:
    return "" if difference is None else f" ({difference:+.1%} counted)"


def _megabytes(size: int | None) -> str:
    return _NONE if size is None else f"{size / 1e6:.2f}"


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
        "ready_bytes": row.ready_bytes,
        "metrics": [metric.model_dump() for metric in template.metrics],
    }
