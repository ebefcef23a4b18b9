"""How many cores there are for this process, which in a container are few of the machine's."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath

_GROUPS, _OWN = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def cores() -> int:
    """CPU cores that this process may use, at least 1.

    At most those that it may run on, and as many as its control groups give it time of, as `docker
    run --cpus` and a limit of Kubernetes do; a part of a core is one.
    """
    try:
        found: float = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS and Windows do not have it
        found = os.cpu_count() or 1
    return max(1, math.ceil(min([found, *_quotas(_GROUPS, _OWN)])))


def _quotas(groups: Path, own: Path) -> Iterator[float]:
    """Cores that control groups, of version 1 or 2, give the process and the groups around it.

    Args:
        groups: Where they are mounted.
        own: The file that says which are the process's; a container may not see their folders.
    """
    lines = []
    with suppress(OSError):  # not Linux
        lines = own.read_text(encoding="utf-8").splitlines()
    for line in lines:
        _, controllers, name = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        top = groups / "cpu" if controllers else groups
        place = PurePosixPath(name)
        for one in (place, *place.parents):
            folder = top / str(one).lstrip("/")
            with suppress(OSError, ValueError):  # no such folder; "max", which is no limit
                if controllers:
                    quota = int((folder / "cpu.cfs_quota_us").read_text())
                    period = int((folder / "cpu.cfs_period_us").read_text())
                else:
                    quota, period = map(int, (folder / "cpu.max").read_text().split())
                if quota > 0:
                    yield quota / period
