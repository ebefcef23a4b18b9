"""`make web` writes the files that the web page opens."""

from __future__ import annotations

import json
import re
from pathlib import Path, PurePosixPath


def test_make_web_exports_what_the_page_opens(examples: Path) -> None:
    makefile = (examples.parent / "Makefile").read_text(encoding="utf-8")
    written = re.findall(r"--template (\S+) --save-model-to examples/web/(\S+)$", makefile, re.M)
    listed = json.loads((examples / "web/models.json").read_text(encoding="utf-8"))
    assert [f"{folder}/model.onnx" for _, folder in written] == listed
    assert [PurePosixPath(path).parent.name for path in listed] == [name for name, _ in written]
