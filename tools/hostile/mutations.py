"""Damage to model files: seeded mutations, with the seal as it was or made anew."""

from __future__ import annotations

import re
import shutil
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random

from pocketface.runtimes.seal import BLANK_SEAL, model_files, seal

INTEGERS = (-1, 0, 1, 2, 255, 65_536, 2**30, 2**31 - 1, -(2**31), 2**40, 2**62, 2**63 - 1)
"""What is written where a file has a size, an offset or a count."""

_NAME = re.compile(rb"[A-Za-z_./]{4,}")
_NUMBER = re.compile(rb"\d+")
_ZIPS = (".pt", ".pth", ".keras")


def _near_a_name(data: bytearray, random: Random) -> int:
    """A position in the structure: most bytes of a file are weights, which have no names."""
    names = list(_NAME.finditer(bytes(data)))
    if not names or random.random() < 0.2:
        return random.randrange(max(1, len(data)))
    return min(len(data) - 1, max(0, random.choice(names).start() + random.randint(-16, 16)))


def _flip(data: bytearray, random: Random) -> None:
    for _ in range(random.choice((1, 1, 8))):
        data[_near_a_name(data, random)] ^= 1 << random.randrange(8)


def _fill(data: bytearray, random: Random) -> None:
    start, count = _near_a_name(data, random), random.choice((4, 16, 256, 4096))
    data[start : start + count] = bytes([random.choice((0, 255))]) * len(data[start:][:count])


def _cut(data: bytearray, random: Random) -> None:
    del data[random.randrange(len(data)) :]


def _swap(data: bytearray, random: Random) -> None:
    size = random.choice((8, 64, 1024))
    one, other = sorted((_near_a_name(data, random), _near_a_name(data, random)))
    size = min(size, other - one, len(data) - other)
    data[one : one + size], data[other : other + size] = (
        data[other : other + size],
        data[one : one + size],
    )


def _extend(data: bytearray, random: Random) -> None:
    data.extend(bytes(random.choice((1, 64, 100_000))))


def _forge_integer(data: bytearray, random: Random) -> None:
    size = random.choice((4, 8))
    start = _near_a_name(data, random) // 4 * 4
    value = random.choice(INTEGERS) & (256**size - 1)
    data[start : start + size] = value.to_bytes(size, "little")[: len(data) - start]


def _forge_varint(data: bytearray, random: Random) -> None:
    value, start = random.choice(INTEGERS) & (2**64 - 1), _near_a_name(data, random)
    code = bytearray()
    while value > 127:
        code.append(value & 127 | 128)
        value >>= 7
    code.append(value)
    data[start : start + random.choice((1, len(code)))] = code


def _forge_number(data: bytearray, random: Random) -> None:
    numbers = list(_NUMBER.finditer(bytes(data)))
    if not numbers:
        return _forge_integer(data, random)
    found = random.choice(numbers)
    data[found.start() : found.end()] = str(random.choice(INTEGERS)).encode()


MUTATIONS: dict[str, Callable[[bytearray, Random], None]] = {
    "flip": _flip,
    "fill": _fill,
    "cut": _cut,
    "swap": _swap,
    "extend": _extend,
    "integer": _forge_integer,
    "varint": _forge_varint,
    "number": _forge_number,
}


def mutate(path: Path, copy: Path, random: Random, *, reseal: bool) -> str:
    """Write a damaged copy of a model.

    Args:
        path: The sound model: a file, a folder, or an `.xml` with its `.bin`.
        copy: Where the copy goes, with the same suffix.
        random: Says what is damaged, and how.
        reseal: Whether checksums and the seal are made anew, so that the parser sees the damage.

    Returns:
        What was damaged, in words.
    """
    copy_model(path, copy)
    kind = random.choice(list(MUTATIONS))
    part = random.choice(model_files(copy))
    if reseal and path.suffix in _ZIPS:
        name = mutate_member(part, random, kind)
    else:
        data = bytearray(part.read_bytes())
        MUTATIONS[kind](data, random)
        part.write_bytes(data)
        name = part.name
    if reseal:
        sealed_anew(copy)
    return f"{kind} in {name}"


def copy_model(path: Path, copy: Path) -> None:
    """Copy a model with all its parts."""
    if path.is_dir():
        shutil.copytree(path, copy)
        return
    shutil.copy(path, copy)
    if path.suffix == ".xml":
        shutil.copy(path.with_suffix(".bin"), copy.with_suffix(".bin"))


def sealed_anew(path: Path) -> None:
    """Make the seal fit the content, if there is still a place for it; a `.pth` has none."""
    if path.suffix == ".safetensors":
        reseal_safetensors(path)
    elif path.suffix != ".pth" and all(part.is_file() for part in model_files(path)):
        with suppress(ValueError, OSError):  # no place for a seal is left
            seal(path)


def mutate_member(path: Path, random: Random, kind: str) -> str:
    """Damage one member of a zip archive, and write the archive with the right checksums."""
    with zipfile.ZipFile(path) as archive:
        parts = {one.filename: archive.read(one) for one in archive.infolist()}
    # Half of the time not a tensor.
    texts = [name for name in parts if not re.search(r"/(data|constants)/\d+$", name)]
    name = random.choice(texts if random.random() < 0.5 else list(parts))
    data = bytearray(parts[name])
    if data:
        MUTATIONS[kind](data, random)
    rewrite_zip(path, parts | {name: bytes(data)})
    return name


def rewrite_zip(path: Path, parts: dict[str, bytes]) -> None:
    """Write an archive with these members, and a place for the seal where it is the comment."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
        if path.suffix in (".pt", ".keras"):
            archive.comment = BLANK_SEAL.encode()


def reseal_safetensors(path: Path) -> None:
    """Put the digest of its own content into a safetensors file, if it has a header."""
    import safetensors

    from pocketface.models.weights_formats import _DIGEST_KEY, _digest

    try:
        with safetensors.safe_open(path, framework="pt") as handle:
            metadata = handle.metadata() or {}
            tensors = {name: handle.get_tensor(name) for name in handle.keys()}  # noqa: SIM118
        old, new = metadata[_DIGEST_KEY], _digest(tensors, metadata)
    except Exception:  # the library raises anything on damaged files
        return
    path.write_bytes(path.read_bytes().replace(old.encode(), new.encode()))
