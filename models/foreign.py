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
from .file_checks import check_archive, check_file, most_unpacked
from .foreign_pickle import read_arrays
from .name_map import Renamed, map_of, renamed, unmet
from .weights_formats import CHECKPOINT_KEY, OLD_CHECKPOINT, load_checkpoint, zipped_operations

_PICKLES = 5
"""Pickles at the beginning of what `torch.save` wrote before it wrote zip archives."""

_PREFIX = "module."
_MOST_EPOCHS = 10**6

_SIZE = re.compile(r"img_scale=\((\d{1,6}), (\d{1,6})\)")
"""Input width and height in the text of an MMDetection config."""

_OUR_KEY = re.compile(rb"(X\x0a\0\0\0|\x8c\x0a)" + CHECKPOINT_KEY.encode())
"""Our section's key as a whole text of a pickle, behind its length; not a word of another text."""


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
            return bool(pickles) and not any(_OUR_KEY.search(archive.read(one)) for one in pickles)
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
    tensors = _plain_names(
        {
            str(name): tensor
            for name, tensor in (state.items() if isinstance(state, dict) else ())
            if isinstance(tensor, Tensor)
        }
    )
    for name, tensor in tensors.items():
        _check_tensor(path, name, tensor)
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
        # True is an int, and a number of 500 digits is one too.
        epochs=epochs if type(epochs) is int and 0 < epochs < _MOST_EPOCHS else 0,
        sizes=frozenset((int(height), int(width)) for width, height in sizes),
        has_optimizer=isinstance(content.get("optimizer"), dict),
    )


def _plain_names(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Names without the prefix of distributed trainings; with it where both names are there."""
    plain = {}
    for name, tensor in tensors.items():
        short = name.removeprefix(_PREFIX)
        plain[name if short in tensors else short] = tensor
    return plain


def _check_tensor(path: Path, name: str, tensor: Tensor) -> None:
    """Check that a tensor's values are numbers, most of which are in its file.

    Raises:
        ModelFileError: They are complex, or one number that is repeated a billion times.
    """
    if tensor.is_complex():
        raise ModelFileError(f"{path}: its tensor {name!r:.80} is complex; expected real numbers")
    size, stored = tensor.numel() * tensor.element_size(), tensor.untyped_storage().nbytes()
    if size > most_unpacked(stored):
        raise ModelFileError(
            f"{path}: its tensor {name!r:.80} has {size:,} bytes, of which the file has {stored:,}"
        )


def _is_old(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(OLD_CHECKPOINT)) == OLD_CHECKPOINT


def _load(path: Path) -> dict[Any, Any]:
    """What `torch.save` wrote, also before PyTorch 1.6; nothing but tensors and plain objects."""
    operations = _old_operations if _is_old(path) else zipped_operations
    content = load_checkpoint(
        path,
        operations,
        refusal="holds objects of {}, not tensors alone: not opened",
        hint="of a file that you trust, save the tensors alone, as its 'model' or 'state_dict'",
    )
    if not isinstance(content, dict):
        raise ModelFileError(f"{path}: expected a checkpoint (found {type(content).__name__})")
    return content


def _old_operations(path: Path) -> Iterator[Any]:
    with path.open("rb") as file:
        for _ in range(_PICKLES):
            yield from pickletools.genops(file)
