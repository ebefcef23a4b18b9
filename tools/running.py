"""What scripts share: commands of pocketface in processes of their own, and how a script ends."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import yaml

from pocketface.data.coco_json import load_coco_json
from pocketface.errors import PocketfaceError, UserError
from pocketface.files import atomic_write, sha256_file


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


def digested(flags: Iterable[object]) -> list[str]:
    """Flags, with the SHA-256 of what is in a file in place of its name."""
    files = [Path(str(one)) for one in flags]
    return [sha256_file(one) if one.is_file() else str(one) for one in files]


def keep_settings(
    folder: Path,
    settings: Mapping[str, Any],
    *,
    begun: bool,
    older: Mapping[str, Any] | None = None,
) -> None:
    """Write what a folder's files are made with into its settings.yaml.

    Args:
        folder: Made if it is not there.
        settings: Plain values.
        begun: Whether the folder has something that was made with its settings.
        older: What is known of a folder without such a file.

    Raises:
        UserError: Files that are there were made with others, and might pass for these.
    """
    kept = folder / "settings.yaml"
    then = yaml.safe_load(kept.read_text(encoding="utf-8")) if kept.exists() else older or {}
    changed = [key for key, value in then.items() if settings[key] != value]
    if begun and changed:
        raise UserError(
            f"{folder}: was made with other {', '.join(changed)} than these",
            hint="give what was given before, or name another folder; or remove this one",
        )
    with atomic_write(kept, "w") as file:
        yaml.safe_dump(dict(settings), file, sort_keys=False)


def photos_in(*labels: Path) -> int:
    """Number of photos that COCO files list."""
    return sum(len(load_coco_json(path)["images"]) for path in labels)
