"""Damaged and forged templates and annotations."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from pocketface.data.labelled_faces import COLUMNS
from pocketface.tools.hostile.mutations import MUTATIONS

Hostile = tuple[str, bytes]
"""What is wrong, and a file's content."""

ODD: Sequence[Any] = (
    None, True, "", "face", "é\u202e\x1b[31m", "x" * 100_000, -1, 0, 10**30, 1e308, float("nan"),
    float("inf"), 0.5, [], {}, [None], [[[[]]]], {"a": 1}, [1, 2, 3, 4], ["0", "0", "9", "9"],
    "../../etc/passwd", "/etc/passwd", "C:\\x.jpg", "a\0b", [-5, -5, 1e9, 1e9], "0",
)  # fmt: skip
"""What takes the place of a value."""

_SCALARS = (
    "null", "[]", "{}", "-1", "0", "1e400", ".nan", ".inf", "010", "no", "'1'", "|", "'", "\t", "?",
    "!!python/object:os.system", "!!binary AAAA", "&a", "*a", "<<: *a", "2026-11-28", "[1, 2, 3]",
    "{a: b}", "0x7fffffffffffffff", "../../../etc/passwd", "x" * 5000, "é", "\u2028", "9" * 400,
)  # fmt: skip


def templates(sound: str, folder: Path, count: int, seed: int) -> Iterator[tuple[str, Path]]:
    """Write hostile copies of a template, with what is wrong with each."""
    forged = list(_forged_templates(sound))
    return _written(folder, ".yaml", forged, partial(_changed_template, sound), count, seed)


def coco(sound: dict[str, Any], folder: Path, count: int, seed: int) -> Iterator[tuple[str, Path]]:
    """Write hostile copies of a COCO file, with what is wrong with each."""
    forged = list(_forged_json(sound))
    return _written(folder, ".json", forged, partial(_changed_json, sound), count, seed)


def lists(rows: Sequence[str], folder: Path, count: int, seed: int) -> Iterator[tuple[str, Path]]:
    """Write hostile copies of a list of labelled faces, with what is wrong with each."""
    text = "\n".join([",".join(COLUMNS), *rows]) + "\n"
    forged = list(_forged_lists(text, rows))
    return _written(folder, ".csv", forged, partial(_changed_list, text), count, seed)


def _written(
    folder: Path,
    suffix: str,
    forged: Sequence[Hostile],
    changed: Callable[[Random], Hostile],
    count: int,
    seed: int,
) -> Iterator[tuple[str, Path]]:
    """Write so many files one by one: those that are forged, then those changed at random."""
    for index in range(count):
        what, content = forged[index] if index < len(forged) else changed(Random(f"{seed} {index}"))
        path = folder / f"{index}{suffix}"
        path.write_bytes(content)
        yield f"{index}: {what}", path


def _forged_templates(sound: str) -> Iterator[Hostile]:
    bomb = "a: &a [x, x]\n" + "".join(
        f"{name}: &{name} [*{before}, *{before}, *{before}, *{before}]\n"
        for before, name in zip("abcdefgh", "bcdefghi", strict=True)
    )
    yield "nothing", b""
    yield "an alias bomb", bomb.encode()
    yield "nested 10,000 deep", b"[" * 10_000
    yield "nested mappings", b"".join(b" " * depth + b"a:\n" for depth in range(2_000))
    yield "4 MB", sound.encode() + b"#" * 4_000_000
    yield "UTF-16", sound.encode("utf-16")
    yield "a byte order mark", b"\xef\xbb\xbf" + sound.encode()
    yield "Latin-1", sound.encode() + "# é\n".encode("latin-1")
    yield "NUL bytes", sound.encode().replace(b"name:", b"na\0me:", 1)
    yield "tabs", sound.replace("  ", "\t").encode()
    yield "carriage returns", sound.replace("\n", "\r").encode()
    yield "two documents", (sound + "---\n" + sound).encode()
    yield "every key twice", (sound + sound).encode()
    yield "a list", b"- a\n- b\n"
    yield "a number", b"1\n"
    yield "JSON", json.dumps({"name": "x"}).encode()
    yield "a photo", bytes(range(256)) * 100


def _changed_template(sound: str, random: Random) -> Hostile:
    lines = sound.splitlines()
    number = random.randrange(len(lines))
    line = lines[number]
    key, colon, _ = line.partition(":")
    kind = random.choice((*["value"] * 4, "drop", "twice", "indent", "key", "bytes"))
    if kind == "value" and colon:
        lines[number] = f"{key}: {random.choice(_SCALARS)}"
    elif kind == "drop":
        del lines[number]
    elif kind == "twice":
        lines.insert(number, line)
    elif kind == "indent":
        lines[number] = " " * random.randint(0, 9) + line.lstrip()
    elif kind == "key":
        lines[number] = line.replace(key.strip(), key.strip()[::-1], 1)
    content = bytearray(("\n".join(lines) + "\n").encode())
    if kind == "bytes":
        MUTATIONS[random.choice(list(MUTATIONS))](content, random)
    return f"{kind} at line {number + 1}: {line.strip()[:40]}", bytes(content)


def _forged_json(sound: dict[str, Any]) -> Iterator[Hostile]:
    text = json.dumps(sound)
    yield "nothing", b""
    yield "a list", b"[]"
    yield "nested 100,000 deep", b"[" * 100_000
    yield "UTF-16", text.encode("utf-16")
    yield "a byte order mark", b"\xef\xbb\xbf" + text.encode()
    yield "half", text[: len(text) // 2].encode()
    yield "two documents", (text + text).encode()
    yield "every key twice", text.replace('"bbox"', '"bbox": 1, "bbox"').encode()
    yield "a number of 10,000 digits", text.replace(": 1", ": " + "9" * 10_000).encode()
    yield "NaN", text.replace(": 1", ": NaN").encode()
    for key in ("images", "annotations", "categories"):
        yield f"no {key}", json.dumps({**sound, key: []}).encode()
        yield f"{key} of numbers", json.dumps({**sound, key: [1, 2, 3]}).encode()
        yield f"{key} a thousand times", json.dumps({**sound, key: sound[key] * 1000}).encode()


def _changed_json(sound: dict[str, Any], random: Random) -> Hostile:
    content = copy.deepcopy(sound)
    if random.random() < 0.15:
        data = bytearray(json.dumps(content).encode())
        kind = random.choice(list(MUTATIONS))
        MUTATIONS[kind](data, random)
        return kind, bytes(data)
    told = []
    for _ in range(random.choice((1, 1, 1, 3))):
        key = random.choice(("images", "annotations", "annotations", "categories"))
        record = random.choice(content[key])
        if not isinstance(record, dict) or not record:
            continue
        name = random.choice(list(record))
        odd = random.choice(ODD)
        kind = random.choice(("set", "set", "set", "drop", "twice"))
        if kind == "set":
            record[name] = odd
        elif kind == "drop":
            del record[name]
        else:
            content[key].append(copy.deepcopy(record))
        told.append(f"{kind} {key}.{name} {str(odd)[:20] if kind == 'set' else ''}")
    return "; ".join(told), json.dumps(content).encode(errors="surrogatepass")


def _forged_lists(text: str, rows: Sequence[str]) -> Sequence[Hostile]:
    return [
        ("nothing", b""),
        ("only a heading", text.splitlines()[0].encode()),
        ("UTF-16", text.encode("utf-16")),
        ("a byte order mark", b"\xef\xbb\xbf" + text.encode()),
        ("semicolons", text.replace(",", ";").encode()),
        ("tabs", text.replace(",", "\t").encode()),
        ("carriage returns", text.replace("\n", "\r").encode()),
        ("a quote that never ends", text.replace("glass", '"glass', 1).encode()),
        ("NUL bytes", text.replace("glass", "gl\0ass").encode()),
        ("a cell of 10 MB", text.encode() + b"x" * 10_000_000),
        ("every row a thousand times", (text + "\n".join([*rows] * 1000)).encode()),
        ("Latin-1", text.encode() + "é.jpg,glass\n".encode("latin-1")),
    ]


def _changed_list(text: str, random: Random) -> Hostile:
    cells = [row.split(",") for row in text.splitlines()]
    row = random.choice(cells)
    row[random.randrange(len(row))] = str(random.choice(ODD))
    data = bytearray("\n".join(map(",".join, cells)).encode(errors="replace"))
    what = f"odd cell in {row[0][:20]}"
    if random.random() < 0.3:
        what = random.choice(list(MUTATIONS))
        MUTATIONS[what](data, random)
    return what, bytes(data)
