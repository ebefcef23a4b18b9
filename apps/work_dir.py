"""Work directories: a template, its weights, and scripts beside them."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from ..errors import UserError
from ..files import why_not_writable
from ..model_templates.catalogue import TEMPLATE_FILE, find_template, template_names, template_path
from ..model_templates.schema import load_template

_log = logging.getLogger(__name__)

SNAPSHOT = "snapshot.pth"
SCRIPTS = ("train", "eval", "compress", "export", "visualize")
WEIGHTS_SUFFIXES = (".pth", ".safetensors")

_SCRIPT = '''"""`pocketface {verb}` with the template of this folder; see --help."""

import sys
from pathlib import Path

from pocketface.cli import main

TEMPLATE = Path(__file__).with_name("template.yaml")

if __name__ == "__main__":
    sys.exit(main(["{verb}", "--template", str(TEMPLATE), *sys.argv[1:]]))
'''


def create_work_dir(template: str, folder: Path, *, force: bool = False) -> list[Path]:
    """Make a work directory: the template, its shipped weights if any, and the scripts.

    Args:
        template: Name in the catalogue, or path of a template.yaml.
        folder: Made if it is not there.
        force: Overwrite files of these names, and remove a snapshot of another template.

    Returns:
        The files written.

    Raises:
        UserError: A file is there already (without `force`); nothing was written.
        TemplateError: There is no such template.
        ModelFileError: The shipped weights are damaged.
    """
    source = find_template(template)
    load_template(source)
    weights = _shipped(source)
    names = [TEMPLATE_FILE, *(f"{verb}.py" for verb in SCRIPTS)] + [SNAPSHOT] * bool(weights)
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
        # All of it is written aside first: a full disk leaves the folder as it was.
        with tempfile.TemporaryDirectory(prefix=".init-", dir=folder) as aside:
            _fill(Path(aside), source, weights)
            for name in names:
                os.replace(Path(aside, name), folder / name)
            if weights is None:  # those of another template, which would be the default here
                (folder / SNAPSHOT).unlink(missing_ok=True)
    except BaseException:
        if made:
            with suppress(OSError):
                folder.rmdir()
        raise
    return [folder / name for name in names]


def weights_for(template: str | None, weights: Path | None) -> Path:
    """The weights a command is to use.

    Args:
        template: Name or path, as given by --template.
        weights: As given by --load-weights. Without it: `snapshot.pth` beside the template's
            file, or else the weights that ship with the template.

    Raises:
        UserError: None are given and none ship, or they belong to another architecture.
    """
    if template is None:
        if weights is None:
            raise UserError(
                "no weights to work with: expected --load-weights FILE or --template NAME"
            )
        return weights
    source = find_template(template)
    if weights is None:
        snapshot = source.with_name(SNAPSHOT)
        weights = snapshot if snapshot.is_file() else _shipped(source)
        if weights is None:
            raise UserError(
                f"template {load_template(source).name} ships no weights",
                hint="give some by --load-weights FILE, or train them: `pocketface train`",
            )
    if weights.suffix in WEIGHTS_SUFFIXES:
        from ..models.weights import read_weights_for

        read_weights_for(weights, source)
    return weights


def _shipped(source: Path) -> Path | None:
    """The weights that ship with a template, also for its copy in a work directory."""
    template = load_template(source)
    if template.initial_weights is None:
        return None
    from ..models.weights import shipped_weights

    if not source.with_name(template.initial_weights.file).exists() and (
        template.name in template_names()
    ):
        source = template_path(template.name)
    return shipped_weights(source)


def _fill(folder: Path, source: Path, weights: Path | None) -> None:
    shutil.copyfile(source, folder / TEMPLATE_FILE)
    for verb in SCRIPTS:
        (folder / f"{verb}.py").write_text(_SCRIPT.format(verb=verb), encoding="utf-8")
    if weights is None:
        return
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
