"""The two formats of weights files on disk; `weights.py` interprets them.

A `.safetensors` file holds the network's tensors and, as metadata, the template's text, the other
fields of `Section`, and a digest of everything. A `.pth` file is a Lightning checkpoint with the
network's tensors under `network.` in `state_dict` and a plain dict under `pocketface`.
"""

from __future__ import annotations

import hashlib
import json
import pickletools
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError
from torch import Tensor

from ..errors import MissingPackageError, ModelFileError
from ..files import atomic_write, path_in_utf8
from ..model_templates.contract import CONTRACT_KEY, Metric
from .file_checks import FOREIGN_HINT, check_archive, check_file, damaged, reason

TEMPLATE_KEY = "pocketface.template"
"""Metadata key of the template's YAML text in `.safetensors`."""

CHECKPOINT_KEY = "pocketface"
"""Key of our own section in a `.pth` checkpoint."""

NETWORK_PREFIX = "network."
"""Prefix of the network's tensors in the `state_dict` of a `.pth` checkpoint."""

SECTION_KEY = "pocketface.section"
"""Metadata key of the other fields of `Section`, as JSON."""

OLD_CHECKPOINT = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
"""Beginning of what `torch.save` wrote before it wrote zip archives."""

_OBJECTS = re.compile(
    r"collections (OrderedDict|Counter)|_codecs encode|builtins set|torch (Size|device)"
    r"|torch\._utils _rebuild_(tensor_v2|parameter)|torch (\w+Storage|b?float\d+|u?int\d+|bool)"
)
"""What the pickle of a checkpoint may name: tensors, containers, and what is in optimizers."""

# The format has no checksum, so most single bit flips would load silently.
_DIGEST_KEY = "pocketface.content_sha256"
_DIGESTED = (TEMPLATE_KEY, SECTION_KEY)


def _checked_hooks(hooks: dict[str, Any]) -> dict[str, Any]:
    commands = hooks.get("compression_state")
    if not isinstance(commands, list) or not all(
        isinstance(one, dict) and isinstance(one.get("module_cls_name"), str) for one in commands
    ):
        raise ValueError("expected compression_state, a list of what has a module_cls_name")
    return hooks


class Section(BaseModel):
    """The data in a weights file beside its tensors.

    Attributes:
        template: YAML text of the template.
        hooks: Result of `hooks_of`; None if the network has none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    template: str
    epochs: int
    data: str | None = None
    seed: int | None = None
    metrics: tuple[Metric, ...] = ()
    hooks: Annotated[dict[str, Any], AfterValidator(_checked_hooks)] | None = None


def write_safetensors(path: Path, *, tensors: Mapping[str, Tensor], section: Section) -> None:
    """Write a `.safetensors` file."""
    metadata = {
        TEMPLATE_KEY: section.template,
        SECTION_KEY: section.model_dump_json(exclude={"template"}),
    }
    metadata[_DIGEST_KEY] = _digest(tensors, metadata)
    content = _safetensors().torch.save(dict(tensors), metadata=metadata)
    with atomic_write(path) as handle:
        handle.write(_in_order(content))


def _in_order(content: bytes) -> bytes:
    """A safetensors file with its metadata sorted, so that equal weights give equal files.

    The library writes metadata in any order. A file begins with the length of its header (8
    bytes) and the header, JSON padded with blanks (huggingface/safetensors, "Format").
    """
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + content[start:]


def write_checkpoint(path: Path, *, tensors: Mapping[str, Tensor], section: Section) -> None:
    """Write a `.pth` file that holds only the network's tensors and its section."""
    content = {
        "state_dict": {NETWORK_PREFIX + name: tensor for name, tensor in tensors.items()},
        CHECKPOINT_KEY: section.model_dump(mode="json"),
    }
    with atomic_write(path) as handle:
        torch.save(content, handle)


def read_safetensors(path: Path) -> tuple[Section, dict[str, Tensor]]:
    """Read what `write_safetensors` wrote.

    Raises:
        ModelFileError: The file is damaged, or not written by pocketface.
    """
    safetensors = _safetensors()
    check_file(path)
    try:
        with (
            path_in_utf8(path) as plain,
            safetensors.safe_open(plain, framework="pt") as handle,
        ):
            metadata = handle.metadata() or {}
            tensors = {name: handle.get_tensor(name) for name in handle.keys()}  # noqa: SIM118
    except Exception as error:  # the library raises anything on damaged files
        raise damaged(path, error) from error
    if SECTION_KEY not in metadata and CONTRACT_KEY in metadata:
        raise ModelFileError(
            f"{path}: written by an older pocketface, whose weights files are not read",
            hint="its .pth checkpoint is: train on from that, or export that",
        )
    missing = [key for key in (*_DIGESTED, _DIGEST_KEY) if key not in metadata]
    if missing:
        raise ModelFileError(f"{path}: not written by pocketface: no metadata {missing[0]!r}")
    if _digest(tensors, metadata) != metadata[_DIGEST_KEY]:
        raise ModelFileError(f"{path}: damaged: its content does not match its SHA-256")
    try:
        rest = json.loads(metadata[SECTION_KEY])
        section = Section.model_validate({**rest, "template": metadata[TEMPLATE_KEY]})
    except (TypeError, ValueError, RecursionError) as error:
        raise ModelFileError(f"{path}: damaged: {reason(error)}") from error
    return section, tensors


def read_checkpoint(path: Path) -> tuple[Section, dict[str, Tensor]]:
    """Read a `.pth` file; tensors not under `NETWORK_PREFIX` are left out.

    Raises:
        ModelFileError: The file is damaged, or not written by pocketface.
    """
    check_file(path)
    with path.open("rb") as file:
        if file.read(len(OLD_CHECKPOINT)) == OLD_CHECKPOINT:
            raise ModelFileError(
                f"{path}: not written by pocketface, but by a PyTorch before 1.6", hint=FOREIGN_HINT
            )
    content = load_checkpoint(
        path, zipped_operations, refusal="not written by pocketface: holds objects of {}"
    )
    if not isinstance(content, dict) or CHECKPOINT_KEY not in content:
        raise ModelFileError(
            f"{path}: not written by pocketface: no {CHECKPOINT_KEY!r} section", hint=FOREIGN_HINT
        )
    try:
        section = Section.model_validate(content[CHECKPOINT_KEY])
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in (CHECKPOINT_KEY, *first["loc"]))
        raise ModelFileError(f"{path}: {where}: {first['msg']}") from error
    states = content.get("state_dict")
    if not isinstance(states, dict):
        raise ModelFileError(f"{path}: no 'state_dict' of tensors")
    tensors = {
        name.removeprefix(NETWORK_PREFIX): tensor
        for name, tensor in states.items()
        if isinstance(name, str) and name.startswith(NETWORK_PREFIX) and isinstance(tensor, Tensor)
    }
    return section, tensors


Operations = Iterable[tuple[Any, Any, Any]]
"""Of a pickle, as `pickletools.genops` gives them."""


def load_checkpoint(
    path: Path,
    operations: Callable[[Path], Operations],
    *,
    refusal: str,
    hint: str | None = None,
) -> object:
    """What `torch.save` wrote, if it is nothing but tensors and plain objects.

    Args:
        path: The file.
        operations: Reads those of the pickles in it.
        refusal: What the error says of other objects, with `{}` for the first one's name.
        hint: What to do about them.

    Raises:
        ModelFileError: It is damaged, or holds other objects.
    """
    try:
        objects = _foreign_objects(operations(path))
        if objects:
            name = f"{objects[0]!r:.80}"
            raise ModelFileError(f"{path}: {refusal.format(name)}", hint=hint)
        return torch.load(path, map_location="cpu", weights_only=True)
    except ModelFileError:
        raise
    except Exception as error:  # the readers raise anything on damaged or malicious files
        raise damaged(path, error) from error


def zipped_operations(path: Path) -> Iterator[tuple[Any, Any, Any]]:
    """The operations of the pickles in a checkpoint since PyTorch 1.6, whose archive is whole."""
    check_archive(path)
    with zipfile.ZipFile(path) as archive:
        broken = archive.testzip()
        if broken is not None:  # torch writes checksums but does not check them
            raise ValueError(f"wrong checksum of {broken}")
        for member in archive.namelist():
            if member.endswith(".pkl"):
                yield from pickletools.genops(archive.read(member))


def _foreign_objects(operations: Operations) -> list[str]:
    """Names in a checkpoint's pickle that weights do not need.

    PyTorch itself lets a few more pass, among them `bytearray`, whose size a file of a few bytes
    may choose.
    """
    return [
        str(name or operation.name).replace(" ", ".")
        for operation, name, _ in operations
        if operation.name in ("GLOBAL", "STACK_GLOBAL", "INST")
        and not _OBJECTS.fullmatch(str(name))
    ]


READERS: dict[str, Callable[[Path], tuple[Section, dict[str, Tensor]]]] = {
    ".safetensors": read_safetensors,
    ".pth": read_checkpoint,
}


def _safetensors() -> Any:
    try:
        import safetensors.torch
    except ImportError as error:
        raise MissingPackageError("safetensors") from error
    return safetensors


def _digest(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    digest = hashlib.sha256()
    for key in _DIGESTED:
        digest.update(f"{key}={metadata[key]}\n".encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
