"""Open model files as sessions: one module per runtime. `tasks.load` makes models of them."""

from __future__ import annotations

import importlib
import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ModelFileError, PocketfaceError, UserError
from ..model_templates.input_size import MAX_PIXELS

if TYPE_CHECKING:
    from .session import Session


@dataclass(frozen=True)
class Runtime:
    """A module of this folder with an `open_session`, and facts about it.

    Attributes:
        module: The module's name.
        suffixes: Suffixes of the files that it opens by default.
        packages: Packages that its answers depend on, installed or not, by their names for pip.
        imports: A module that is slow to import, which a benchmark does before its clock starts.
        also: Suffixes of further files, which it opens only if asked for.
        devices: Devices that a benchmark may run it on.
        modes: Names of other ways to run files, such as "throughput" in "openvino:throughput".
        sizes: Whether files can be opened with another input size than their own, if they say so.
        forks: Whether a session goes on in a forked process; if not, it is opened again there.
    """

    module: str
    suffixes: tuple[str, ...]
    packages: tuple[str, ...]
    imports: str | None = None
    also: tuple[str, ...] = ()
    devices: tuple[str, ...] = ("cpu",)
    modes: tuple[str, ...] = ()
    sizes: bool = False
    forks: bool = False


RUNTIMES: dict[str, Runtime] = {
    "openvino": Runtime(
        "openvino",
        (".xml",),
        ("openvino",),
        imports="openvino",
        also=(".onnx",),
        devices=("cpu", "gpu", "npu"),
        modes=("throughput",),
        sizes=True,
    ),
    "onnxruntime": Runtime(
        "onnxruntime",
        (".onnx",),
        ("onnxruntime", "onnxruntime-gpu"),
        imports="onnxruntime",
        devices=("cpu", "cuda", "coreml"),
        sizes=True,
    ),
    "coreml": Runtime(
        "coreml", (".mlmodel", ".mlpackage"), ("coremltools",), devices=("cpu", "gpu", "ane", "all")
    ),
    "litert": Runtime(
        "litert", (".tflite",), ("ai-edge-litert",), imports="ai_edge_litert.interpreter"
    ),
    "tensorflow": Runtime(
        "tensorflow",
        (".savedmodel", ".keras"),
        ("tensorflow-cpu", "tensorflow", "keras"),
        imports="tensorflow",
        devices=("cpu", "cuda"),
    ),
    "torchscript": Runtime(
        "torchscript",
        (".pt",),
        ("torch",),
        imports="torch",
        devices=("cpu", "cuda", "mps"),
        sizes=True,
        forks=True,
    ),
    "torch": Runtime(
        "torch",
        (".safetensors", ".pth"),
        ("torch",),
        imports="torch",
        devices=("cpu", "cuda", "mps"),
        modes=("compile", "script", "channels-last", "bf16", "cuda-graph"),
        sizes=True,
        forks=True,
    ),
}
"""By name; their modules are imported when they are used."""

WAYS = tuple(
    way
    for name, runtime in RUNTIMES.items()
    for way in (name, *(f"{name}:{mode}" for mode in runtime.modes))
)
"""All runtimes, each followed by its modes."""

DEFAULT_RUNTIMES: dict[str, str] = {
    suffix: name for name, runtime in RUNTIMES.items() for suffix in runtime.suffixes
}
"""Which runtime opens a file unless told otherwise."""

FOLDERS = (".mlpackage", ".savedmodel")
"""Suffixes of models that are folders."""


_MAX_INPUT = 3 * MAX_PIXELS
"""Most values of one picture."""

_MAX_THREADS = 64
"""Most threads that may be asked for; some runtimes crash with too many."""


def open_session(
    path: str | os.PathLike[str],
    *,
    runtime: str | None = None,
    device: str = "cpu",
    threads: int | None = None,
    input_size: tuple[int, int] | None = None,
) -> Session:
    """Open the graph of a model file, which may be a third party's.

    Args:
        path: The model file; see `tasks.load.load`.
        runtime: A key of `RUNTIMES`, optionally with a mode, such as "torch:compile"; None for
            the suffix's default, or another that opens the file if that is not installed.
        device: The runtime's name of the device, such as "cpu", "cuda" or "gpu".
        threads: Threads for one inference; None for one per core.
        input_size: Height and width in pixels of the input; None for the file's own. A file whose
            size is fixed is opened with that.

    Returns:
        The session, with the contract unparsed if the file has one.

    Raises:
        ModelFileError: The file or one of its parts is missing, damaged or of an unknown kind.
        MissingPackageError: The runtime is not installed.
        UserError: The runtime or device is unknown, `threads` is less than 1, or the file does not
            allow the input size.
    """
    from ..models.file_checks import check_archive, reason
    from .free_size import MAX_CONTRACT
    from .seal import check_seal
    from .session import checked
    from .sizes import values_in

    path = opened(path)
    name, mode = _runtime_for(path, runtime=runtime, threads=threads)
    _check_parts(path)
    sealed = check_seal(path)
    if path.suffix == ".keras":
        check_archive(path)
    module = importlib.import_module(f".{RUNTIMES[name].module}", __name__)
    options: dict[str, Any] = {"mode": mode} if RUNTIMES[name].modes else {}
    if RUNTIMES[name].sizes:
        options["input_size"] = input_size
    try:
        session: Session = module.open_session(path, threads=threads, device=device, **options)
    except (PocketfaceError, ImportError):
        raise
    except Exception as error:  # runtimes raise anything on damaged or forged files
        raise ModelFileError(f"{path}: damaged: {reason(error)}") from error
    if session.contract_json is not None and not sealed:
        raise ModelFileError(f"{path}: damaged: it has a contract, but its SHA-256 is gone")
    if len(session.contract_json or "") > MAX_CONTRACT:
        raise ModelFileError(
            f"{path}: a contract of {len(session.contract_json or ''):,} characters: expected "
            f"{MAX_CONTRACT:,} at most"
        )
    for shape in session.input_shapes.values():
        if values_in([shape]) > _MAX_INPUT:
            raise ModelFileError(f"{path}: an input of {shape}: too large")
    again = partial(
        open_session,
        path.absolute(),
        runtime=f"{name}:{mode}" if mode else name,
        device=device,
        threads=threads,
        input_size=input_size,
    )
    return checked(session, path, again=None if RUNTIMES[name].forks else again)


def opened(path: str | os.PathLike[str]) -> Path:
    """The file that stands for a model of several: the `.xml` beside a `.bin`."""
    path = Path(path)
    return path.with_suffix(".xml") if path.suffix == ".bin" else path


def models_at(path: Path, suffixes: Collection[str] = DEFAULT_RUNTIMES.keys()) -> list[Path]:
    """The model files that a path stands for: its own, or those in a folder that is no model.

    Args:
        path: A file, there or not, or a folder of any name.
        suffixes: Of the files in a folder.

    Returns:
        The files, sorted; none if a folder has none.
    """
    if not path.is_dir():
        return [opened(path)]
    found = sorted(one for one in path.iterdir() if one.suffix in suffixes)
    return found or ([path] if path.suffix in FOLDERS else [])


def check_kind(path: Path) -> None:
    """Refuse what nothing here opens, by its name.

    Raises:
        ModelFileError: It is no model file; the hint names those in a folder.
    """
    if path.suffix in DEFAULT_RUNTIMES:
        return
    from ..models.file_checks import FOREIGN_HINT, FOREIGN_SUFFIXES

    known = ", ".join([*DEFAULT_RUNTIMES, ".bin"])
    hint = FOREIGN_HINT if path.suffix in FOREIGN_SUFFIXES else None
    if path.is_dir() and (inside := models_at(path)):
        hint = f"name a file of the folder: {', '.join(map(str, inside))}"
    raise ModelFileError(f"{path}: unknown kind of model file; expected one of {known}", hint=hint)


def _runtime_for(path: Path, *, runtime: str | None, threads: int | None) -> tuple[str, str]:
    """The runtime and mode ("" for the usual one) that open an existing file."""
    check_kind(path)
    able = ways_to_open(path)
    name, _, mode = (runtime or _default(path, able)).partition(":")
    if (f"{name}:{mode}" if mode else name) not in able:
        raise UserError(
            f"runtime {runtime!r}: cannot open {path.name}; expected one of {', '.join(able)}"
        )
    most = max(_MAX_THREADS, os.cpu_count() or 1)
    if threads is not None and not (isinstance(threads, int) and 1 <= threads <= most):
        raise UserError(f"threads {threads!r}: expected 1 to {most}")
    return name, mode


def _default(path: Path, able: Sequence[str]) -> str:
    """The suffix's runtime, or if that is not installed another one that is."""
    usual = DEFAULT_RUNTIMES[path.suffix]
    others = (name for name in able if name in RUNTIMES)
    return next((name for name in (usual, *others) if is_installed(name)), usual)


def is_installed(runtime: str) -> bool:
    """Whether the package of a runtime can be imported, as far as can be told without doing so."""
    package = RUNTIMES[runtime].imports or RUNTIMES[runtime].packages[0]
    return find_spec(package.partition(".")[0]) is not None


def _check_parts(path: Path) -> None:
    """Check what the parts of a model are, before any of them is read."""
    from ..models.file_checks import check_file, check_folder

    folder = path.suffix in FOLDERS
    if not path.exists():
        raise ModelFileError(f"{path}: no such {'folder' if folder else 'file'}")
    if folder and not path.is_dir():
        raise ModelFileError(f"{path}: is a file; expected a folder")
    if folder:
        check_folder(path)
        return
    check_file(path)
    weights = path.with_suffix(".bin")
    if path.suffix == ".xml" and weights.exists():
        check_file(weights, name=f"{path}: {weights.name}")


def ways_to_open(path: Path) -> list[str]:
    """Runtimes that open files with this suffix, each followed by its modes."""
    able = [
        name
        for name, runtime in RUNTIMES.items()
        if path.suffix in (*runtime.suffixes, *runtime.also)
    ]
    return [way for way in WAYS if way.partition(":")[0] in able]


__all__ = [
    "DEFAULT_RUNTIMES",
    "FOLDERS",
    "RUNTIMES",
    "WAYS",
    "Runtime",
    "is_installed",
    "models_at",
    "open_session",
    "opened",
    "ways_to_open",
]
