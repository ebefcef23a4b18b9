"""Forgeries that every format can have: what stands in place of the file, and its contract."""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from pocketface.runtimes.seal import model_files
from pocketface.tools.hostile.mutations import rewrite_zip

Forge = Callable[[Path], object]
"""Changes a copy of a sound model; the path is what `load` opens."""


def each(items: Iterable[Any], field: str, value: Any) -> None:
    """Set a field of each."""
    for one in items:
        setattr(one, field, value)


def with_zeros(name: str, size: int) -> Forge:
    """Add a member of so many zeros, packed to a thousandth of that, to a zip archive."""

    def forge(path: Path) -> None:
        with (
            zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
            archive.open(name, "w", force_zip64=True) as member,
        ):
            for _ in range(size >> 20):
                member.write(bytes(1 << 20))

    return forge


def _in_place(make: Callable[[Path], object]) -> Forge:
    def forge(path: Path) -> None:
        file = model_files(path)[0]
        file.unlink()
        make(file)

    return forge


def _sparse(file: Path) -> None:
    with file.open("wb") as handle:
        handle.truncate(10 << 30)


def _other_kind(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
        path.write_bytes(b"text\n" * 100)
    else:
        path.unlink()
        path.mkdir()


def members(change: Callable[[dict[str, bytes]], object]) -> Forge:
    """Change the members of a zip archive, by name."""

    def forge(path: Path) -> None:
        with zipfile.ZipFile(path) as archive:
            parts = {one: archive.read(one) for one in archive.namelist()}
        change(parts)
        rewrite_zip(path, parts)

    return forge


IN_PLACE: dict[str, Forge] = {
    "a named pipe": _in_place(os.mkfifo),
    "a device": _in_place(lambda file: file.symlink_to("/dev/zero")),
    "nothing in it": _in_place(lambda file: file.write_bytes(b"")),
    "a link to nothing": _in_place(lambda file: file.symlink_to("none")),
    "a link to itself": _in_place(lambda file: file.symlink_to(file.name)),
    "10 GB of zeros": _in_place(_sparse),
    "a text": _in_place(lambda file: file.write_bytes(b"hello\nworld\n")),
    "a folder for a file, or a file for a folder": _other_kind,
}


def _with(key: str, value: object) -> Callable[[str], str]:
    return lambda text: json.dumps(json.loads(text) | {key: value})


def _input_of(height: int) -> Callable[[str], str]:
    def change(text: str) -> str:
        contract = json.loads(text)
        shape = contract["input"]["shape"]
        contract["input"]["shape"] = [height if size in (64, 96) else size for size in shape]
        return json.dumps(contract)

    return change


CONTRACTS: dict[str, Callable[[str], str]] = {
    "contract: a list": lambda _: "[]",
    "contract: outputs of a wrong type": _with("outputs", {"boxes": 1}),
    "contract: a name that is a number": _with("name", 5),
    "contract: rules of a wrong type": _with("rules", [None]),
    "contract: an unknown task": _with("task", "../../etc"),
    "contract: not a number": lambda text: text.replace("0.45", "NaN"),
    "contract: keys twice": lambda text: text[:-1] + ', "name": "a", "name": "b"}',
    "contract: 10 MB": lambda text: text[:-1] + " " * 10_000_000 + "}",
    "contract: nested 100,000 times": lambda _: "[" * 100_000 + "]" * 100_000,
    "contract: keys nested 100,000 times": lambda _: '{"a":' * 100_000 + "1" + "}" * 100_000,
    "contract: a number of 100,000 digits": _with("version", int("9" * 4000)),
    "contract: an input of 10^12 pixels": _input_of(10**6),
    "contract: an input of -1": _input_of(-1),
    "contract: a name with control characters": _with("task", "a\x1b[31m\nb\x00"),
}
"""By name, a function from the contract's text to a forged one."""
