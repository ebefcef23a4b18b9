"""Other people's checkpoints: what is in them, by our names."""

from __future__ import annotations

import pickletools
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from ..errors import ModelFileError
from ..model_templates.architecture import ArchitectureSpec
from .file_checks import check_archive, check_file
from .foreign_pickle import read_arrays
from .name_map import Renamed, map_of, renamed, unmet
from .weights_formats import CHECKPOINT_KEY, OLD_CHECKPOINT, load_checkpoint, zipped_operations

_PICKLES = 5
"""Pickles at the beginning of what `torch.save` wrote before it wrote zip archives."""

_SIZE = re.compile(r"img_scale=\((\d+), (\d+)\)")
"""Input width and height in the text of an MMDetection config."""


@dataclass(frozen=True, eq=False)
class Foreign:
    """A checkpoint by our names.

    Attributes:
        kind: Who wrote it, in words.
        renamed: Its tensors.
        epochs: Epochs behind it; 0 where it does not say.
        sizes: Heights and widths of the input that it names, in pixels; none if it names none.
        has_optimizer: Whether the state of an optimizer, which is not used, is with it.
    """

    kind: str
    renamed: Renamed
    epochs: int = 0
    sizes: frozenset[tuple[int, int]] = frozenset()
    has_optimizer: bool = False


def is_foreign(path: Path) -> bool:
    """Whether others wrote a weights file; False for one that cannot be read."""
    if path.suffix in (".xml", ".pkl"):
        return True
    if path.suffix != ".pth":
        return False
    try:
        if _is_old(path):
            return True
        check_archive(path)
        with zipfile.ZipFile(path) as archive:
            pickles = [name for name in archive.namelist() if name.endswith("data.pkl")]
            key = CHECKPOINT_KEY.encode()
            return bool(pickles) and not any(key in archive.read(name) for name in pickles)
    except Exception:  # whatever is wrong with it, its reader says it
        return False


def read_foreign(
    path: Path, architecture: ArchitectureSpec, expected: dict[str, Tensor]
) -> Foreign:
    """Read a checkpoint of others.

    Args:
        path: A file that `is_foreign`.
        architecture: The network that it is for.
        expected: That network's tensors, on any device.

    Raises:
        ModelFileError: It is missing, damaged, or of a kind that is not known.
        MissingPackageError: The package that reads it is not installed.
    """
    check_file(path)
    if path.suffix == ".xml":
        from .foreign_ir import read_ir

        found, size = read_ir(path, architecture, expected)
        return Foreign("OpenVINO", found, sizes=frozenset([size]))
    content = read_arrays(path) if path.suffix == ".pkl" else _load(path)
    # "model" is Detectron2's and torchvision's key, "blobs" that of Detectron before it.
    keys = ("state_dict", "model", "blobs")
    state = next((content[key] for key in keys if key in content), content)
    tensors = {
        str(name).removeprefix("module."): tensor
        for name, tensor in (state.items() if isinstance(state, dict) else ())
        if isinstance(tensor, Tensor)
    }
    name_map = map_of(tensors)
    if name_map is None:
        first = f": its first tensor is {next(iter(tensors))!r:.80}" if tensors else ": no tensors"
        raise ModelFileError(
            f"{path}: not written by pocketface, nor in names that it knows{first}"
        )
    if problems := unmet(name_map, architecture, tensors):
        raise ModelFileError(
            f"{path}: networks of {name_map.kind} have {', '.join(problems)}",
            hint="copy the template, and write these there",
        )
    meta = content.get("meta")
    meta = meta if isinstance(meta, dict) else {}
    epochs, config = meta.get("epoch"), meta.get("config")
    sizes = _SIZE.findall(config) if isinstance(config, str) else []
    return Foreign(
        name_map.kind,
        renamed(tensors, name_map, expected),
        epochs=epochs if isinstance(epochs, int) and epochs > 0 else 0,
        sizes=frozenset((int(height), int(width)) for width, height in sizes),
        has_optimizer=isinstance(content.get("optimizer"), dict),
    )


def _is_old(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(OLD_CHECKPOINT)) == OLD_CHECKPOINT


def _load(path: Path) -> dict[Any, Any]:
    """What `torch.save` wrote, also before PyTorch 1.6; nothing but tensors and plain objects."""
    operations = _old_operations if _is_old(path) else zipped_operations
    content = load_checkpoint(
        path, operations, refusal="holds objects of {}, not tensors alone: not opened"
    )
    if not isinstance(content, dict):
        raise ModelFileError(f"{path}: expected a checkpoint (found {type(content).__name__})")
    return content


def _old_operations(path: Path) -> Iterator[Any]:
    with path.open("rb") as file:
        for _ in range(_PICKLES):
            yield from pickletools.genops(file)
