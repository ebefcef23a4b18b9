"""One photo of a person and fifteen others, of which five show that person.

    python tools/recognition_demo.py ../shared/data/youtube_faces/test ../shared/data/no_faces \
        --load-weights model.xml --save-to DIR [--count 5] [--seed 0]

For some people: the first photo of one video is the reference; of the fifteen, five have another
photo of the person and ten none. Each of the fifteen is a group photo that is made here: one to
three people's photos of different sizes over a picture of a place, with things. Runs `pocketface
recognize compare` on them, keeps what it draws, and prints how many of five and of ten are right.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import sys
from contextlib import redirect_stdout
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

import pocketface.cli
from pocketface.data.images import list_images, read_image
from pocketface.evaluation.contact_sheet import contact_sheet

Pixels = NDArray[np.uint8]

WIDTH, HEIGHT = 960, 640
SHOWN, OTHERS = 5, 10


def main() -> None:
    """Make the photos, compare them, and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("people", type=Path, help="a folder for each person")
    parser.add_argument("backgrounds", type=Path, help="no_faces: labels.csv and images")
    parser.add_argument("--load-weights", required=True)
    parser.add_argument("--save-to", type=Path, required=True)
    parser.add_argument("--count", type=int, default=5, help="people to look for")
    parser.add_argument("--max-fmr", default="0.001")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    rng = np.random.default_rng(asked.seed)
    everybody = sorted(folder for folder in asked.people.iterdir() if folder.is_dir())
    with open(asked.backgrounds / "labels.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    kinds = {
        kind: [asked.backgrounds / row["file"] for row in rows if row["kind"] == kind]
        for kind in ("place", "thing")
    }
    print("| person | yes, unsure, no of 5 that show the person | of 10 that do not |")
    print("|---|---|---|")
    right = [0, 0]
    for number, place in enumerate(rng.permutation(len(everybody))[: asked.count], start=1):
        person = everybody[place]
        folder = asked.save_to / f"person-{number}"
        reference, truth = write_photos(person, everybody, kinds, folder, rng)
        answers = compared(reference, folder, asked.load_weights, asked.max_fmr)
        cells = []
        for shows in (True, False):
            given = [answers[name] for name, is_there in truth.items() if is_there == shows]
            counts = [given.count(word) for word in ("yes", "unsure")]
            cells.append(f"{counts[0]}, {counts[1]}, {len(given) - sum(counts)}")
            right[not shows] += counts[0] if shows else len(given) - sum(counts)
        print(f"| {number} | {cells[0]} | {cells[1]} |", flush=True)
        drawn = [read_image(path) for path in list_images(folder / "drawn")]
        cv2.imwrite(str(folder / "sheet.png"), contact_sheet(drawn, columns=5, side=300))
    asked_for = asked.count
    print(f"\nyes for {right[0]} of {SHOWN * asked_for}, no for {right[1]} of {OTHERS * asked_for}")


def write_photos(
    person: Path,
    everybody: list[Path],
    kinds: dict[str, list[Path]],
    folder: Path,
    rng: np.random.Generator,
) -> tuple[Path, dict[str, bool]]:
    """Write the reference and fifteen photos; which of them show the person."""
    (folder / "photos").mkdir(parents=True, exist_ok=True)
    own = list_images(person)
    video = own[0].stem[0]  # the first letter of a name is the video's number
    others_of_the_person = [path for path in own if path.stem[0] != video] or own[1:]
    reference = folder / "me.png"
    cv2.imwrite(str(reference), read_image(own[0]))
    strangers = [folder for folder in everybody if folder != person]
    truth = {}
    shown = [others_of_the_person[i] for i in rng.permutation(len(others_of_the_person))[:SHOWN]]
    for index in range(SHOWN + OTHERS):
        faces = [read_image(path) for path in shown[index : index + 1]]
        for stranger in rng.permutation(len(strangers))[: rng.integers(1, 3)]:
            faces.append(read_image(one_of(list_images(strangers[stranger]), rng)))
        name = f"{index:02d}.png"
        truth[name] = index < len(shown)
        order = rng.permutation(len(faces))
        photo = group_photo([faces[one] for one in order], kinds, rng)
        cv2.imwrite(str(folder / "photos" / name), photo)
    return reference, truth


def one_of(paths: list[Path], rng: np.random.Generator) -> Path:
    """One of them by chance."""
    return paths[int(rng.integers(len(paths)))]


def group_photo(
    faces: list[Pixels], kinds: dict[str, list[Path]], rng: np.random.Generator
) -> Pixels:
    """People beside each other before a place, and a thing in front."""
    ground = cv2.resize(read_image(one_of(kinds["place"], rng)), (WIDTH, HEIGHT))
    room = WIDTH // len(faces)
    for index, face in enumerate(faces):
        side = int(rng.integers(150, min(room, 330)))
        top = int(rng.integers(40, HEIGHT - side - 40))
        left = index * room + int(rng.integers(0, room - side + 1))
        ground[top : top + side, left : left + side] = cv2.resize(face, (side, side))
    thing = cv2.resize(read_image(one_of(kinds["thing"], rng)), (140, 110))
    left = int(rng.integers(0, WIDTH - 140))
    ground[HEIGHT - 110 :, left : left + 140] = thing
    return np.asarray(ground, np.uint8)


def compared(reference: Path, folder: Path, model: str, max_fmr: str) -> dict[str, str]:
    """What `recognize compare` answers for each photo, by name."""
    printed = io.StringIO()
    with redirect_stdout(printed):
        code = pocketface.cli.main([
            "recognize", "compare", str(reference), str(folder / "photos"), "--json",
            "--load-weights", model, "--max-fmr", max_fmr,
            "--output", str(folder / "drawn"), "--force",
        ])  # fmt: skip
    if code:
        sys.exit(code)
    lines = [json.loads(line) for line in printed.getvalue().splitlines()]
    return {Path(line["file"]).name: line["answer"] for line in lines}


if __name__ == "__main__":
    main()
