"""Check what a `.pt` file holds before PyTorch makes a program of it.

A TorchScript archive is a program in the syntax of Python, whose functions may write files, and
may run while it is loaded; and PyTorch believes what its pickles say about the sizes of arrays.
Ours are one function of arithmetic, without branches and loops, and its constants.
"""

from __future__ import annotations

import ast
import io
import math
import pickle
import pickletools
import re
import warnings
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..errors import ModelFileError
from ..models.file_checks import check_archive, damaged, reason

CONTRACT_MEMBER = "extra/pocketface.json"
"""The contract's place: the extra file `pocketface.json`, as `torch.jit.load` calls it."""

_MEMBERS = re.compile(
    rf"data\.pkl|constants\.pkl|constants/\d+|code/__torch__/[\w/]+\.py|version|byteorder"
    rf"|{re.escape(CONTRACT_MEMBER)}"
)
_MAX_CODE = 1 << 20

_FUNCTIONS = frozenset((
    "annotate", "int", "ops.prim.NumToTensor", "ops.prim.device", *(f"torch.{name}" for name in (
        "__and__", "_convolution", "abs", "adaptive_avg_pool2d", "add", "all", "amax", "amin",
        "arange", "argmax", "argmin", "avg_pool2d", "batch_norm", "bmm", "cat", "ceil", "chunk",
        "clamp", "clamp_max", "clamp_min", "constant_pad_nd", "contiguous", "conv2d",
        "conv_transpose2d", "cumsum", "div", "elu", "embedding", "embedding_bag", "eq", "erf",
        "exp", "expand", "expand_as", "flatten", "flip", "floor", "floor_divide", "full",
        "full_like", "gather", "ge", "gelu", "group_norm", "gt", "hardsigmoid", "hardswish",
        "hardtanh", "index_select", "layer_norm", "le", "leaky_relu", "linalg_vector_norm",
        "linear", "log", "log2", "log_softmax", "lt", "matmul", "max", "max_pool2d", "maximum",
        "mean", "meshgrid", "min", "minimum", "mish", "mul", "ne", "neg", "norm", "ones",
        "ones_like", "pad", "permute", "pixel_shuffle", "pow", "prelu", "prod", "reciprocal",
        "reflection_pad2d", "relu", "relu6", "remainder", "repeat", "replication_pad2d", "reshape",
        "round", "rsqrt", "rsub", "select", "sigmoid", "sign", "silu", "size", "slice", "softmax",
        "softplus", "split", "split_with_sizes", "sqrt", "square", "squeeze", "stack", "sub", "sum",
        "tanh", "to", "topk", "transpose", "triu", "unbind", "unsqueeze", "upsample_bicubic2d",
        "upsample_bilinear2d", "upsample_nearest2d", "view", "where", "zeros", "zeros_like",
    )),
))  # fmt: skip
"""Functions that compute their answers from what they are given."""

_SYNTAX = (
    ast.Module, ast.ClassDef, ast.FunctionDef, ast.arguments, ast.arg, ast.Assign, ast.Return,
    ast.Call, ast.keyword, ast.Attribute, ast.Subscript, ast.Name, ast.Constant, ast.List,
    ast.Tuple, ast.UnaryOp, ast.USub, ast.Load, ast.Store,
)  # fmt: skip

_TEXTS = ("approximate", "indexing", "mode", "rounding_mode")
"""Arguments that may be texts. Elsewhere PyTorch joins texts as it loads, to any length."""

_BYTES = {
    "DoubleStorage": 8, "FloatStorage": 4, "HalfStorage": 2, "LongStorage": 8, "IntStorage": 4,
    "ShortStorage": 2, "CharStorage": 1, "ByteStorage": 1, "BoolStorage": 1,
}  # fmt: skip
"""Bytes of a value, by what PyTorch calls an array of such."""


def checked_archive(path: Path) -> str | None:
    """Check an archive.

    Args:
        path: The file.

    Returns:
        The contract inside, unparsed; None if there is none, and the rest has not been checked.

    Raises:
        ModelFileError: It is no TorchScript archive, is damaged, or is more than arithmetic.
    """
    check_archive(path)
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        root = names[0].partition("/")[0] + "/" if names else ""
        code = [name for name in names if name.startswith(f"{root}code/") and name.endswith(".py")]
        if not code:
            raise ModelFileError(
                f"{path}: no TorchScript program: it has no code",
                hint="weights files, which have tensors alone, are called .pth or .safetensors",
            )
        if root + CONTRACT_MEMBER not in names:
            return None
        try:
            broken = archive.testzip()  # PyTorch writes checksums but does not check them
            if broken is not None:
                raise ValueError(f"wrong checksum of {broken}")
            for name in names:
                if not (name.startswith(root) and _MEMBERS.fullmatch(name, len(root))):
                    raise ModelFileError(f"{path}: has a member {name[:80]!r}, unlike ours")
            if len(code) != 1 or archive.getinfo(code[0]).file_size > _MAX_CODE:
                raise ModelFileError(f"{path}: expected one short program")
            _check_code(archive.read(code[0]).decode(), path)
            for name in ("data.pkl", "constants.pkl"):
                _check_pickle(archive.read(root + name), archive, root)
            return archive.read(root + CONTRACT_MEMBER).decode()
        except ModelFileError:
            raise
        except Exception as error:  # unpicklers raise anything
            raise damaged(path, error) from error


def _check_code(text: str, path: Path) -> None:
    """Check that a program is one function of `_FUNCTIONS`, step by step."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd syntax
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ModelFileError(f"{path}: its code is no program: {reason(error)}") from error
    nodes = list(ast.walk(tree))
    for node in nodes:
        if not isinstance(node, _SYNTAX):
            raise ModelFileError(
                f"{path}: its code has {type(node).__name__}: expected steps that compute"
            )
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if name not in _FUNCTIONS:
                raise ModelFileError(f"{path}: calls {name[:80]!r}: expected arithmetic alone")
    defined = [node.name for node in nodes if isinstance(node, ast.FunctionDef)]
    classes = sum(isinstance(node, ast.ClassDef) for node in nodes)
    if defined != ["forward"] or classes != 1:
        raise ModelFileError(f"{path}: expected one function called forward")
    named = {id(one.value) for one in nodes if isinstance(one, ast.keyword) and one.arg in _TEXTS}
    for node in nodes:
        if isinstance(node, ast.Constant) and not (
            node.value is None or isinstance(node.value, bool | int | float) or id(node) in named
        ):
            raise ModelFileError(f"{path}: its code has {node.value!r:.80}: expected numbers")


def _check_pickle(content: bytes, archive: zipfile.ZipFile, root: str) -> None:
    """Check a pickle of arrays by reading it without making any.

    Raises:
        Exception: Whatever unpicklers raise.
    """
    for operation, argument, _ in pickletools.genops(content):
        # PyTorch makes a table as long as this number says.
        if operation.name.endswith("PUT") and int(argument or 0) > len(content):
            raise ValueError(f"its pickle remembers {argument:,} objects")
    _Sizes(content, archive, root).load()


class _Sizes(pickle._Unpickler):
    """Compares arrays with the members of the archive that they are stored in.

    In Python, as the unpickler in C makes such a table, too.
    """

    def __init__(self, content: bytes, archive: zipfile.ZipFile, root: str) -> None:
        super().__init__(io.BytesIO(content))
        self.archive = archive
        self.root = root

    def find_class(self, module: str, name: str) -> Any:
        if module.startswith("__torch__"):
            return _Program
        if (module, name) == ("collections", "OrderedDict"):
            return dict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _check_array
        if module == "torch" and name in _BYTES:
            return _BYTES[name]
        raise ValueError(f"its pickle has {module}.{name}"[:200])

    def persistent_load(self, pid: Any) -> int:
        """The number of values that the member of an array has."""
        kind, width, key, _, count = pid
        stored = self.archive.getinfo(f"{self.root}constants/{key}").file_size
        if kind != "storage" or type(count) is not int or count * width != stored:
            raise ValueError(f"an array of {count} values in {stored:,} bytes")
        return count


class _Program:
    """Stands for the program, which has no state."""


def _check_array(
    count: int, offset: int, shape: Iterable[int], strides: Iterable[int], *_: Any
) -> None:
    """Check that an array is as large as what it is stored in, and inside it."""
    sizes, steps = list(shape), list(strides)
    last = offset + sum((size - 1) * step for size, step in zip(sizes, steps, strict=True))
    if min([offset, *sizes, *steps]) < 0 or math.prod(sizes) > count or last >= count:
        raise ValueError(f"an array of {sizes} in {count} values"[:200])
