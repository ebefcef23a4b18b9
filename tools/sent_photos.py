"""What the service and `classify` make of all kinds of files: docs/reports/sent-photos.md.

    python tools/sent_photos.py > docs/reports/sent-photos.md

The files are those of tests/apps/sent_photos.py; tests/apps/test_sent_photos.py checks each answer.
"""

from __future__ import annotations

import argparse
import logging
import runpy
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1] / "tests" / "apps"


def main() -> None:
    """Send all files to a service, pass all to `classify`, and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.parse_args()
    logging.disable(logging.INFO)
    sys.path.insert(0, str(TESTS))  # the test imports modules beside it
    test = runpy.run_path(str(TESTS / "test_sent_photos.py"))
    print(
        "# Photos of all kinds, and what became of them\n\n"
        "Written by `python tools/sent_photos.py`; the tests run every case. Each is\n"
        "sent to `pocketface serve` as a form's file of that name; all are given to one run of\n"
        "`pocketface classify` as files, which prints a warning for each that it cannot read, and\n"
        "ends with 0. Where it can read none it ends with 2.\n"
    )
    print("| | what | name | bytes | HTTP status | answer | `classify` |")
    print("|---|---|---|---|---|---|---|")
    told = test["by_classify"](test["CASES"])
    with test["running"]() as port:
        for index, case in enumerate(test["CASES"]):
            status, answer = test["by_service"](port, case)
            name = case[1] if len(case[1]) < 40 else f"{case[1][:9]}…{case[1][-9:]}"
            cells = (case[0], f"`{name}`", f"{len(case[2]):,}", status, answer, told[index])
            print(f"| {index + 1} |", " | ".join(map(str, cells)), "|")


if __name__ == "__main__":
    main()
