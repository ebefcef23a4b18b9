"""`pocketface blur`: photos and folders of them, who is hidden, and what goes wrong."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pocketface.apps.blur.manifest import MANIFEST, read_manifest
from pocketface.data.images import read_image

from ..colour_model import write_colour_model
from ..pixel_recognizer import MEASURED, PLACES, write_detector, write_photo, write_recognizer

Run = Callable[..., Any]

pytestmark = pytest.mark.usefixtures("place")

ANNA, BERT, CARL = 1, 2, 3
FIND = ("--detector", "three.onnx")
WHO = ("--recognizer", "pixels.onnx")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_recognizer(folder / "pixels.onnx", **MEASURED)
    write_recognizer(folder / "other.onnx", name="other", **MEASURED)
    write_detector(folder / "one.onnx", 40)
    write_detector(folder / "three.onnx", 40, 40, 40)
    write_detector(folder / "tiny.onnx", 20)
    return folder


@pytest.fixture
def place(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with models, a photo, and a folder in/ of photos."""
    shutil.copytree(models, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    write_photo(Path("photo.png"), ANNA, BERT, CARL)
    write_photo(Path("in/a.png"), ANNA, BERT, CARL)
    write_photo(Path("in/more/b.png"), CARL)
    write_photo(Path("in/nobody.png"), is_bright=False)
    return tmp_path


def hidden(before: str, after: str) -> list[bool]:
    """Whether each face of a photo is hidden."""
    return [part_changed(read_image(Path(before)), read_image(Path(after)), at) for at in PLACES]


def part_changed(one: NDArray[np.uint8], other: NDArray[np.uint8], at: tuple[int, int]) -> bool:
    x, y = at
    middle = slice(y + 12, y + 28), slice(x + 12, x + 28)
    return bool(np.abs(one[middle].astype(int) - other[middle]).mean() > 5)


def files_in(folder: str) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in Path(folder).rglob("*.*"))


def test_beside_the_source(run: Run) -> None:
    result = run("blur", "photo.png", *FIND)
    assert (result.code, result.err) == (0, "")
    assert result.out.splitlines()[0] == "blurred_photo.png: 3 faces"
    assert result.out.splitlines()[1].startswith("1 photo, 3 faces hidden, ")
    assert hidden("photo.png", "blurred_photo.png") == [True] * 3
    again = run("blur", "photo.png", *FIND)
    assert again.code == 2
    assert "photo.png: blurred_photo.png is there already" in again.err
    assert run("blur", "photo.png", *FIND, "--force", "--style", "solid").code == 0


def test_a_folder_keeps_its_tree(run: Run) -> None:
    result = run("blur", "in", "photo.png", *FIND, "--output", "out")
    assert result.code == 0
    assert files_in("out") == ["a.png", "more/b.png", "nobody.png", "photo.png"]
    assert "4 photos, 9 faces hidden, 1 without a face" in result.out
    assert hidden("in/a.png", "out/a.png") == [True] * 3
    assert np.array_equal(read_image(Path("out/nobody.png")), read_image(Path("in/nobody.png")))


def test_photos_of_one_name(run: Run) -> None:
    write_photo(Path("in/more/a.png"), CARL)
    assert run("blur", "in/a.png", "in/more/a.png", *FIND, "--output", "out").code == 0
    assert files_in("out") == ["in/a.png", "more/a.png"]
    assert hidden("in/more/a.png", "out/more/a.png")[0]


def test_what_was_blurred_is_not_blurred_again(run: Run) -> None:
    assert run("blur", "in", *FIND).code == 0
    result = run("blur", "in", *FIND, "--force")
    assert "left out 3 files named blurred_…, as in/blurred_a.png" in result.err
    assert "3 photos" in result.out
    assert not any("blurred_blurred" in name for name in files_in("in"))
    assert run("blur", "in/blurred_a.png", *FIND).code == 0


def test_json(run: Run) -> None:
    result = run("blur", "in/more/b.png", "in/nobody.png", *FIND, "--output", "out", "--json")
    lines = [json.loads(line) for line in result.out.splitlines()]
    assert [(line["file"], line["output"], line["hidden"]) for line in lines] == [
        ("in/more/b.png", "out/b.png", 3),
        ("in/nobody.png", "out/nobody.png", 0),
    ]
    assert [face["score"] for face in lines[0]["faces"]] == pytest.approx([0.9, 0.85, 0.8])


@pytest.mark.parametrize("style", ["mosaic", "gaussian", "solid", "emoji", "replace"])
@pytest.mark.parametrize("shape", ["ellipse", "box"])
def test_styles(style: str, shape: str, run: Run) -> None:
    cv2.imwrite("red.png", np.full((8, 8, 3), (0, 0, 255), np.uint8))
    more = ("--picture", "red.png") if style == "replace" else ()
    result = run("blur", "photo.png", *FIND, "--style", style, "--shape", shape, *more)
    assert result.code == 0
    x, y = PLACES[0]
    face = read_image(Path("blurred_photo.png"))[y + 12 : y + 28, x + 12 : x + 28]
    if style in ("solid", "replace"):
        assert (face == ((0, 0, 0) if style == "solid" else (0, 0, 255))).all()
    assert hidden("photo.png", "blurred_photo.png") == [True] * 3


def test_a_mask(run: Run, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The segmenter says which pixels; the middle of the face is hidden whatever it says."""
    from pocketface.tasks import named

    write_colour_model(place / "colour.onnx")
    real = named.model_path
    monkeypatch.setattr(
        named,
        "model_path",
        lambda name, **kept: (
            Path("colour.onnx") if name == "face-segmentation-n" else real(name, **kept)
        ),
    )
    assert run("blur", "photo.png", *FIND, "--shape", "mask").code == 0
    assert hidden("photo.png", "blurred_photo.png") == [True] * 3


@pytest.fixture
def gallery(run: Run, place: Path) -> str:
    assert place == Path.cwd()
    write_photo(Path("anna.png"), ANNA)
    model = ("--load-weights", "pixels.onnx", "--detector", "one.onnx")
    assert run("recognize", "enroll", "g.gallery", "anna.png", "--name", "Anna", *model).code == 0
    return "g.gallery"


@pytest.mark.parametrize(
    ("rule", "expected"), [("--except", [False, True, True]), ("--only", [True, False, False])]
)
def test_who(rule: str, expected: list[bool], run: Run, gallery: str) -> None:
    result = run("blur", "photo.png", *FIND, rule, gallery, *WHO)
    assert (result.code, result.err) == (0, "")
    assert hidden("photo.png", "blurred_photo.png") == expected
    assert f"{sum(expected)} face{'s' * (sum(expected) != 1)} of 3" in result.out


@pytest.mark.parametrize("rule", ["--except", "--only"])
def test_who_is_unsure_is_hidden(rule: str, run: Run, gallery: str) -> None:
    """At 0.001 it may be Anna from 0.6 on and is from 0.8 on; this one is between."""
    write_photo(Path("perhaps.png"), ANNA, blur=0.45)
    assert run("blur", "perhaps.png", "--detector", "one.onnx", rule, gallery, *WHO).code == 0
    assert hidden("perhaps.png", "blurred_perhaps.png")[0]


@pytest.mark.parametrize("rule", ["--except", "--only"])
def test_who_is_too_small_is_hidden(rule: str, run: Run, gallery: str) -> None:
    write_photo(Path("small.png"), BERT)
    result = run("blur", "small.png", "--detector", "tiny.onnx", rule, gallery, *WHO)
    assert "blurred_small.png: 1 face\n" in result.out


def test_a_gallery_of_another_model(run: Run, gallery: str) -> None:
    result = run("blur", "photo.png", *FIND, "--only", gallery, "--recognizer", "other.onnx")
    assert result.code == 2
    assert "g.gallery: its embeddings are of pixels" in result.err
    assert not Path("blurred_photo.png").exists()


def test_metadata_groups(run: Run) -> None:
    tags = Image.Exif()
    tags[0x010F], tags[0x010E] = "Maker", "secret"
    with Image.open("photo.png") as image:
        image.convert("RGB").save("photo.jpg", exif=tags.tobytes())
    assert run("blur", "photo.jpg", *FIND, "--keep-metadata", "date,camera").code == 0
    with Image.open("blurred_photo.jpg") as image:
        assert dict(image.getexif()) == {0x010F: "Maker"}
    result = run("blur", "photo.jpg", *FIND, "--force", "--keep-metadata", "date,gps")
    assert result.code == 2
    assert "--keep-metadata gps: expected some of date, camera, exposure" in result.err


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (("nothing.png",), "nothing.png: no such file or folder"),
        (("empty",), "empty: no photo or video to blur in there"),
        (("loop",), "loop: no such file or folder"),
        (("text.jpg",), "text.jpg: not an image"),
        (("half.png",), "half.png: damaged or cut-off image"),
        (("huge.png",), "huge.png: 9000 x 9000 pixels: above the limit"),
        (("photo.png", "--output", "out.jpg"), "--output out.jpg: expected a folder"),
        (("photo.png", "--output", "text.jpg"), "--output text.jpg: expected a folder"),
        (("photo.png", "--output", "."), "--output .: photo.png is one of the photos to be read"),
        (("in", "--output", "in/out"), "--output in/out: lies in in, among the photos"),
        (("photo.png", "--resume"), "--resume: needs --output DIR"),
        (("photo.png", "--grow", "0.5"), "--grow 0.5: expected 1 to 10"),
        (("photo.png", "--style", "replace"), "--style replace: needs --picture FILE"),
        (("photo.png", "--picture", "photo.png"), "goes with --style replace alone"),
        (("photo.png", "--max-fmr", "0.1"), "--max-fmr 0.1: goes with --only or --except"),
        (("photo.png", "--only", "photo.png"), "photo.png: expected a name that ends in .gallery"),
        (("photo.png", "--only", "no.gallery"), "no.gallery"),
        (("photo.png", "--only", "a", "--except", "b"), "not allowed with"),
        (("photo.png", "--keep-metadata", ""), "--keep-metadata: expected names with commas"),
        (("photo.png", "--keep-metadata", ","), "--keep-metadata: expected names with commas"),
        (("photo.png", "--max-side", "8"), "--max-side 8: expected"),
    ],
)
def test_one_clear_line(arguments: tuple[str, ...], what: str, run: Run) -> None:
    Path("empty").mkdir()
    Path("loop").symlink_to("loop")
    Path("text.jpg").write_text("just a text\n" * 100)
    Path("half.png").write_bytes(Path("photo.png").read_bytes()[:9000])
    write_photo(Path("in/more/a.png"), ANNA)
    if "huge.png" in arguments:
        Image.new("L", (9000, 9000)).save("huge.png", compress_level=1)
    before = files_in(".")
    result = run("blur", *arguments, *(() if "--detector" in arguments else FIND))
    assert result.code == 2
    assert what in result.err
    assert len([line for line in result.err.splitlines() if line.startswith("pocketface:")]) == 1
    assert files_in(".") == before


def test_links(run: Run) -> None:
    """Loops are left out; a link to a photo gives a photo, and what it leads to stays."""
    Path("in/loop").symlink_to("../in")
    Path("in/self.png").symlink_to("self.png")
    Path("in/linked.png").symlink_to("../photo.png")
    before = Path("photo.png").read_bytes()
    Path("out").mkdir()
    Path("elsewhere.png").write_bytes(before)
    Path("out/linked.png").symlink_to("../elsewhere.png")
    result = run("blur", "in", *FIND, "--output", "out", "--force")
    assert result.code == 0
    assert "in/self.png: left out" in result.err
    assert not Path("out/linked.png").is_symlink()
    assert hidden("photo.png", "out/linked.png") == [True] * 3
    assert Path("photo.png").read_bytes() == Path("elsewhere.png").read_bytes() == before
    Path("out/a.png").unlink()
    Path("out/a.png").symlink_to("../photo.png")
    result = run("blur", "in", *FIND, "--output", "out", "--force")
    assert "out/a.png is one of the photos to be read" in result.err


def test_what_cannot_be_blurred_is_named_and_counted(run: Run) -> None:
    Path("in/half.png").write_bytes(Path("photo.png").read_bytes()[:9000])
    Path("in/photo.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    result = run("blur", "in", *FIND, "--output", "out")
    assert result.code == 1
    assert "not blurred: in/half.png: damaged" in result.err
    last = result.err.splitlines()[-1]
    assert last.startswith("pocketface: error: 2 files not blurred: nothing is written of in/half")
    assert "3 photos" in result.out
    assert files_in("out") == ["a.png", "more/b.png", "nobody.png"]
    shutil.rmtree("in/more")
    for name in ("a.png", "nobody.png", "photo.heic"):
        Path("in", name).write_bytes(b"")
    result = run("blur", "in", *FIND, "--output", "other")
    assert (result.code, "none of the 4 photos" in result.err) == (2, True)


def test_a_name_that_grows_too_long_stops_no_other_photo(run: Run) -> None:
    Path("in/nobody.png").rename("in/" + 250 * "b" + ".png")
    done = run("blur", "in", *FIND)
    assert done.code == 1
    assert "not blurred: in/bbb" in done.err
    assert "File name too long" in done.err
    assert files_in("in/more") == ["b.png", "blurred_b.png"]
    assert Path("in/blurred_a.png").is_file()


def test_resume(run: Run) -> None:
    resumed = ("blur", "in", *FIND, "--output", "out", "--resume")
    Path("in/half.png").write_bytes(Path("photo.png").read_bytes()[:9000])
    assert run(*resumed).code == 1
    written = {name: os.stat(f"out/{name}").st_mtime_ns for name in ("a.png", "more/b.png")}
    Path("in/half.png").write_bytes(Path("photo.png").read_bytes())
    result = run(*resumed)
    assert result.code == 0
    assert "1 photo, 3 faces hidden, 3 done before" in result.out
    assert {name: os.stat(f"out/{name}").st_mtime_ns for name in written} == written
    # A source, an output, and the settings change.
    write_photo(Path("in/a.png"), BERT)
    Path("out/more/b.png").write_bytes(Path("in/more/b.png").read_bytes())
    assert "2 photos, 6 faces hidden, 2 done before" in run(*resumed).out
    assert hidden("in/more/b.png", "out/more/b.png")[0]
    assert "4 photos" in run(*resumed, "--style", "solid").out
    done = read_manifest(Path("out") / MANIFEST)
    assert sorted(done) == ["a.png", "half.png", "more/b.png", "nobody.png"]
    assert (done["a.png"].faces, done["a.png"].source) == (3, "in/a.png")


def test_other_files_stay_when_a_run_begins(run: Run) -> None:
    Path("out").mkdir()
    Path("out/a.png").write_text("mine")
    result = run("blur", "in", *FIND, "--output", "out", "--resume")
    assert (result.code, "out/a.png is there already" in result.err) == (2, True)
    assert Path("out/a.png").read_text() == "mine"


def test_two_runs_into_one_folder(run: Run) -> None:
    from pocketface.apps.blur.manifest import only_run

    with only_run(Path("out")):
        result = run("blur", "in", *FIND, "--output", "out")
    assert result.code == 2
    assert "--output out: another run is writing into it" in result.err
    assert files_in("out") == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_ended_in_the_middle(number: signal.Signals, run: Run) -> None:
    for name in range(30):
        write_photo(Path(f"in/{name:02}.png"), ANNA)
    arguments = ["blur", "in", *FIND, "--output", "out", "--resume"]
    process = subprocess.Popen(
        [sys.executable, "-m", "pocketface", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    limit = time.monotonic() + 60
    while not Path("out/02.png").exists() and time.monotonic() < limit:
        time.sleep(0.005)
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    there = [name for name in files_in("out") if name.endswith(".png")]
    assert 0 < len(there) < 33
    for name in there:
        if not Path(name).name.startswith("."):
            assert hidden(f"in/{name}", f"out/{name}")[0] or name == "nobody.png"
    assert process.returncode == {2: 130, 15: 143, 9: -9}[number]
    assert "Traceback" not in err
    result = run(*arguments)
    assert result.code == 0
    assert len(read_manifest(Path("out") / MANIFEST)) == 33
    assert len([name for name in files_in("out") if name.endswith(".png")]) == 33
    counts = [int(word) for word in result.out.splitlines()[-1].split() if word.isdigit()]
    assert counts[0] + counts[-1] == 33


def test_a_full_disk(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from pocketface import files

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    result = run("blur", "photo.png", *FIND, "--output", "out")
    assert result.code == 1
    assert "out/photo.png: No space left on device" in result.err
    assert files_in("out") == []


REPORT = ("--report-detector", "one.onnx")


@pytest.mark.parametrize(
    ("report", "what"),
    [
        ("in/r.json", "--report: in/r.jpg is one of the files to be blurred"),
        ("out/r.json", "--report: out/r.jpg is to be one of the blurred files"),
        ("in/a.png", "--report in/a.png: expected the name of a JSON file"),
        ("mine.json", "--report: mine.json is there already"),
    ],
)
def test_a_report_overwrites_nothing(report: str, what: str, run: Run) -> None:
    Image.new("RGB", (40, 40)).save("in/r.jpg")
    Path("mine.json").touch()
    before = {path: path.read_bytes() for path in Path("in").rglob("*") if path.is_file()}
    done = run("blur", "in", "--output", "out", *FIND, "--report", report, *REPORT)
    assert done.code == 2, done.out
    assert what in done.err
    assert not Path("out").exists()
    assert {path: path.read_bytes() for path in before} == before
    assert not Path("mine.json").read_bytes()


def test_a_report_is_no_gallery_even_with_force(run: Run, gallery: str) -> None:
    before = Path(gallery).read_bytes()
    words = ("--except", gallery, *WHO, "--report", gallery, "--force", *REPORT)
    done = run("blur", "photo.png", *FIND, *words)
    assert done.code == 2
    assert f"--report {gallery}: is one of the files to be read" in done.err
    assert Path(gallery).read_bytes() == before


def test_a_report_tells_what_it_has_not_searched(run: Run) -> None:
    words = ("blur", "in", "--output", "out", *FIND, "--resume", "--report", "r.json", *REPORT)
    assert "not searched" not in run(*words).err
    report = Path("r.json").read_bytes()
    again = run(*words)
    assert (again.code, again.out) == (2, "")
    assert "--report: r.json is there already" in again.err
    assert Path("r.json").read_bytes() == report
    done = run(*words, "--force")
    assert "--report: 3 files that were done before: not searched" in done.err


def test_a_report_lists_who_stays_visible(run: Run, gallery: str) -> None:
    words = ("--except", gallery, *WHO, "--report", "r.json", "--report-detector", "three.onnx")
    done = run("blur", "photo.png", *FIND, *words)
    assert done.code == 0, done.err
    found = json.loads(Path("r.json").read_text())
    (seen,) = found["leaks"]
    shown = hidden("photo.png", "blurred_photo.png").index(False)
    assert abs(seen["box"][0] - PLACES[shown][0]) < 8
