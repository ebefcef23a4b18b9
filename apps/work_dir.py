"""Work directories: a template, its weights, and scripts."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from ..errors import UserError
from ..files import scratch_folder
from ..model_templates.catalogue import TEMPLATE_FILE, ready_file, template_names
from ..model_templates.schema import TemplateFile
from ..places import why_not_writable
from ..tasks import task_of
from ..tasks.templates import open_template
from ..tasks.weights import SNAPSHOT, shipped_file

_SCRIPTS = ("train", "eval", "compress", "export", "visualize")

_SCRIPTS_FOR = {"mask": "segment"}
"""Further ones, by the output of a network that their command takes."""

_SCRIPT = '''"""`pocketface {verb}` with the template of this folder; see --help."""

import sys
from pathlib import Path

from pocketface.cli import main

TEMPLATE = Path(__file__).with_name("template.yaml")

if __name__ == "__main__":
    sys.exit(main(["{verb}", "--template", str(TEMPLATE), *sys.argv[1:]]))
'''


@dataclass(frozen=True)
class WorkDir:
    """A new work directory.

    Attributes:
        files: The files written.
        template: The template.
        weights: The weights file: `snapshot.pth`, or a copy of what ships if PyTorch, which writes
            it, is not installed; None if none ship.
        ready: A copy of the template's ready model file; None with PyTorch, or if it has none.
        quantized: Whether the weights of `snapshot.pth` were trained for int8.
    """

    files: list[Path]
    template: TemplateFile
    weights: Path | None
    ready: Path | None
    quantized: bool


def create_work_dir(template: str, folder: Path, *, force: bool = False) -> WorkDir:
    """Make a work directory: the template, its shipped weights if any, and the scripts.

    Args:
        template: Name in the catalogue, or path of a template.yaml.
        folder: The work directory; made if missing.
        force: Whether to overwrite files, and to remove a snapshot of another template.

    Raises:
        UserError: A file exists already and `force` is false; nothing was written.
        TemplateError: There is no such template.
        ModelFileError: The shipped weights are damaged.
    """
    source = open_template(template)
    weights = shipped_file(source)
    with_torch = find_spec("torch") is not None
    ready = None
    if weights is not None and not with_torch and source.spec.name in template_names():
        ready = ready_file(source.spec.name)
    scripts = _scripts(source)
    names = [TEMPLATE_FILE, *scripts]
    if weights is not None:
        names.append(SNAPSHOT if with_torch else weights.name)
    if ready is not None:
        names.append(ready.name)
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder}: is a file; expected a folder, new or old")
    why = why_not_writable(folder, folder=True)
    if why is not None:
        raise UserError(f"{folder}: cannot be written: {why}")
    there = [name for name in (*names, SNAPSHOT) if (folder / name).exists()]
    if there and not force:
        raise UserError(
            f"{folder / there[0]}: is there already",
            hint="--force overwrites it; or name a new folder",
        )
    made = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        # Everything is written aside first, so that a full disk leaves the folder unchanged.
        with scratch_folder(folder) as aside:
            for name, text in scripts.items():
                (aside / name).write_text(text, encoding="utf-8")
            quantized = _fill(aside, source, weights, with_torch=with_torch)
            if ready is not None:
                shutil.copyfile(ready, aside / ready.name)
            for name in names:
                os.replace(aside / name, folder / name)
            if SNAPSHOT not in names:  # an old one of another template would be loaded by default
                (folder / SNAPSHOT).unlink(missing_ok=True)
    except BaseException:
        if made:
            with suppress(OSError):
                folder.rmdir()
        raise
    return WorkDir(
        files=[folder / name for name in names],
        template=source,
        weights=None if weights is None else folder / (SNAPSHOT if with_torch else weights.name),
        ready=None if ready is None else folder / ready.name,
        quantized=quantized,
    )


def _scripts(template: TemplateFile) -> dict[str, str]:
    """The scripts that fit a template: their text by their name."""
    outputs = task_of(template.spec.problem).rules.OUTPUTS
    further = [verb for output, verb in _SCRIPTS_FOR.items() if output in outputs]
    return {f"{verb}.py": _SCRIPT.format(verb=verb) for verb in (*_SCRIPTS, *further)}


def _fill(folder: Path, source: TemplateFile, weights: Path | None, *, with_torch: bool) -> bool:
    """Write the template and its weights; returns whether they are for int8."""
    shutil.copyfile(source.path, folder / TEMPLATE_FILE)
    if weights is None:
        return False
    if not with_torch:
        shutil.copyfile(weights, folder / weights.name)
        return False
    from ..models.weights import read_weights, write_weights

    found = read_weights(weights)
    write_weights(
        folder / SNAPSHOT,
        template_text=found.template_text,
        state_dict=found.state_dict,
        epochs=found.epochs,
        data=found.data,
        seed=found.seed,
        metrics=found.metrics,
        hooks=found.hooks,
    )
    return found.hooks is not None
