"""Opens the model files whose paths come on standard input, and says what became of each.

One JSON line in, one JSON line out; `pocketface.tools.hostile.run` starts it and watches over it.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import pocketface
from pocketface.errors import PocketfaceError

_MORE_MEMORY = 6 << 30
"""Bytes of address space that a file may take beyond what the process has; a safety net."""


def main() -> None:
    """Serve until standard input ends."""
    # Runtimes print to both streams.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    picture = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    for line in sys.stdin:
        answers.write(json.dumps(_tried(json.loads(line), picture)) + "\n")
        answers.flush()


def _tried(job: dict[str, Any], picture: Any) -> dict[str, Any]:
    before = _memory("VmRSS")
    _bounded()
    start = time.process_time()
    found: dict[str, Any] = {}
    try:
        model = pocketface.load(job["path"], runtime=job["runtime"], threads=1)
        if hasattr(model, "raw"):
            model.predict(picture, score_threshold=0.0)
            batch = picture.transpose(2, 0, 1)[None].astype(np.float32)
            raw = model.raw(batch)
            found["answer"] = {name: np.ravel(raw[name]).tolist() for name in sorted(raw)}
        found["kind"] = "opened"
    except PocketfaceError as error:
        text = str(error)
        named = Path(job["path"]).stem in text
        clean = named and text.isprintable() and len(text) < 1000
        found |= {"kind": "refused" if clean else "unclear", "message": text}
    except BaseException as error:
        found |= {"kind": "exception", "message": f"{type(error).__name__}: {error}"}
    found["seconds"] = time.process_time() - start
    found["memory"] = _memory("VmHWM") - before
    return found


def _bounded() -> None:
    """Forget the peak of memory, and bound what is to come."""
    Path("/proc/self/clear_refs").write_text("5")
    bound = _memory("VmSize") + _MORE_MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (bound, resource.RLIM_INFINITY))


def _memory(key: str) -> int:
    """A figure of this process in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) * 1024
    raise KeyError(key)


if __name__ == "__main__":
    main()
