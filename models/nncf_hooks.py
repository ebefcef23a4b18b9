"""NNCF on a network: fake quantization and masks, as hooks on operations in `forward`.

A hooked network is still a `Network`. Its state also has the hooks' tensors, under `HOOKS`. A
checkpoint keeps the result of `hooks_of`, which says where they belong.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from ..errors import MissingPackageError
from ..quiet import quiet
from .network import Network

HOOKS = "__nncf_hooks."
"""Prefix of the hooks' tensors in a network's state."""

_STORAGE = HOOKS.rstrip(".")
_SECONDS_TO_COMPILE = "600"
_MARK = "lock"
"""Name of the lock file of `torch.utils.cpp_extension`, in the folder where it compiles."""


def import_nncf() -> Any:
    """Import NNCF with its PyTorch part.

    Before the import, this turns off its telemetry, and raises its limit of one minute for
    compiling its extension.

    Raises:
        MissingPackageError: NNCF is not installed.
    """
    os.environ.setdefault("NNCF_CI", "1")
    os.environ.setdefault("NNCF_EXTENSION_LOAD_TIMEOUT", _SECONDS_TO_COMPILE)
    # The extension fits one PyTorch only, so each environment needs its own.
    if os.access(sys.prefix, os.W_OK):
        os.environ.setdefault("TORCH_EXTENSIONS_DIR", str(Path(sys.prefix, "torch_extensions")))
    with quiet():
        try:
            import nncf  # type: ignore[import-untyped]
            import nncf.torch  # type: ignore[import-untyped]
        except ImportError as error:
            raise MissingPackageError("nncf") from error
    logging.getLogger("nncf").setLevel(logging.ERROR)  # it logs every step
    return nncf


def load_extension() -> None:
    """Load NNCF's fake quantization, which the first process that needs it compiles.

    While it compiles, PyTorch keeps a lock file in the folder. If its process is killed, the file
    stays, and other processes would wait for it for ever.

    Raises:
        MissingPackageError: NNCF is not installed.
    """
    import_nncf()
    from filelock import FileLock
    from nncf.torch.quantization.extensions import (  # type: ignore[import-untyped]
        QuantizedFunctionsCPU,
        QuantizedFunctionsCPULoader,
    )

    folder = Path(QuantizedFunctionsCPULoader.get_build_dir())
    with FileLock(folder / "pocketface.lock"):  # the system releases it when its process ends
        (folder / _MARK).unlink(missing_ok=True)
        with quiet():
            QuantizedFunctionsCPU.get("Quantize_forward")


def hooks_of(network: Network) -> dict[str, Any] | None:
    """The places and kinds of a network's hooks as plain data; None if it has none."""
    if not hasattr(network, _STORAGE):
        return None
    config = import_nncf().torch.get_config(network)
    # Through JSON, as NNCF's enumerations would be code in a checkpoint.
    hooks: dict[str, Any] = json.loads(json.dumps(config))
    return hooks


def masked(network: Network, example: Any) -> Network:
    """A copy without hooks, whose weights are zero where the masks are off.

    Args:
        network: A network with masks, on the CPU.
        example: Arguments of its `forward`, by name.
    """
    nncf = import_nncf()
    with quiet():
        plain: Network = nncf.strip(
            network.eval(),
            do_copy=True,
            strip_format=nncf.StripFormat.IN_PLACE,
            example_input=example,
        )
    return plain


def is_quantized(hooks: dict[str, Any] | None) -> bool:
    """Whether any of the hooks is a quantizer, not a mask."""
    commands = [] if hooks is None else hooks["compression_state"]
    return any("Quantizer" in command["module_cls_name"] for command in commands)


def with_hooks(network: Network, hooks: dict[str, Any]) -> Network:
    """Add hooks to a network; their tensors must still be loaded.

    Raises:
        MissingPackageError: NNCF is not installed.
        ValueError: The hooks do not fit this version of NNCF.
    """
    nncf = import_nncf()
    if is_quantized(hooks):
        load_extension()
    try:
        hooked: Network = nncf.torch.load_from_config(network, hooks)
    except (nncf.InternalError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"hooks that NNCF {nncf.__version__} cannot restore: {error}") from error
    return hooked


def stripped(network: Network, example: Tensor) -> Network:
    """A copy with PyTorch's own fake quantization, which converters understand.

    Args:
        network: A quantized network, on the CPU.
        example: An input, float32 (1, 3, H, W).
    """
    nncf = import_nncf()
    with quiet():  # it imports packages that warn about missing ones
        plain: Network = nncf.strip(network.eval(), do_copy=True, example_input=example)
    return plain


def is_mask(name: str) -> bool:
    """Whether a parameter of a hooked network is a mask, which is trained to be on or off."""
    return name.startswith(HOOKS) and name.endswith(".mask")


def without_hooks(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state of a hooked network without the hooks' tensors."""
    return {name: tensor for name, tensor in state.items() if not name.startswith(HOOKS)}
