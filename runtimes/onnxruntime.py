"""ONNX Runtime: `.onnx`, with the contract in `metadata_props`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import MissingPackageError, ModelFileError, PocketfaceError, UserError
from ..files import path_in_utf8
from ..model_templates.contract import CONTRACT_KEY
from ..models.file_checks import reason
from ..quiet import keep_to_itself
from .onnx_graph import SILENT, check_graph, check_whole
from .onnx_size import resized
from .session import Outputs, Session, Shape

_PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "directml": "DmlExecutionProvider",
}


def open_session(
    path: Path,
    *,
    threads: int | None,
    device: str,
    input_size: tuple[int, int] | None = None,
) -> Session:
    """Open an ONNX file.

    Args:
        path: The `.onnx` file.
        threads: Threads for one inference; None for one per core.
        device: "cpu", or another with a provider in the installed build: "cuda", "tensorrt",
            "openvino", "coreml" or "directml".
        input_size: Height and width in pixels, where the file leaves them free; None for its own.

    Raises:
        MissingPackageError: ONNX Runtime is not installed.
        ModelFileError: ONNX Runtime cannot load the file, or has to look for weights elsewhere.
        UserError: The device does not exist, or the file does not allow the input size.
    """
    keep_to_itself()
    try:
        import onnxruntime  # type: ignore[import-untyped]
    except ImportError as error:
        raise MissingPackageError("onnxruntime") from error

    available = onnxruntime.get_available_providers()
    usable = [name for name, provider in _PROVIDERS.items() if provider in available]
    if device not in usable:
        raise UserError(
            f"device {device!r}: not usable by ONNX Runtime; expected one of {', '.join(usable)}"
        )
    options = onnxruntime.SessionOptions()
    options.log_severity_level = SILENT
    if threads is not None:
        options.intra_op_num_threads = threads
    # The OpenVINO provider has its own threads, which `options` do not set.
    separate = device == "openvino" and threads is not None
    settings = {"num_of_threads": str(threads)} if separate else {}
    try:
        own = path.read_bytes()
        check_whole(own, source=str(path))
        content = resized(own, input_size, source=str(path))
        check_graph(content, source=str(path))
        with path_in_utf8(path) as plain:
            session = onnxruntime.InferenceSession(
                # It would keep the content as long as it lives.
                str(plain) if content is own else content,
                sess_options=options,
                providers=[(_PROVIDERS[device], settings)],
                enable_fallback=0,  # a fallback prints and hides the reason
            )
        metadata = session.get_modelmeta().custom_metadata_map
    except PocketfaceError:
        raise
    except Exception as error:  # ONNX Runtime's exceptions have no common base
        raise ModelFileError(
            f"{path}: ONNX Runtime cannot load it, is it whole? {reason(error)}"
        ) from error
    if _PROVIDERS[device] not in session.get_providers():
        # ONNX Runtime silently drops a provider whose libraries are missing.
        raise UserError(f"device {device!r}: ONNX Runtime has it, but it does not start here")
    (input_name, *_) = [node.name for node in session.get_inputs()] or [""]
    names = [node.name for node in session.get_outputs()]

    def run(batch: NDArray[np.float32]) -> Outputs:
        return dict(zip(names, session.run(names, {input_name: batch}), strict=True))

    return Session(
        runtime="onnxruntime",
        device=device,
        contract_json=metadata.get(CONTRACT_KEY),
        input_shapes=_shapes(session.get_inputs()),
        output_shapes=_shapes(session.get_outputs()),
        run=run,
    )


def _shapes(nodes: Iterable[Any]) -> dict[str, Shape]:
    # A free size is a name or None.
    return {
        node.name: tuple(size if isinstance(size, int) else -1 for size in node.shape)
        for node in nodes
    }
