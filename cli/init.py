"""`pocketface init`."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import EXTRAS, UserError
from .console import tell
from .parser import a_path

if TYPE_CHECKING:
    from ..apps.work_dir import WorkDir

_EXPORT = "export"
"""Folder in the work directory, in what is printed."""

_TRAINING = ("torch", "lightning", "kornia")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's flags."""
    parser.add_argument("template", metavar="TEMPLATE", help="a name, or a template.yaml")
    parser.add_argument("work_dir", metavar="WORK_DIR", type=a_path, help="made if it is not there")
    parser.add_argument("--force", action="store_true", help="overwrite files that are there")


def run(args: argparse.Namespace) -> None:
    """Make the work directory, and print the next steps."""
    from ..apps.work_dir import create_work_dir

    made = create_work_dir(args.template, args.work_dir, force=args.force)
    tell(f"{args.work_dir}: {', '.join(path.name for path in made.files)}")
    tell("next:")
    if args.work_dir != Path():
        tell(f"  cd {shlex.quote(str(args.work_dir))}")
    for line in _steps(made):
        tell(f"  {line}")


def _steps(made: WorkDir) -> list[str]:
    """Commands to be typed in the work directory, which do what they say on this machine."""
    from ..tasks.weights import SNAPSHOT

    if made.weights is None:
        return [
            *_install(_TRAINING),
            "python train.py --train-ann-files A.json --train-data-roots DIR \\",
            "  --val-ann-files B.json --val-data-roots DIR --save-checkpoints-to checkpoints",
        ]
    ready = [] if made.ready is None else _look(made, made.ready.name)
    packages, file = _first_format(made)
    export = [*_install(packages), f"python export.py --save-model-to {_EXPORT}"]
    if made.weights.name != SNAPSHOT or file is None:
        return [*ready, *export]
    return [*export, *_look(made, f"{_EXPORT}/{file}")]


def _first_format(made: WorkDir) -> tuple[Sequence[str], str | None]:
    """Packages and file of the first format that `export` writes here, or would if they were."""
    from ..exporting.formats import EXPORTERS

    stem = "model_int8" if made.quantized else "model"
    names = {"openvino": f"{stem}.bin", "onnx": f"{stem}.onnx"}
    formats = [name for name, wanted in made.template.spec.output_format if wanted]
    needed = ("torch", "nncf") if made.quantized else ("torch",)
    all_packages = {name: (*needed, *EXPORTERS[name].packages) for name in formats}
    able = [name for name in formats if all(map(find_spec, all_packages[name]))]
    for name in (*able, *formats):
        return all_packages[name], names.get(name)
    return (), None


def _install(packages: Iterable[str]) -> list[str]:
    """The command that installs what is missing of some packages, if anything is."""
    extras = dict.fromkeys(EXTRAS[package] for package in packages if find_spec(package) is None)
    return [f"pip install 'pocketface[{','.join(extras)}]'"] if extras else []


def _look(made: WorkDir, file: str) -> list[str]:
    """The commands that show what a model file finds, in a window if there can be one."""
    from ..apps.window import check_display

    try:
        check_display()
    except UserError:
        source = "photo.jpg --output drawn.jpg --no-show"
    else:
        source = "0"
    look = [f"python visualize.py --load-weights {file} --video {source}"]
    if any(path.name == "segment.py" for path in made.files):
        look.append(f"python segment.py photos/ --load-weights {file} --output masks")
    return look
