"""Try hostile input of every kind, and count what ends cleanly: docs/reports/trust.md.

    python tools/trust.py > docs/reports/trust.md

Clean is: a documented exit, one line that says what is wrong, no traceback, at most 1 GiB of
memory, nothing half-written. What was not clean is named on standard error, and the exit code
is 1 then.
"""

from __future__ import annotations

import argparse
import datetime
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from pocketface import __version__
from pocketface.exporting import ExportRequest, export_model
from pocketface.model_templates.catalogue import template_path
from pocketface.tasks.weights import open_weights
from pocketface.tools.hostile import images, kills, served, texts, videos
from pocketface.tools.hostile.commands import Try, Verdict, tried
from pocketface.tools.hostile_models import FORMATS, make_models, print_table

_MODELS = "models"
_MUTATIONS = 400

_HEAD = """# What hostile input does

    python tools/trust.py > docs/reports/trust.md

Clean is: the input is used, or refused by a documented exit code and one line that says what is
wrong; no traceback, at most 1 GiB of memory, nothing half-written and no temporary left.
Inputs are seeded: damaged at random (bits, runs of bytes, sizes, cuts, values), or forged by hand.
Of kills: what stands in its place afterwards is whole, and the next run works and removes what the
killed one left; each fell into the run. Of requests: a documented status or a closed connection,
and `/ping/` answers after each; the last row of them is the end of the service and its log.
"""

_ABOUT_MODELS = """
## Model files

Every other damaged file and all forged ones are sealed anew, so that what parses the file sees the
damage. Each is opened and run on a picture, one after the other in one process for each format,
which is started anew after a file that crashes it or takes more than 30 s; such a file has neither
time nor memory, and is named. Memory is what a file takes beyond what the process had. Other
answers are no fault there: who can seal a file can also train another network. The digest shows
damage, not who made a file.
"""

TEMPLATE = Path(__file__).resolve().parents[1] / "tests" / "tiny_template.yaml"


@dataclass(frozen=True)
class Kind:
    """A kind of hostile input.

    Attributes:
        title: Its row in the table.
        count: How many are tried.
        verdicts: Function of the folder of the material, an empty folder and a number.
    """

    title: str
    count: int
    verdicts: Callable[[Path, Path, int], Iterator[Verdict]]


def make_material(folder: Path) -> None:
    """Write a tiny detector, a classifier, photos, a video and annotations."""
    make_models(folder, [".onnx", ".pth"])
    (folder / "tiny.yaml").write_bytes(TEMPLATE.read_bytes())
    export_model(
        ExportRequest(
            weights=open_weights("glasses-n", None),
            folder=folder / "glasses",
            formats=["onnx"],
            verify=False,
        )
    )
    generator = np.random.default_rng(0)
    for name in "abc":
        pixels = generator.integers(0, 256, (12, 16, 3), np.uint8).repeat(10, 0).repeat(10, 1)
        Image.fromarray(pixels).save(folder / f"{name}.png")
    (folder / "faces.json").write_text(json.dumps(_coco(["a.png", "b.png", "c.png"])))
    (folder / "many.json").write_text(
        json.dumps(_coco([f"{number}.png" for number in range(20_000)]))
    )
    videos.encode(folder / "clip.mp4", "libx264", frames=40)


def _coco(names: list[str]) -> dict[str, object]:
    return {
        "images": [
            {"id": number, "file_name": name, "width": 160, "height": 120}
            for number, name in enumerate(names)
        ],
        "annotations": [
            {
                "id": 2 * number + one,
                "image_id": number,
                "category_id": 1,
                "bbox": [10 + 60 * one, 20, 40, 50],
                "keypoints": [20, 40, 2, 40, 40, 2, 30, 50, 2, 22, 60, 2, 38, 60, 2],
                "iscrowd": 0,
            }
            for number in range(len(names))
            for one in (0, 1)
        ],
        "categories": [{"id": 1, "name": "face"}],
    }


def _shown(files: Iterator[tuple[str, Path]], material: Path, suffix: str) -> Iterator[Verdict]:
    model = str(material / "model.onnx")
    for what, path in files:
        output = path.parent / f"out{suffix}"
        show = ["visualize", "--no-show", "--load-weights", model, "--video", str(path)]
        yield tried(Try(what, [*show, "--output", str(output)], output))
        path.unlink()
        output.unlink(missing_ok=True)


def _images(material: Path, folder: Path, count: int) -> Iterator[Verdict]:
    yield from _shown(images.photos(folder, count, 0), material, ".png")


def _videos(material: Path, folder: Path, count: int) -> Iterator[Verdict]:
    yield from _shown(videos.videos(folder, count, 0), material, ".mp4")


def _templates(_: Path, folder: Path, count: int) -> Iterator[Verdict]:
    for name in ("face-detection-n", "glasses-n"):
        sound = template_path(name).read_text()
        for what, path in texts.templates(sound, folder, count // 2, 0):
            output = folder / f"{name}-{path.stem}"
            yield tried(Try(f"{name} {what}", ["init", str(path), str(output)], output))


def _annotations(material: Path, folder: Path, count: int) -> Iterator[Verdict]:
    sound = json.loads((material / "faces.json").read_text())
    each = count // 3
    by = ["--load-weights", str(material / "model.onnx"), "--test-data-roots", str(material)]
    for what, path in texts.coco(sound, folder, each, 0):
        output = folder / f"split-{path.stem}"
        split = ["data", "split", str(path), "--output", str(output)]
        yield tried(Try(f"split {what}", split, output))
        output = folder / f"{path.stem}.yaml"
        evaluate = ["eval", *by, "--test-ann-files", str(path), "--save-metrics-to", str(output)]
        yield tried(Try(f"eval {what}", evaluate, output))
    points = "50,40,70,40,60,50,52,60,68,60"
    labels = {"a": "glass", "b": "no_glass", "c": "glass"}
    rows = [f"{name}.png,{label},{points}" for name, label in labels.items()]
    by[1] = str(material / "glasses" / "model.onnx")
    for what, path in texts.lists(rows, folder, count - 2 * each, 0):
        output = folder / f"csv-{path.stem}.yaml"
        evaluate = ["eval", *by, "--test-ann-files", str(path), "--save-metrics-to", str(output)]
        yield tried(Try(f"eval {what}", evaluate, output))


def _kills(material: Path, folder: Path, count: int) -> Iterator[Verdict]:
    every = kills.commands(material)
    for one in every:
        yield from kills.killed(one, folder / one.name.replace(" ", "-"), count // len(every))


def _requests(_: Path, __: Path, count: int) -> Iterator[Verdict]:
    yield from served.requests(count)


KINDS = {
    "images": Kind("photos, by `visualize`", 300, _images),
    "videos": Kind("videos, by `visualize`", 40, _videos),
    "templates": Kind("templates, by `init`", 150, _templates),
    "annotations": Kind("COCO files and lists, by `data split` and `eval`", 120, _annotations),
    "requests": Kind("requests, to `serve`", 170, _requests),
    "kills": Kind("kills of `train`, `export`, `visualize`, `data split`", 40, _kills),
}


def _row(title: str, found: Sequence[Verdict]) -> str:
    clean = sum(not one.fault for one in found)
    refused = sum(one.code == 2 for one in found)
    memory = max(one.memory for one in found) >> 20
    longest = max(one.seconds for one in found)
    return f"| {title} | {len(found)} | {clean} | {refused} | {memory} | {longest:.1f} |"


def _print_table(kinds: Sequence[str], count: int | None) -> bool:
    """Print what becomes of these kinds of input; returns whether all was clean."""
    print("| input | tried | clean | refused | most memory, MiB | longest, s |")
    print("|---|---|---|---|---|---|")
    clean = True
    with tempfile.TemporaryDirectory() as name:
        material = Path(name) / "material"
        material.mkdir()
        make_material(material)
        for key in kinds:
            folder = Path(name) / key
            folder.mkdir()
            found = list(KINDS[key].verdicts(material, folder, count or KINDS[key].count))
            for one in found:
                if one.fault:
                    clean = False
                    print(f"{key}: {one.what}: {one.fault}", file=sys.stderr)
            print(_row(KINDS[key].title, found), flush=True)
    return clean


def main() -> int:
    """Print the report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    known = [*KINDS, _MODELS]
    parser.add_argument("--kinds", nargs="*", choices=known, default=known)
    parser.add_argument("--count", type=int, help="of each kind, instead of those of the table")
    asked = parser.parse_args()
    print(_HEAD)
    clean = _print_table([one for one in asked.kinds if one != _MODELS], asked.count)
    if _MODELS in asked.kinds:
        print(_ABOUT_MODELS)
        clean = print_table(list(FORMATS), mutations=asked.count or _MUTATIONS) and clean
    print(f"\npocketface {__version__}, {datetime.date.today()}")
    return 0 if clean else 1


if __name__ == "__main__":
    sys.exit(main())
