"""Files compared again with the network, and the photos for that."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import pocketface
from pocketface.errors import ModelFileError, UserError
from pocketface.exporting.onnx import embed
from pocketface.exporting.verify import verify_files
from pocketface.models.weights import read_weights, write_weights
from pocketface.runtimes import FOLDERS

from ..models.mmdet_files import save_snapshot
from ..models.test_foreign import small_template, theirs
from ..tasks.segmentation.tiny_segmenter import FOUR, write_weights_of
from .conftest import MakeWeights, run


def test_files_of_different_templates_are_verified_together(
    weights: Path, texts: dict[str, str], tmp_path: Path, few_photos: Path
) -> None:
    """Each by its own resize rule and thresholds, in any order."""
    settings = {
        "plain": ("resize: letterbox", "resize: letterbox"),
        "stretch": ("resize: letterbox", "resize: stretch"),
        "sure": ("score_threshold: 0.3", "score_threshold: 0.4"),
    }
    files = []
    for name, (old, new) in settings.items():
        template = tmp_path / f"{name}.yaml"
        template.write_text(texts["dense"].replace(old, new))
        folder = tmp_path / name
        report = run(weights, folder, template=template, formats=["onnx"], with_nms=True)
        assert [row.status for row in report.files] == ["passed", "passed"]
        files += report.paths
    for order in (files, files[::-1]):
        found = verify_files(order, weights=weights, photos=few_photos)
        assert [(one.file.name, one.status, one.reason) for one in found] == [
            (file.name, "passed", None) for file in order
        ]


def test_a_file_of_an_edited_template_is_verified_by_its_checkpoint(
    make_weights: MakeWeights, texts: dict[str, str], tmp_path: Path, few_photos: Path
) -> None:
    """Inside the weights is a template of one fixed size."""
    template = tmp_path / "free.yaml"
    template.write_text(texts["dense"])
    fixed = tmp_path / "fixed.pth"
    read = read_weights(make_weights(tmp_path))
    text = texts["dense"].replace(", multiple_of: 32", "")
    assert text != texts["dense"]
    write_weights(fixed, template_text=text, state_dict=read.state_dict, epochs=1)
    options: dict[str, Any] = {"template": template, "input_size": (96, 32), "formats": ["onnx"]}
    report = run(fixed, tmp_path / "out", **options)
    (found,) = verify_files(report.paths, weights=fixed, photos=few_photos)
    assert (found.status, found.reason) == ("passed", None)


def test_a_checkpoint_is_not_passed_over_without_pytorch(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (file,) = run(weights, tmp_path, formats=["onnx"], photos=None).paths
    monkeypatch.setattr("pocketface.exporting.verify.find_spec", lambda _: None)
    (found,) = verify_files([file], weights=weights)
    assert found.status == "not verified"
    assert "torch" in str(found.reason)
    (found,) = verify_files([file])
    assert (found.status, found.reason) == ("passed", None)
    # Noise alone, which is all that is left without these packages, is not enough.
    monkeypatch.setattr("pocketface.data.pictures.find_spec", lambda _: None)
    (found,) = verify_files([file])
    assert found.status == "not verified"
    assert "packages matplotlib and scikit-image" in str(found.reason)


def test_a_file_with_other_labels_than_its_network(
    make_weights: MakeWeights, tmp_path: Path, few_photos: Path
) -> None:
    weights = make_weights(tmp_path)
    (file,) = run(weights, tmp_path / "out", formats=["onnx"]).paths
    contract = pocketface.load(file).contract
    embed(file, contract.model_copy(update={"rules": {**contract.rules, "labels": ["cat"]}}))
    (found,) = verify_files([file], weights=weights, photos=few_photos)
    assert found.status == "failed"
    assert "its labels are ['cat']; the trained network's are ['face']" in str(found.reason)


def test_a_segmenter_whose_classes_are_swapped(tmp_path: Path, few_photos: Path) -> None:
    weights = write_weights_of(tmp_path, FOUR)
    (file,) = run(weights, tmp_path / "out", formats=["onnx"]).paths
    contract = pocketface.load(file).contract
    swapped = ["background", "hair", "glasses", "face"]
    embed(file, contract.model_copy(update={"rules": {**contract.rules, "classes": swapped}}))
    (found,) = verify_files([file], weights=weights, photos=few_photos)
    assert found.status == "failed"
    assert f"its classes are {swapped}; the trained network's are" in str(found.reason)


def test_a_certificate_of_another_checkpoint_says_nothing(
    converted: Callable[[str], Path], tmp_path: Path
) -> None:
    for name in ("model.onnx", "model.onnx.parity.json"):
        shutil.copy(converted("onnx") / name, tmp_path)
    file = tmp_path / "model.onnx"
    contract = pocketface.load(file).contract
    other = contract.provenance.model_copy(update={"checkpoint_sha256": "0" * 64})
    embed(file, contract.model_copy(update={"provenance": other}))
    (found,) = verify_files([file])
    assert found.status == "not verified"
    assert "beside it is that of another checkpoint's file" in str(found.reason)


def test_a_file_of_another_trainer_s_checkpoint(tmp_path: Path, few_photos: Path) -> None:
    template = small_template("0207", tmp_path)
    snapshot = tmp_path / "snapshot.pth"
    save_snapshot(theirs("0207", template.spec), snapshot)
    report = run(snapshot, tmp_path / "out", template=template.path, formats=["onnx"])
    for given in ({"template": template.path, "weights": snapshot}, {"template": template.path}):
        (found,) = verify_files(report.paths, photos=few_photos, **given)
        assert (found.status, found.reason) == ("passed", None)
        assert found.certificate is not None
        assert found.certificate.against == "checkpoint"
    with pytest.raises(ModelFileError, match="not written by pocketface") as caught:
        verify_files(report.paths, weights=snapshot)
    assert "--template NAME" in str(caught.value.hint)


@pytest.mark.parametrize("name", ["out.onnx", "out.bin", "out.savedmodel"])
def test_a_folder_may_have_any_name(
    converted: Callable[[str], Path], weights: Path, tmp_path: Path, few_photos: Path, name: str
) -> None:
    folder = tmp_path / name
    folder.mkdir()
    shutil.copy(converted("onnx") / "model.onnx", folder)
    (found,) = verify_files([folder], weights=weights, photos=few_photos)
    assert (found.file, found.status) == (folder / "model.onnx", "passed")
    found.file.unlink()
    if folder.suffix in FOLDERS:  # then it is a model that is none
        (found,) = verify_files([folder])
        assert (found.file, found.status) == (folder, "failed")
        return
    with pytest.raises(UserError, match=f"{name}: holds no model file"):
        verify_files([folder])


def test_a_checkpoint_that_cannot_be_read_is_no_fault_of_the_files(
    weights: Path, tmp_path: Path
) -> None:
    files = run(weights, tmp_path, formats=["onnx"]).paths
    with pytest.raises(ModelFileError, match=r"typo\.safetensors: "):
        verify_files(files, weights=tmp_path / "typo.safetensors")
