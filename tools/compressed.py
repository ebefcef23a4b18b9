"""`pocketface compress`, whose exit code is 1 also where a float file is good enough to be kept.

    python tools/compressed.py DIR FLAGS OF COMPRESS

Fails unless it came to its end, and each file is compressed, or is float for want of a better one.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from pocketface.compressing.report import RECORD, CompressionReport, read_report
from pocketface.errors import PocketfaceError
from pocketface.tools.running import ended, run


def main() -> None:
    """Compress, and judge the report."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("folder", type=Path, metavar="DIR")
    asked, flags = parser.parse_known_args()
    report = compressed(asked.folder, *flags)
    lost = [f"{name}: {why}" for name, why in report.no_float.items()]
    lost += [str(row) for row in report.rows if row.status == "failed"]
    if lost:
        raise PocketfaceError(f"{asked.folder}: {'; '.join(lost)}")


def compressed(folder: Path, *flags: object) -> CompressionReport:
    """The report of a compression, which runs if `folder` has none of one that came to its end.

    Raises:
        SystemExit: The command failed.
        PocketfaceError: It did not come to its end.
    """
    report = read_report(folder)
    if report is None or not report.finished:
        run("compress", "--save-checkpoints-to", folder, *flags, accepted=(0, 1))
        report = read_report(folder)
    if report is None or not report.finished:
        raise PocketfaceError(f"{folder / RECORD}: expected the report of a whole compression")
    return report


if __name__ == "__main__":
    ended(main)
