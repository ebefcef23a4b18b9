"""The formats that can be compressed, and what each may be compressed to; imports no PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import MissingPackageError, UserError
from ..exporting.formats import EXPORTERS, missing_of

FLOAT = ("fp32", "fp16")
"""Precisions that every exporter of these formats writes, and nothing quantizes."""


@dataclass(frozen=True)
class Compressible:
    """A format with a quantizer, the module of its name in this folder.

    Attributes:
        package: Import name of the package that quantizes.
        precisions: The precisions that it can write.
    """

    package: str
    precisions: tuple[str, ...] = ("int8",)

    @property
    def able(self) -> tuple[str, ...]:
        """The precisions that a user may ask for."""
        return ("fp16", *self.precisions)


QUANTIZERS: dict[str, Compressible] = {
    "openvino": Compressible("nncf"),
    "onnx": Compressible("onnxruntime"),
    "coreml": Compressible("coremltools", ("int8", "palette6", "palette4")),
    "litert": Compressible("ai_edge_quantizer"),
}
"""Formats by name."""


def chosen(
    formats: Sequence[str] | None, precisions: Sequence[str] | None, *, quantizes: bool
) -> tuple[Sequence[str], Sequence[str]]:
    """The formats and precisions to write.

    Args:
        formats: Names from `QUANTIZERS`; None for all whose packages are installed.
        precisions: "fp16" and what the formats have; None for int8, or FP32 if nothing is
            quantized.
        quantizes: Whether files are quantized.

    Raises:
        UserError: A format or precision is unknown, or a format has none of the precisions.
        MissingPackageError: A package that a format asked for needs is not installed.
    """
    if "fp32" in (precisions or ()):
        raise UserError("precision fp32: is what files are compared with; expected int8 or fp16")
    if formats is None:
        formats = [name for name in QUANTIZERS if _missing_for(name, ("int8",)) is None]
        if precisions is not None:
            able = [one for one in formats if set(precisions) & set(QUANTIZERS[one].able)]
            formats = able or formats  # without any, all are named below
    if precisions is None:
        precisions = ["int8"] if quantizes else ["fp32"]
    elif not quantizes and list(precisions) != ["fp16"]:
        raise UserError(
            f"precision {', '.join(precisions)}: nothing is quantized without --post-training or "
            "--nncf-quantization; expected fp16"
        )
    for name in formats or [""]:
        if name not in QUANTIZERS:
            raise UserError(f"format {name!r}: expected some of {', '.join(QUANTIZERS)}")
    # FP32 is not for users to ask for; its files need the same packages as FP16 ones.
    _check(formats, precisions if list(precisions) != ["fp32"] else ["fp16"])
    return formats, precisions


def _check(formats: Sequence[str], precisions: Sequence[str]) -> None:
    able = {name: QUANTIZERS[name].able for name in formats}
    for precision in precisions or [""]:
        if not any(precision in one for one in able.values()):
            possible = dict.fromkeys(one for some in able.values() for one in some)
            raise UserError(
                f"precision {precision!r} in {', '.join(formats)}: expected some of "
                + ", ".join(possible)
            )
    for name in formats:
        if not set(precisions) & set(able[name]):
            raise UserError(
                f"format {name}: has no {', '.join(precisions)}; expected some of "
                + ", ".join(able[name])
            )
        missing = _missing_for(name, precisions)
        if missing is not None:
            raise missing


def _missing_for(name: str, precisions: Sequence[str]) -> MissingPackageError | None:
    """The error for a missing package that a format or its quantizer needs; None if all exist."""
    needed = list(EXPORTERS[name].packages)
    if set(precisions) - set(FLOAT):
        needed.append(QUANTIZERS[name].package)
    if any(precision.startswith("palette") for precision in precisions):
        needed.append("sklearn")
    return missing_of(needed)
