"""One photo of a person and 15 others, 5 of them of the same person: who is told apart?

    python demo.py [--seed N] [flags of `pocketface recognize compare`]

Runs in the folder of the pipeline, after its stage export. Takes the photos from the list of test
photos, of people whom the network has not seen, and lets `pocketface recognize compare` answer;
writes demo: the photos, drawn photos and answers.csv. For photos of your own:

    pocketface recognize compare ME.jpg PHOTOS… --load-weights export/model.onnx --max-fmr 0.1
"""

from __future__ import annotations

import argparse
import csv
import io
import shutil
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import yaml

from pocketface.cli import main as pocketface
from pocketface.data.identities import IdentityPhoto, read_identities
from pocketface.runtimes import models_at

OUT = Path("demo")
FLAGS = ("--max-fmr", "0.1", "--csv", OUT / "answers.csv", "--output", OUT / "drawn")
SAME, OTHERS = 5, 10
ENOUGH = {True: 3, False: 6}
"""How many of the person's photos, and of the others, are to be right."""


def main() -> int:
    """Choose, compare, and print a table; 1 where too few answers are right."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=0, help="of the choice of person and photos")
    asked, flags = parser.parse_known_args()
    exported = models_at(Path("export"))
    if not exported:
        parser.error("export has no model file: expected one by `pocketface export`")
    data = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))["data"]
    photos = read_identities([Path(data["test"])], [Path(data["root"])]).photos
    person, same, others = chosen(photos, np.random.default_rng(asked.seed))
    shutil.rmtree(OUT, ignore_errors=True)
    reference, *rest = copied([person, *same, *others])
    words = ["recognize", "compare", reference, *rest, "--load-weights", exported[0], *FLAGS]
    with redirect_stdout(io.StringIO()):
        code = pocketface([str(word) for word in words] + flags)
    if code:
        return code
    with (OUT / "answers.csv").open(encoding="utf-8", newline="") as file:
        answers = {Path(row["image"]): row["answer"] for row in csv.DictReader(file)}
    print(f"the person: {reference.name}\n\n{'photo':30}  shows them  answer   right")
    enough = True
    for is_same, some in ((True, rest[:SAME]), (False, rest[SAME:])):
        right = 0
        for photo in some:
            answer = answers.get(photo, "unreadable")
            is_right = answer == ("yes" if is_same else "no")
            right += is_right
            shows = "yes" if is_same else "no"
            print(f"{photo.name:30}  {shows:10}  {answer:7}  {'yes' if is_right else 'NO'}")
        whose = "the person's" if is_same else "other people's"
        print(f"\n{whose} photos: {right} of {len(some)} right, asked for {ENOUGH[is_same]}\n")
        enough &= right >= ENOUGH[is_same]
    return 0 if enough else 1


def chosen(
    photos: Sequence[IdentityPhoto], random: np.random.Generator
) -> tuple[Path, list[Path], list[Path]]:
    """A photo of a person, others of the same, and some of other people, by chance."""
    by_person: dict[str, list[Path]] = {}
    for photo in photos:
        if photo.person is not None and photo.found:
            by_person.setdefault(photo.person, []).append(photo.path)
    able = [name for name, paths in by_person.items() if len(paths) > SAME]
    strangers = [(name, path) for name, paths in by_person.items() for path in paths]
    if not able or len(strangers) - max(map(len, by_person.values())) < OTHERS:
        raise SystemExit(f"expected a person with {SAME + 1} photos, and {OTHERS} of other people")
    name = able[random.integers(len(able))]
    person, *same = (by_person[name][at] for at in random.permutation(len(by_person[name])))
    rest = [path for who, path in strangers if who != name]
    others = [rest[at] for at in random.permutation(len(rest))[:OTHERS]]
    return person, same[:SAME], others


def copied(photos: Sequence[Path]) -> list[Path]:
    """Copies in one folder, whose names tell folder and photo."""
    folder = OUT / "photos"
    folder.mkdir(parents=True)
    places = []
    for number, photo in enumerate(photos):
        place = folder / f"{number:02}-{photo.parent.name}-{photo.name}"
        places.append(Path(shutil.copy(photo, place)))
    return places


if __name__ == "__main__":
    sys.exit(main())
