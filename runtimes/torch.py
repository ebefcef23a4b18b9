"""PyTorch: weights files (`.safetensors`, `.pth`), with the network built from their template."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..errors import MissingPackageError, UserError
from .session import Outputs, Session

if TYPE_CHECKING:
    from ..model_templates.contract import Contract
    from ..models.network import Network


def open_session(path: Path, *, threads: int | None, device: str) -> Session:
    """Open a weights file.

    Args:
        path: `.safetensors` or `.pth`.
        threads: PyTorch keeps one setting for the whole process: this changes it.
        device: As `torch.device` names it: "cpu", "cuda", "cuda:1", "mps".

    Raises:
        MissingPackageError: PyTorch is not installed.
        ModelFileError: See `read_weights`.
        UserError: There is no such device.
    """
    try:
        import torch
    except ImportError as error:
        raise MissingPackageError("torch", extra="train") from error
    from ..models.weights import build_network, contract_for, read_weights

    weights = read_weights(path)
    contract = contract_for(weights.template, weights=weights)
    try:
        target = torch.device(device)
        network = build_network(weights).to(target)
    except (RuntimeError, AssertionError) as error:  # a CPU build asserts
        reason = str(error).splitlines()[0]
        raise UserError(f"device {device!r}: not usable by PyTorch: {reason}") from error
    if threads is not None:
        torch.set_num_threads(threads)
    return session_of(network, contract, device=str(target))


def session_of(network: Network, contract: Contract, *, device: str = "cpu") -> Session:
    """A session of a network at hand, as training has one.

    Args:
        network: On `device`; its mode (training or evaluation) is the caller's business.
        contract: That describes it.
        device: As `torch.device` names it.
    """
    import torch

    names = [output.name for output in contract.outputs]

    def run(batch: NDArray[np.float32]) -> Outputs:
        with torch.inference_mode():
            outputs = network(torch.from_numpy(batch).to(device))
        return {
            name: output.float().cpu().numpy() for name, output in zip(names, outputs, strict=True)
        }

    return Session(
        runtime="torch",
        device=device,
        contract_json=contract.to_json(),
        input_shapes={contract.input.name: contract.input.shape},
        output_shapes={output.name: output.shape for output in contract.outputs},
        run=run,
    )
