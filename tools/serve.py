"""How much does `pocketface serve` bear? Prints the table of docs/guide/serve.md.

    python tools/serve.py [--clients 50] [--seconds 60] [--requests 10000]

For each kind of model files the service runs in a process of its own. Clients, which share the
machine with it, send photos one after another for some time; then requests go on until their
number is reached, and the service's memory is read before, in between and after. Last comes the
largest photo that it takes, and its peak.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import matplotlib
import skimage

from pocketface.data.images import MAX_PIXELS
from pocketface.exporting import ExportRequest, export_model
from pocketface.tasks.weights import open_weights

BOUNDARY = b"----load"
HEAD = (
    b"POST %b HTTP/1.1\r\nHost: here\r\n"
    b"Content-Type: multipart/form-data; boundary=%b\r\nContent-Length: %d\r\n\r\n"
)
LISTENING = re.compile(r"listening at .* http://\S+?:(\d+)(/\S+)")
PART = b'Content-Disposition: form-data; name="image"; filename="photo.jpg"\r\n\r\n'


@dataclass(frozen=True)
class Service:
    """A ready service: its process, its port, and the path for photos."""

    process: int
    port: int
    path: str


@dataclass
class Record:
    """The clients' record: seconds of each answer, and statuses."""

    seconds: list[float] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)


def request_with(photo: bytes, path: str) -> bytes:
    """The bytes of a whole HTTP request."""
    body = b"--%b\r\n%b%b\r\n--%b--\r\n" % (BOUNDARY, PART, photo, BOUNDARY)
    return HEAD % (path.encode(), BOUNDARY, len(body)) + body


def photos(side: int | None = None) -> list[bytes]:
    """Two JPEGs: a face with glasses, 512 x 600 pixels, and one without, 512 x 512.

    With `side`, only the one without, enlarged to that side, as WebP, which takes the most memory.
    """
    hopper = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    astronaut = cv2.imread(str(Path(skimage.__path__[0]) / "data" / "astronaut.png"))
    assert astronaut is not None
    if side is not None:
        return [cv2.imencode(".webp", cv2.resize(astronaut, (side, side)))[1].tobytes()]
    return [hopper.read_bytes(), cv2.imencode(".jpg", astronaut)[1].tobytes()]


async def client(port: int, requests: list[bytes], record: Record, ends: float, most: int) -> None:
    """Send one request after another, over a new connection when the service has ended one."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    number = 0
    while time.monotonic() < ends and sum(record.statuses.values()) < most:
        begun = time.monotonic()
        try:
            writer.write(requests[number % len(requests)])
            head = await reader.readuntil(b"\r\n\r\n")
        except (ConnectionError, asyncio.IncompleteReadError):
            writer.close()
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            continue
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        await reader.readexactly(length)
        record.seconds.append(time.monotonic() - begun)
        record.statuses[head.split()[1].decode()] += 1
        number += 1
    writer.close()


async def load(
    ready: Service,
    clients: int,
    *,
    seconds: float = 1e9,
    most: int = 10**9,
    side: int | None = None,
) -> Record:
    """Run many clients at once, for a time or a number of requests."""
    requests = [request_with(photo, ready.path) for photo in photos(side)]
    record = Record()
    ends = time.monotonic() + seconds
    asked = [client(ready.port, requests, record, ends, most) for _ in range(clients)]
    await asyncio.gather(*asked)
    return record


@contextmanager
def service(*arguments: str) -> Iterator[Service]:
    """Run a service in a new process."""
    command = [sys.executable, "-m", "pocketface", "serve", "--port", "0", *arguments]
    with (
        tempfile.NamedTemporaryFile("w+") as log,
        subprocess.Popen(command, stdout=log, stderr=log) as process,
    ):
        try:
            while not (found := LISTENING.search(Path(log.name).read_text())):
                if process.poll() is not None:
                    raise SystemExit(f"the service does not start:\n{Path(log.name).read_text()}")
                time.sleep(0.1)
            ready = Service(process.pid, int(found[1]), found[2])
            asyncio.run(load(ready, 1, most=20))
            yield ready
        finally:
            process.terminate()


def megabytes(process: int, kind: str = "VmRSS") -> float:
    """Resident memory of a process in megabytes, or its peak with `VmHWM`."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(kind))


def row(name: str, arguments: list[str], options: argparse.Namespace) -> str:
    """Measure the service with one kind of model files; returns a row of the table."""
    with service(*arguments) as ready:
        process = ready.process
        alone = asyncio.run(load(ready, 1, most=100))
        before = megabytes(process)
        record = asyncio.run(load(ready, options.clients, seconds=options.seconds))
        total = sum(record.statuses.values())
        between = megabytes(process)
        rest = max(0, options.requests - total)
        more = asyncio.run(load(ready, options.clients, most=rest)) if rest else Record()
        after = megabytes(process)
        large = asyncio.run(load(ready, 1, most=1, side=math.isqrt(MAX_PIXELS)))
        assert large.statuses == {"200": 1}
        peak = megabytes(process, "VmHWM")
    statuses = record.statuses + more.statuses
    cuts = statistics.quantiles(record.seconds, n=100)
    told = ", ".join(f"{number} x {status}" for status, number in sorted(statuses.items()))
    return (
        f"| {name} | {total / options.seconds:.0f} | {statistics.median(alone.seconds) * 1e3:.0f} "
        f"| {cuts[49] * 1e3:.0f} | {cuts[98] * 1e3:.0f} | {told} "
        f"| {before:.0f}, {between:.0f}, {after:.0f} | {peak:.0f} |"
    )


def main() -> None:
    """Measure the weights and the exported files."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--requests", type=int, default=10_000)
    options = parser.parse_args()
    print(
        "| files | requests/s | alone, ms | median, ms | p99, ms | answers "
        f"| MB before, after {options.seconds:g} s, after {options.requests:,} requests "
        f"| at most, with a photo of {MAX_PIXELS // 10**6} megapixels |"
    )
    print("|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        kinds: dict[str, list[str]] = {"shipped weights (PyTorch)": []}
        for name, suffix in (("onnx", ".onnx"), ("openvino", ".xml")):
            files = []
            for template in ("glasses-n", "face-detection-n"):
                place = Path(folder, name, template)
                export_model(
                    ExportRequest(
                        weights=open_weights(template, None),
                        folder=place,
                        formats=[name],
                        verify=False,
                    )
                )
                files.append(str(place / f"model{suffix}"))
            kinds[f"`model{suffix}`"] = ["--load-weights", files[0], "--detector", files[1]]
        for kind, arguments in kinds.items():
            print(row(kind, arguments, options), flush=True)


if __name__ == "__main__":
    main()
