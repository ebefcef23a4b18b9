"""NNCF on a network: fake quantization and masks, as hooks on what `forward` computes.

A hooked network is a `Network` like any other. Its state has the hooks' tensors too, under
`HOOKS`; where they belong says `hooks_of`, which a checkpoint keeps.
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
"""Of `torch.utils.cpp_extension`, in the folder where it compiles."""


def import_nncf() -> Any:
    """NNCF with its PyTorch side.

    It reports its use to its makers unless this is said before, and gives up compiling its
    extension after a minute.

    Raises:
        MissingPackageError: It is not installed.
    """
    os.environ.setdefault("NNCF_CI", "1")
    os.environ.setdefault("NNCF_EXTENSION_LOAD_TIMEOUT", _SECONDS_TO_COMPILE)
    # The extension fits one PyTorch: another environment's would not load.
    if os.access(sys.prefix, os.W_OK):
        os.environ.setdefault("TORCH_EXTENSIONS_DIR", str(Path(sys.prefix, "torch_extensions")))
    with quiet():
        try:
            import nncf  # type: ignore[import-untyped]
            import nncf.torch  # type: ignore[import-untyped]
        except ImportError as error:
            raise MissingPackageError("nncf") from error
    logging.getLogger("nncf").setLevel(logging.ERROR)  # it tells of every step
    return nncf


def load_extension() -> None:
    """Load NNCF's fake quantization, compiled by the first process that needs it.

    PyTorch marks the folder where it compiles by a file. When its process is killed that file
    stays, and whoever comes next would wait for it in vain.

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
    with FileLock(folder / "pocketface.lock"):  # the system frees it with its process
        (folder / _MARK).unlink(missing_ok=True)
        with quiet():
            QuantizedFunctionsCPU.get("Quantize_forward")


def hooks_of(network: Network) -> dict[str, Any] | None:
    """Where a network has hooks, and of what kind, as plain data; None where it has none."""
    if not hasattr(network, _STORAGE):
        return None
    config = import_nncf().torch.get_config(network)
    # Its enumerations are strings to JSON, and would be code to a checkpoint.
    hooks: dict[str, Any] = json.loads(json.dumps(config))
    return hooks


def masked(network: Network, example: Any) -> Network:
    """A copy whose weights are zero where its masks say so, and which has no hooks.

    Args:
        network: With masks, on the CPU.
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
    """Whether there are quantizers among the hooks; masks are hooks too."""
    commands = [] if hooks is None else hooks.get("compression_state", [])
    return any("Quantizer" in command["module_cls_name"] for command in commands)


def with_hooks(network: Network, hooks: dict[str, Any]) -> Network:
    """The network with such hooks, whose tensors are still to be loaded.

    Raises:
        MissingPackageError: NNCF is not installed.
        ValueError: They are no hooks of this version of NNCF.
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
    """A copy that converters understand: with PyTorch's own fake quantization.

    Args:
        network: Quantized, on the CPU.
        example: float32 (1, 3, H, W).
    """
    nncf = import_nncf()
    with quiet():  # it imports packages that warn of what they lack
        plain: Network = nncf.strip(network.eval(), do_copy=True, example_input=example)
    return plain


def is_mask(name: str) -> bool:
    """Whether a parameter of a hooked network is a mask, which is trained to be on or off."""
    return name.startswith(HOOKS) and name.endswith(".mask")


def without_hooks(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The network's own tensors of the state of a hooked one."""
    return {name: tensor for name, tensor in state.items() if not name.startswith(HOOKS)}
