"""Every public function does its work, on tiny networks."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import pocketface
from pocketface import DataError, Labels, ModelFileError, TemplateError, UserError
from pocketface.model_templates import template_names


@pytest.fixture(scope="module")
def onnx(exported: Path) -> Path:
    """The tiny network's ONNX file."""
    return exported / "model.onnx"


def test_export_and_verify(tiny_weights: Path, tmp_path: Path) -> None:
    files: list[pocketface.ExportedFile] = []
    counts: list[tuple[int, int]] = []
    report = pocketface.export(
        str(tiny_weights),
        tmp_path / "out",
        formats="openvino,onnx",
        on_file=files.append,
        on_progress=lambda done, total: counts.append((done, total)),
    )
    assert report.paths == (tmp_path / "out" / "model.xml", tmp_path / "out" / "model.onnx")
    assert tuple(files) == report.files
    assert counts == [(0, 2), (1, 2), (2, 2)]
    assert str(files[1]).startswith(f"{report.paths[1]} (fp32): passed, ")
    assert "certificate" not in repr(files[1])
    counts.clear()
    verified = pocketface.verify(
        tmp_path / "out",
        weights=tiny_weights,
        on_progress=lambda done, total: counts.append((done, total)),
    )
    assert [str(one) for one in verified] == [f"{one.file}: passed" for one in verified]
    assert {one.file for one in verified} == set(report.paths)
    assert counts == [(0, 2), (1, 2), (2, 2)]


def test_evaluate(onnx: Path, tiny_weights: Path, faces: Path, tmp_path: Path) -> None:
    counts: list[tuple[int, int]] = []
    found = pocketface.evaluate(
        onnx,
        annotations=str(faces),
        photos=faces.parent,
        save_metrics_to=tmp_path / "metrics.yaml",
        on_progress=lambda done, total: counts.append((done, total)),
    )
    assert (found.model, len(found)) == (onnx, len(list(found)))
    assert counts[-1] == (10, 10)
    assert f"key: {next(iter(found)).key}" in (tmp_path / "metrics.yaml").read_text()
    labels = Labels([faces], [faces.parent])
    again = pocketface.evaluate(tiny_weights, annotations=labels)
    assert again["ap50"].value == found["ap50"].value is not None
    with pytest.raises(KeyError, match=r"'ap51': expected one of .*ap50"):
        _ = found["ap51"]


@pytest.mark.parametrize(
    ("names", "template"),
    [
        (["a.json"], "face-detection-n"),
        (["a.csv"], "glasses-n"),
        (["a.masks.json", "b.masks.json"], "face-segmentation-n"),
        (["a.identities.json"], "face-recognition-n"),
        (["a.csv", "b.json"], "face-detection-n"),
    ],
)
def test_what_is_evaluated_where_no_model_is_named(
    names: list[str], template: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Opened(Exception):
        pass

    def open_model(given: str, *_: Any, **__: Any) -> None:
        raise Opened(given)

    monkeypatch.setattr("pocketface.api.evaluate.open_model", open_model)
    files = [tmp_path / name for name in names]
    for file in files:
        file.touch()
    with pytest.raises(Opened, match=f"^{template}$"):
        pocketface.evaluate(annotations=files, photos=tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threads": 0}, "threads 0: expected"),
        ({"device": "quantum"}, "device 'quantum': not usable"),
        ({"runtime": "tensorrt"}, "runtime 'tensorrt': cannot open"),
        ({"input_size": (64, 33)}, "takes positive multiples of 32"),
        ({"nms_iou": 2}, "nms_iou is 2"),
        ({"score_threshold": 2}, "score_threshold is 2"),
    ],
)
def test_how_a_file_is_run_to_evaluate_it(
    onnx: Path, faces: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        pocketface.evaluate(onnx, annotations=faces, photos=faces.parent, **options)


def test_classes_of_ones_own(onnx: Path, faces: Path, tmp_path: Path) -> None:
    labels = tmp_path / "others.json"
    labels.write_text(faces.read_text().replace('"face"', '"Visage, humain"'))
    names = {"face": ["Visage, humain"]}
    found = pocketface.evaluate(onnx, annotations=labels, photos=faces.parent, classes=names)
    expected = pocketface.evaluate(onnx, annotations=faces, photos=faces.parent)
    assert found["ap50"].value == expected["ap50"].value


def test_train(small_template: Path, faces: Path, tmp_path: Path) -> None:
    epochs: list[pocketface.EpochReport] = []
    report = pocketface.train(
        small_template,
        tmp_path / "run",
        annotations=[faces],
        photos=[faces.parent],
        val_annotations=Labels([faces], [faces.parent]),
        epochs=3,
        val_every=2,
        workers=0,
        gpu_num=0,
        on_epoch=epochs.append,
    )
    assert [(one.epoch, one.epochs, "ap50" in one.figures) for one in epochs] == [
        (1, 3, False),
        (2, 3, True),
        (3, 3, True),
    ]
    assert not any(one.is_best for one in epochs if not one.figures)
    assert max(one.figures["ap50"] for one in epochs[1:]) == pytest.approx(report.best_value)
    assert all(0 < one.loss < 100 for one in epochs)
    assert report.latest == tmp_path / "run" / "latest.pth"
    assert report.latest.exists()


def test_what_a_callback_raises_ends_the_training(
    small_template: Path, faces: Path, tmp_path: Path
) -> None:
    def stop(epoch: pocketface.EpochReport) -> None:
        raise RuntimeError(f"enough after {epoch.epoch}")

    with pytest.raises(RuntimeError, match="enough after 1"):
        pocketface.train(
            small_template,
            tmp_path / "run",
            annotations=faces,
            photos=faces.parent,
            epochs=3,
            workers=0,
            gpu_num=0,
            on_epoch=stop,
        )
    assert pocketface.load(tmp_path / "run" / "latest.pth").contract.name == "tiny"


def test_compress(tiny_weights: Path, faces: Path, tmp_path: Path) -> None:
    rows: list[pocketface.CompressedFile] = []
    counts: list[tuple[int, int]] = []
    report = pocketface.compress(
        tiny_weights,
        tmp_path / "small",
        annotations=faces,
        photos=faces.parent,
        val_annotations=faces,
        val_photos=faces.parent,
        post_training=True,
        formats=["onnx"],
        precision="int8,fp16",
        goal="size",
        max_drop=100,
        range_photos=2,
        on_file=rows.append,
        on_progress=lambda done, total: counts.append((done, total)),
    )
    assert [(one.format, one.precision) for one in report.rows] == [
        ("onnx", "int8"),
        ("onnx", "fp16"),
    ]
    assert [one.file for one in rows] == [one.file for one in report.rows]
    assert str(rows[0]).startswith(f"model_int8.onnx: {rows[0].status}")
    assert counts == [(0, 2), (1, 2), (2, 2)]
    assert pocketface.load(tmp_path / "small" / rows[0].file).contract.name == "tiny"


def test_benchmark_in_a_script_without_a_guard(onnx: Path, tmp_path: Path) -> None:
    """It starts processes, which must not begin to measure too."""
    script = tmp_path / "script.py"
    script.write_text(
        "import sys, pocketface\n"
        "print('begun')\n"
        "done = pocketface.benchmark(\n"
        "    sys.argv[1], 'out', duration=0.05, runtimes='onnxruntime', on_progress=print\n"
        ")\n"
        "print([(row.name, row.runtime) for row in done.rows], done.finished, __file__)\n"
    )
    done = subprocess.run(
        [sys.executable, script.name, str(onnx)], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    begun, *_, last = done.stdout.splitlines()
    assert (begun, done.stdout.count("begun")) == ("begun", 1)
    row = f"{onnx.parent.name}/{onnx.name}"
    assert last == f"{[(row, 'onnxruntime')]} True {tmp_path / script.name}"
    assert (tmp_path / "out" / "report.html").exists()


@pytest.mark.parametrize("several", [False, True])
def test_a_file_with_a_templates_name(
    several: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("glasses-n").write_text("mine")
    with pytest.raises(ModelFileError, match=r"/glasses-n: unknown kind of model file"):
        pocketface.verify(["./glasses-n"] if several else "./glasses-n")
    with pytest.raises(UserError, match=r"^glasses-n: not a weights file"):
        pocketface.verify("glasses-n", weights="./glasses-n")


def test_templates() -> None:
    assert [row.template.name for row in pocketface.templates()] == template_names()


PHOTOS: dict[str, Any] = {"annotations": "none.json", "photos": "."}


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: pocketface.evaluate(**PHOTOS), DataError, "annotations none.json: no such file"),
        (lambda: pocketface.evaluate(), UserError, "nothing to measure on: expected annotations"),
        (
            lambda: pocketface.evaluate(annotations="a.json"),
            UserError,
            "annotations and photos go together",
        ),
        (
            lambda: pocketface.evaluate(annotations=Labels(), photos="."),
            UserError,
            "annotations: a Labels holds folders",
        ),
        *(
            (
                lambda given=given: pocketface.train(
                    "glasses-n", "out", annotations=Labels(), **given
                ),
                UserError,
                f"^{next(iter(given))} {next(iter(given.values()))}: expected ",
            )
            for given in (
                {"epochs": 0},
                {"batch_size": 0},
                {"gpu_num": -1},
                {"seed": -1},
                {"workers": -1},
                {"val_every": 0},
                {"base_learning_rate": 0.0},
                {"base_learning_rate": float("nan")},
            )
        ),
        *(
            (
                lambda given=given: pocketface.compress(
                    *("glasses-n", "out"), annotations=Labels(), val_annotations=Labels(), **given
                ),
                UserError,
                f"^{next(iter(given))} {next(iter(given.values()))}: expected ",
            )
            for given in ({"epochs": 0}, {"seed": -1}, {"range_photos": 0}, {"workers": -1})
        ),
        (
            lambda: pocketface.train("face-detecton-n", "out", annotations=Labels()),
            TemplateError,
            "unknown template 'face-detecton-n'",
        ),
        (
            lambda: pocketface.train(
                "glasses-n", "out", annotations=Labels(), weights="a.pth", resume_from="b.pth"
            ),
            UserError,
            "weights, resume_from: expected one of them",
        ),
        (lambda: pocketface.export("none.pth", "out"), UserError, "none.pth: no such file"),
        (
            lambda: pocketface.export("glasses-n", "out", formats=["tfjs"]),
            UserError,
            "format 'tfjs': expected some of openvino",
        ),
        (
            lambda: pocketface.export("glasses-n", "out", formats=["all", "onnx"]),
            UserError,
            "formats all, onnx: expected all alone",
        ),
        (
            lambda: pocketface.compress(
                "glasses-n", "out", annotations=Labels(), val_annotations=Labels()
            ),
            UserError,
            "nothing to do: expected some of --post-training",
        ),
        (
            lambda: pocketface.compress(
                "glasses-n", "out", post_training=True, val_annotations=Labels(), **PHOTOS
            ),
            DataError,
            "annotations none.json: no such file",
        ),
        *(
            (
                lambda given=given: pocketface.compress(
                    *("glasses-n", "out"),
                    **{"annotations": Labels(), "val_annotations": Labels(), "post_training": True},
                    **given,
                ),
                UserError,
                message,
            )
            for given, message in (
                ({"max_drop": 0}, "--max-drop 0: expected more than 0"),
                ({"goal": "smal"}, "--goal smal: expected speed or size"),
                ({"resume": True}, "--resume: --post-training trains nothing"),
                ({"epochs": 3}, "--epochs: --post-training trains nothing"),
                ({"train_precision": "bf16-mixed"}, "--train-precision: --post-training trains"),
            )
        ),
        (
            lambda: pocketface.export("glasses-n", "out", photos="photos", verify=False),
            UserError,
            "photos photos: files are not verified; expected none",
        ),
        (lambda: pocketface.benchmark(output="out"), UserError, "nothing to measure: expected"),
        *(
            (
                lambda given=given: pocketface.benchmark("glasses-n", "out", **given),
                UserError,
                f"^{next(iter(given))} {re.escape(repr(next(iter(given.values()))))}: expected ",
            )
            for given in (
                {"threads": 0},
                {"threads": ()},
                {"batch": (1, 0)},
                {"batch": "8"},
                {"duration": -1.0},
            )
        ),
        (lambda: pocketface.verify("none.onnx"), UserError, "none.onnx: no such file"),
    ],
)
def test_mistakes(
    call: Any,
    error: type[Exception],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=message):
        call()
    assert not list(tmp_path.iterdir())
