"""Forged `.pt` files: TorchScript is a program."""

from __future__ import annotations

import pickle
import re
import warnings
from collections.abc import Callable
from pathlib import Path

import torch

from pocketface.runtimes.torchscript_file import CONTRACT_MEMBER
from pocketface.tools.hostile.forged_any import Forge, members, with_zeros

_ROOT = "archive/"


def set_contract(path: Path, change: Callable[[str], str]) -> None:
    """Change the contract's text."""
    name = _ROOT + CONTRACT_MEMBER
    members(lambda parts: parts.update({name: change(parts[name].decode()).encode()}))(path)


def _code(change: Callable[[str], str]) -> Forge:
    """Change the program's text."""

    def edit(parts: dict[str, bytes]) -> None:
        (name,) = [one for one in parts if one.endswith(".py")]
        parts[name] = change(parts[name].decode()).encode()

    return members(edit)


def _first(*lines: str) -> Forge:
    """Begin the program with these lines."""
    steps = "".join(f"    {line}\n" for line in lines)
    return _code(lambda text: re.sub(r"(def forward\(.*?\]:\n)", rf"\1{steps}", text, flags=re.S))


def _method(text: str) -> Forge:
    """Add a method to the program."""
    return _code(lambda code: code + text)


def _pickled(name: str, change: Callable[[bytes], bytes]) -> Forge:
    return members(lambda parts: parts.update({_ROOT + name: change(parts[_ROOT + name])}))


def _number(before: bytes, new: int, after: bytes = b"") -> Forge:
    """Constants whose first number between two marks, by regular expressions, is another one."""
    code = b"J" + new.to_bytes(4, "little", signed=True)
    place = re.compile(b"(" + before + rb")(?:K.|M..|J....)(?=" + after + b")", re.S)

    def change(content: bytes) -> bytes:
        changed, found = place.subn(lambda match: match[1] + code, content, count=1)
        assert found
        return changed

    return _pickled("constants.pkl", change)


def _foreign(path: Path) -> None:
    """A program of somebody else, without a contract."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.jit.trace(torch.nn.ReLU(), torch.zeros(1))  # type: ignore[no-untyped-call]
        torch.jit.save(program, path)


class _Calls:
    """Pickled as a call."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("raise SystemExit(77)",)


def _renamed(parts: dict[str, bytes]) -> None:
    """Another folder inside."""
    others = {f"x/{name}": content for name, content in parts.items()}
    parts.clear()
    parts.update(others)


_DOUBLED = [f"t{n + 1} = torch.add(t{n}, t{n})" for n in range(40)]
_LIST_USED = "images = torch.add(images, torch.sum(torch.full(t40, 1.)))"
_USED = "images = torch.add(images, torch.sum(x))"
"""Steps whose answers nobody needs are left out."""

FORGERIES: dict[str, Forge] = {
    "a step that writes a file": _first('torch.save(images, "/tmp/x")'),
    "a step that writes a file, its answer kept": _first('x = ops.aten.save(images, "/tmp/x")'),
    "a step that reads a file": _first('x = torch.from_file("/etc/passwd", False, 9)'),
    "a step that makes a file": _first('x = torch.from_file("/tmp/x", True, 1000000)'),
    "a step that prints": _first('print("x")'),
    "a step that never ends": _first("while True:", "  x = 1"),
    "a step that calls itself": _first("x = self.forward(images)"),
    "a branch": _first("if True:", "  x = 1"),
    "an assertion": _first("assert False"),
    "a text doubled 40 times": _first('t0 = torch.add("ab", "ab")', *_DOUBLED),
    "a text from a number, doubled 40 times": _first("t0 = torch.str(1000)", *_DOUBLED),
    "a text of an argument, doubled": _first('t0 = torch.add("ab", other="ab")', *_DOUBLED),
    "a list doubled 40 times": _first("t0 = [1]", *_DOUBLED, _LIST_USED),
    "a list of 10^10 numbers": _first("t40 = torch.mul([1], 10000000000)", _LIST_USED),
    "an array doubled 40 times": _first(
        "t0 = images", *[f"t{n + 1} = torch.cat([t{n}, t{n}])" for n in range(40)], "x = t40", _USED
    ),
    "an array of 10^10 values": _first("x = torch.full([10000000000], 1.)", _USED),
    "an array of 10^10 numbers in a row": _first("x = torch.arange(10000000000)", _USED),
    "an array of -1 values": _first("x = torch.full([-1], 1.)", _USED),
    "10^10 arrays": _first(
        "x = torch.stack(torch.unbind(torch.expand(torch.full([1], 1.), [10000000000])))", _USED
    ),
    "an array enlarged to 10^12": _first(
        "x = torch.upsample_nearest2d(images, [1000000, 1000000], None)", _USED
    ),
    "an array that is not filled": _first("x = torch.empty([9])"),
    "arrays as if they were others": _first("x = torch.as_strided(images, [9], [9000000], 0)"),
    "an operation that is unknown": _first("x = torch.magic(images)"),
    "an operation with too many arguments": _first("x = torch.relu(images, images)"),
    "a constant that is not there": _first("x = torch.relu(CONSTANTS.c9999)"),
    "a size from what is computed": _first("x = torch.full([int(torch.sum(images))], 1.)", _USED),
    "a state that is read": _first("x = torch.relu(self.weight)"),
    "code that runs as it is loaded": _method(
        '  def __setstate__(self, x: int) -> None:\n    torch.save(1, "/tmp/x")\n'
    ),
    "a second class": _method("class Other(Module):\n  __parameters__ = []\n"),
    "a second program": members(
        lambda parts: parts.update({f"{_ROOT}code/__torch__/other.py": b"x = 1\n"})
    ),
    "code of 10 MB": _method("#" * 10_000_000),
    "code nested 10,000 times": _first("x = " + "[" * 10_000 + "]" * 10_000),
    "10,000 signs": _first("x = " + "-" * 10_000 + "1"),
    "10,000 calls in calls": _first("x = " + "torch.relu(" * 10_000 + "images" + ")" * 10_000),
    "code with a zero byte": _method("\0"),
    "code in another encoding": members(
        lambda parts: parts.update({one: b"\xff\xfe" for one in parts if one.endswith(".py")})
    ),
    "code that is empty": _code(lambda _: ""),
    "an answer that is a number": _code(
        lambda text: re.sub(r"-> [^:]*:", "-> int:", re.sub(r"return .*", "return 1", text))
    ),
    "an answer of one array": _code(
        lambda text: re.sub(r"-> [^:]*:", "-> Tensor:", re.sub(r"return .*", "return images", text))
    ),
    "an answer of too few arrays": _code(
        lambda text: re.sub(
            r"-> [^:]*:", "-> Tuple[Tensor]:", re.sub(r"return .*", "return (images,)", text)
        )
    ),
    "a pickle that runs a program": _pickled("data.pkl", lambda _: pickle.dumps(_Calls(), 2)),
    "constants that run a program": _pickled("constants.pkl", lambda _: pickle.dumps(_Calls(), 2)),
    "constants of 10^9 values in fewer": _number(b"cpuq.", 10**9, b"tQ"),
    "constants of one value": _number(b"cpuq.", 1, b"tQ"),
    "constants of -1 values": _number(b"cpuq.", -1, b"tQ"),
    "constants from the 10^9th value on": _number(b"tQq.", 10**9),
    "constants from the -9th value on": _number(b"tQq.", -9),
    "constants of 10^9 rows": _number(rb"tQq.K\0\(", 10**9),
    "constants of -2 rows": _number(rb"tQq.K\0\(", -2),
    "constants with steps of 10^9": _number(rb"tQq.K\0\([^(]*\(", 10**9),
    "constants with steps of 0": _number(rb"tQq.K\0\([^(]*\(", 0),
    "constants that are numbers": _pickled("constants.pkl", lambda _: pickle.dumps((1, 2), 2)),
    "constants that stop": _pickled("constants.pkl", lambda c: c[: len(c) // 2]),
    "constants remembered at 2^32": _pickled(
        "constants.pkl", lambda c: c[:2] + b"]r\xff\xff\xff\xff0" + c[2:]
    ),
    "constants remembered at 10^8": _pickled(
        "constants.pkl", lambda c: c[:2] + b"]r" + (10**8).to_bytes(4, "little") + b"0" + c[2:]
    ),
    "constants of lists in lists": _pickled(
        "constants.pkl", lambda _: b"\x80\x02" + b"]" * 10**6 + b"."
    ),
    "constants of half their length": members(
        lambda p: p.update({n: b[: len(b) // 2] for n, b in p.items() if "/constants/" in n})
    ),
    "no constants": members(lambda p: [p.pop(n) for n in list(p) if "/constants/" in n]),
    "no list of constants": members(lambda p: p.pop(f"{_ROOT}constants.pkl")),
    "no pickle": members(lambda p: p.pop(f"{_ROOT}data.pkl")),
    "no version": members(lambda p: p.pop(f"{_ROOT}version")),
    "a version of 10^9": members(lambda p: p.update({f"{_ROOT}version": b"1000000000\n"})),
    "a version that is a text": members(lambda p: p.update({f"{_ROOT}version": b"x" * 10**6})),
    "another order of bytes": members(lambda p: p.update({f"{_ROOT}byteorder": b"big"})),
    "no code": members(lambda p: [p.pop(n) for n in list(p) if n.endswith(".py")]),
    "no contract": members(lambda p: p.pop(_ROOT + CONTRACT_MEMBER)),
    "nothing at all": members(lambda p: p.clear()),
    "a member more": members(lambda p: p.update({f"{_ROOT}bytecode.pkl": b"\x80\x02)."})),
    "a member that leads out": members(lambda p: p.update({"../../tmp/x": b"x"})),
    "a member that unpacks to 2.5 GB": with_zeros(f"{_ROOT}constants/9999", 2_500 << 20),
    "another folder inside": members(_renamed),
    "a program of somebody else": _foreign,
    "a checkpoint": lambda path: torch.save({"a": torch.zeros(1)}, path),
    "a plain pickle": lambda path: path.write_bytes(pickle.dumps({"a": 1})),
}
