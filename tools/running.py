"""What scripts share: commands of pocketface in processes of their own, and how a script ends."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

import yaml

from pocketface.data.coco_json import load_coco_json
from pocketface.errors import PocketfaceError


def ended(main: Callable[[], int | None]) -> NoReturn:
    """Run a script, and end with its exit code; a failure of ours is a line, not a traceback."""
    try:
        code = main()
    except PocketfaceError as error:
        print(f"{Path(sys.argv[0]).stem}: error: {error}", file=sys.stderr)
        if error.hint:
            print(error.hint, file=sys.stderr)
        code = error.exit_code
    raise SystemExit(code)


def run(*arguments: object, accepted: Sequence[int] = (0,)) -> int:
    """Run a command of pocketface, with its output on stderr.

    Args:
        arguments: The command and its flags.
        accepted: Exit codes that are no failure.

    Returns:
        Its exit code.

    Raises:
        SystemExit: It is another one, which becomes the script's.
    """
    command = [sys.executable, "-m", "pocketface", *map(str, arguments)]
    code = subprocess.run(command, stdout=sys.stderr).returncode
    if code not in accepted:
        raise SystemExit(code if code > 0 else 128 - code)  # as a shell tells of a signal
    return code


def evaluated(*arguments: object) -> dict[str, float]:
    """The figures of `pocketface eval` with these flags, by key."""
    with tempfile.TemporaryDirectory() as name:
        metrics = Path(name) / "metrics.yaml"
        run("eval", *arguments, "--save-metrics-to", metrics)
        content = yaml.safe_load(metrics.read_text(encoding="utf-8"))
    return {one["key"]: one["value"] for one in content["metrics"]}


def photos_in(*labels: Path) -> int:
    """Number of photos that COCO files list."""
    return sum(len(load_coco_json(path)["images"]) for path in labels)
