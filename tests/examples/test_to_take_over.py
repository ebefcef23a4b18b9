"""The files that the samples name for apps of one's own hold all that they use."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

SWIFT = "ios/FaceFinder"
KOTLIN = "android/app/src/main/kotlin/pocketface/example"

DECLARED = re.compile(
    r"^(?:final |data |enum )*(?:struct|class|enum|protocol|object|func|fun|let|const val) (\w+)",
    re.MULTILINE,
)
"""What a file has for others: at its top, and not private."""


def missing(folder: Path, names: set[str], suffix: str) -> set[str]:
    """Files that hold what files of these names use, and are none of them."""
    texts = {path.stem: re.sub(r"//.*", "", path.read_text()) for path in folder.glob(f"*{suffix}")}
    assert names <= set(texts)
    owners = {name: stem for stem, text in texts.items() for name in DECLARED.findall(text)}
    used = set()
    for stem in names:
        # A type by its name, a function where it is called.
        words = re.findall(r"\b[A-Z]\w+|(?<![.\w])(?<!func )(?<!fun )[a-z]\w+(?=\()", texts[stem])
        used |= {owners[word] for word in words if word in owners}
    return used - names


def quoted(text: str, suffix: str = "") -> set[str]:
    return set(re.findall(rf"`(\w+){re.escape(suffix)}`", text))


@pytest.mark.parametrize("way", ["GlassesFinder", "MaskFinder", "FaceRecognizer"])
def test_swift(examples: Path, way: str) -> None:
    readme = (examples / "ios/README.md").read_text()
    (beside,) = re.findall(r"It needs (`Align`.*?) beside it", readme, re.DOTALL)
    assert len(quoted(beside)) > 8
    assert f"`{way}`" in readme or f"`{way}(" in readme
    assert missing(examples / SWIFT, quoted(beside) | {way}, ".swift") == set()


@pytest.mark.parametrize("way", ["", "for masks also", "to compare faces"])
def test_kotlin(examples: Path, way: str) -> None:
    readme = (examples / "android/README.md").read_text()
    (text,) = re.findall(r"own app: copy (.*?), put", readme, re.DOTALL)
    always, more = text.split("(")
    (some,) = [part for part in more.split(";") if way in part] if way else [""]
    names = quoted(always, ".kt") | quoted(some, ".kt")
    assert len(names) >= (7 if way else 5)
    assert missing(examples / KOTLIN, names, ".kt") == set()


@pytest.mark.parametrize(
    ("own", "more"),
    [
        ("detector.js", ""),
        ("segmenter.js", "for masks of faces also"),
        ("recognizer.js", "to compare faces"),
    ],
)
def test_javascript(examples: Path, own: str, more: str) -> None:
    guide = (examples.parent / "docs/guide/web.md").read_text().replace("\n", " ")
    (text,) = re.findall(r"canvas, and.*?comp[^`]*(`file.js`.*?)\. `models.json`", guide)
    always, *others = re.split(r"; |, (?=to )", text)
    (some,) = [part for part in others if more in part] if more else [""]
    names = {f"{name}.js" for name in quoted(always, ".js") | quoted(some, ".js")}
    assert own in names
    for name in names:
        used = re.findall(r'from "\./(\w+\.js)"', (examples / "web" / name).read_text())
        assert set(used) <= names, name
