"""Check what a `.keras` file holds before Keras makes a model of it.

Keras itself refuses functions that are stored as code (`safe_mode`), and links in the weights. It
does make layers that read files, and arrays of any size.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import ModelFileError
from ..models.file_checks import reason
from .sizes import check_values, values_in

_MAX_DEPTH = 100

_LAYERS = (
    r"Activation|Add|Average|BatchNormalization|Concatenate|Dense|Dropout|ELU|Flatten|Identity"
    r"|InputLayer|LeakyReLU|Maximum|Minimum|Multiply|Normalization|PReLU|Permute|ReLU|Rescaling"
    r"|Reshape|Resizing|Softmax|Subtract|(Group|Layer|Unit)Normalization"
    r"|(Global|Adaptive)?(Average|Max)Pooling2D|(Depthwise|Separable)?Conv2D|Conv2DTranspose"
    r"|(Cropping|UpSampling|ZeroPadding)2D"
)
_KNOWN = re.compile(
    rf"keras\.layers (?:{_LAYERS})"
    r"|keras(?:\.src)?\.ops\.(?:image|math|nn|numpy) \w+|keras\.src\.ops\.core (?:Cast|Slice|Shape)"
    r"|keras(?:\.models|\.src\.models\.(?:functional|sequential))? (?:Functional|Sequential)"
    r"|keras\.(?:activations|constraints|initializers|regularizers) \w+|keras DTypePolicy"
    r"| __(?:keras_tensor|numpy|tensor|ellipsis|tuple|slice)__"
)
"""Modules and classes that compute their outputs from their inputs and weights."""


def check_config(archive: Any, path: Path) -> dict[str, Any]:
    """Check the classes that a file names.

    Args:
        archive: The open `zipfile.ZipFile`.
        path: The file, for error messages.

    Returns:
        The model's configuration.

    Raises:
        ModelFileError: A class is not one of those, or the configuration cannot be read.
    """
    try:
        config = json.loads(archive.read("config.json"))
        named = list(_classes(config))
    except (KeyError, ValueError, RecursionError) as error:
        raise ModelFileError(f"{path}: config.json: damaged: {reason(error)}") from error
    if not isinstance(config, dict) or not named:
        raise ModelFileError(f"{path}: config.json: no Keras model")
    for name in named:
        if not _KNOWN.fullmatch(name):
            raise ModelFileError(
                f"{path}: has {name[:80].strip()!r}: expected layers of arithmetic"
            )
    return config


def check_sizes(keras: Any, config: dict[str, Any], path: Path) -> None:
    """Check the sizes of a model's weights and arrays by building it without any.

    Args:
        keras: The module.
        config: What `check_config` returned.
        path: The file.

    Raises:
        ModelFileError: It has more weights than the file has, or its arrays are out of proportion
            to its input.
    """
    with keras.StatelessScope():  # variables have a shape there, and no values
        model = keras.saving.deserialize_keras_object(config, safe_mode=True)
    weights = values_in(variable.shape for variable in model.variables)
    stored = 10 * path.stat().st_size // 2  # as many as may be unpacked, 2 bytes each or more
    if weights > max(stored, 1 << 20):
        raise ModelFileError(f"{path}: asks for {weights:,} weights, more than are in it")
    arrays = [one.shape for layer in model.operations for one in keras.tree.flatten(layer.output)]
    (image, *_) = [_sizes(one.shape) for one in model.inputs] or [()]
    check_values(values_in(map(_sizes, arrays)), image, where=str(path))


def check_weights(archive: Any, path: Path) -> None:
    """Check that the arrays of a file's weights are inside it, and as large as they say.

    Raises:
        ModelFileError: One is a link, in another file, or packed to a fraction of its size; or
            the weights are no HDF5 file.
    """
    import h5py  # type: ignore[import-untyped]

    held = 0

    def problem_of(name: str, link: Any) -> str | None:  # anything but None ends the visit
        nonlocal held
        if not isinstance(link, h5py.HardLink):
            return f"{name[:80]!r} are a link"
        one = file[name]
        if isinstance(one, h5py.Dataset):
            held += math.prod(one.shape) * one.dtype.itemsize
            if one.external or one.is_virtual:
                return f"{name[:80]!r} are in another file"
        return None

    size = archive.getinfo("model.weights.h5").file_size
    with archive.open("model.weights.h5") as member, h5py.File(member, "r") as file:
        problem = file.visititems_links(problem_of)
    if problem:
        raise ModelFileError(f"{path}: its weights {problem}")
    if held > max(10 * size, 64 << 20):
        raise ModelFileError(f"{path}: {size:,} bytes of weights unpack to {held:,}")


def _sizes(shape: Any) -> tuple[int, ...]:
    return tuple(size or -1 for size in shape)


def _classes(value: Any, depth: int = 0) -> Iterator[str]:
    """Module and name of each class in a configuration."""
    if depth > _MAX_DEPTH:
        raise ValueError(f"nested more than {_MAX_DEPTH} times")
    if isinstance(value, dict):
        if "class_name" in value:
            yield f"{value.get('module') or ''} {value['class_name']}"
        for one in value.values():
            yield from _classes(one, depth + 1)
    elif isinstance(value, list):
        for one in value:
            yield from _classes(one, depth + 1)
