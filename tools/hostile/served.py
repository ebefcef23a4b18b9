"""Malformed requests to a service in a process of its own."""

from __future__ import annotations

import re
import runpy
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from pocketface.tools.hostile.commands import MEMORY, Verdict

REQUESTS = Path(__file__).resolve().parents[2] / "tests" / "apps" / "bad_requests.py"

_SECONDS = 60.0
_PING = b"GET /ping/ HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n"
_LISTENING = re.compile(r"listening at .*:(\d+)/?")


def requests(count: int) -> Iterator[Verdict]:
    """Send malformed requests one by one, and ask after each whether the service is there."""
    bad = runpy.run_path(str(REQUESTS))
    every = list(bad["requests"]())[:count]
    command = [sys.executable, "-m", "pocketface", "serve", "--port", "0"]
    with (
        tempfile.TemporaryFile("w+") as said,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said, text=True) as service,
    ):
        try:
            assert service.stdout is not None
            found = _LISTENING.match(service.stdout.readline())
            assert found is not None
            port = int(found[1])
            for name, content in every:
                started = time.monotonic()
                try:
                    fault = _fault(port, content, bad["STATUSES"])
                except OSError as error:  # nobody listens any more
                    fault = f"the service is gone: {error}"
                memory = 0 if service.poll() is not None else _peak(service.pid)
                if not fault and memory > MEMORY:
                    fault = f"{memory >> 20} MiB"
                yield Verdict(name, 0, fault, time.monotonic() - started, memory)
        finally:
            ended = service.poll()  # by itself, if it has
            service.terminate()
            try:
                code = service.wait(60)
            except subprocess.TimeoutExpired:
                service.kill()
                code = service.wait()
        said.seek(0)
        text = said.read()
    clean = ended is None and code in (0, -15, 143) and "Traceback" not in text
    yield Verdict("its end and its log", code, "" if clean else text[-500:] or f"{code}", 0.0, 0)


def _fault(port: int, content: bytes, statuses: frozenset[int]) -> str:
    answer = _answer(port, content)
    if answer is None:
        return f"no end in {_SECONDS:.0f} s"
    answer = answer.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
    status = re.match(rb"HTTP/1\.1 (\d{3}) ", answer)
    if answer and (status is None or int(status[1]) not in statuses):
        return f"answered {answer[:60]!r}"
    ping = _answer(port, _PING) or b""
    return "" if ping.startswith(b"HTTP/1.1 200 ") else f"/ping/ then answered {ping[:60]!r}"


def _answer(port: int, content: bytes) -> bytes | None:
    """All that comes back; None if the connection is not closed in time."""
    with socket.create_connection(("127.0.0.1", port), timeout=_SECONDS) as connection:
        parts = []
        try:
            connection.sendall(content)
            connection.shutdown(socket.SHUT_WR)
            while part := connection.recv(65536):
                parts.append(part)
        except TimeoutError:
            return None
        except OSError:  # cut by the service
            pass
    return b"".join(parts)


def _peak(process: int) -> int:
    status = Path(f"/proc/{process}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) * 1024 if found else 0
