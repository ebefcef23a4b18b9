"""What annotation files call our classes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pocketface.data.class_names import ClassNames, hint_for
from pocketface.data.coco import read_coco
from pocketface.data.labelled_faces import COLUMNS, read_labelled_faces
from pocketface.errors import DataError, UserError

Write = Callable[..., tuple[Path, Path]]


@pytest.mark.parametrize(
    ("texts", "pairs"),
    [
        ([], []),
        (["face=Face"], [("face", "Face")]),
        (["face=Face, face=head"], [("face", "Face"), ("face", "head")]),
        (["face=Face", "face=head"], [("face", "Face"), ("face", "head")]),
        (["glass=1,no_glass=0"], [("glass", "1"), ("no_glass", "0")]),
        (["face=face, frontal,face=a=b"], [("face", "face, frontal"), ("face", "a=b")]),
    ],
)
def test_what_can_be_typed(texts: list[str], pairs: list[tuple[str, str]]) -> None:
    assert list(ClassNames.parse(texts).pairs) == pairs


@pytest.mark.parametrize("text", ["", "face", "=Face", "face=", ",", "face=a,=b"])
def test_what_cannot(text: str) -> None:
    with pytest.raises(UserError, match=r"--classes .*: expected OURS=THEIRS, as in face=Face"):
        ClassNames.parse([text])


def test_one_name_is_one_class() -> None:
    with pytest.raises(UserError, match="'x' is to be 'glass' and 'no_glass'"):
        ClassNames.parse(["glass=x,no_glass=x"])
    names = ClassNames.parse(["glass=no_glass"])
    with pytest.raises(UserError, match="'no_glass' is the name of 'no_glass' and of 'glass'"):
        names.by_theirs(["no_glass", "glass"])
    swapped = ClassNames.parse(["glass=no_glass,no_glass=glass"])
    assert swapped.by_theirs(["no_glass", "glass"]) == {"glass": 0, "no_glass": 1}


def test_categories_by_another_name(
    write: Write, good: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    good["categories"] = [{"id": 3, "name": "Face"}, {"id": 4, "name": "head"}]
    file, root = write(good)
    with pytest.raises(DataError, match="has no category 'face'; its categories: Face, head") as no:
        read_coco([file], [root])
    assert no.value.hint == "did you mean --classes face=Face?"
    one = read_coco([file], [root], names=ClassNames.parse(["face=Face"]))
    both = read_coco([file], [root], names=ClassNames.parse(["face=Face,face=head"]))
    assert [len(found.photos[0].boxes) for found in (one, both)] == [2, 3]
    assert "1 annotations are of other categories than Face and not read: 1 x head" in caplog.text
    with pytest.raises(DataError, match=r"no category 'Fase' \(--classes face=Fase\); its cat"):
        read_coco([file], [root], names=ClassNames.parse(["face=Fase"]))
    with pytest.raises(UserError, match="--classes fcae=Face: no class 'fcae'; the classes are: f"):
        read_coco([file], [root], names=ClassNames.parse(["fcae=Face"]))
    caplog.clear()
    read_coco([file], [root], names=ClassNames.parse(["face=Face,face=hat"]))
    assert "--classes face=hat: no category of that name in " in caplog.text


def test_labels_by_another_name(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("a.png", "b.png"):
        (tmp_path / name).touch()
    points = ",1,2,3,4,5,6,7,8,9,10\n"
    file = tmp_path / "list.csv"
    file.write_text(f"{','.join(COLUMNS)}\na.png,Glass{points}b.png,0{points}")
    classes = ("no_glass", "glass")
    with pytest.raises(DataError, match=r"list\.csv:2: label 'Glass': expected one of no_g") as no:
        read_labelled_faces([file], [tmp_path], classes=classes)
    assert no.value.hint == "did you mean --classes glass=Glass?"
    names = ClassNames.parse(["glass=Glass,no_glass=0,no_glass=none"])
    found = read_labelled_faces([file], [tmp_path], classes=classes, names=names)
    assert [face.label for face in found] == [1, 0]
    assert "--classes no_glass=none: no such label in " in caplog.text


@pytest.mark.parametrize(
    ("present", "hint"),
    [
        (["FACE", "car"], "did you mean --classes face=FACE?"),
        (["faces"], "did you mean --classes face=faces?"),
        (["human face", "car"], "did you mean --classes 'face=human face'?"),
        (["Kopf"], "if it is meant: --classes face=Kopf"),
        (["car", "bus"], "--classes face=NAME says which of them is meant"),
    ],
)
def test_hints(present: list[str], hint: str) -> None:
    assert hint_for("face", present) == hint
