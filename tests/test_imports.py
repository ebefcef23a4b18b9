"""What imports what: names, floors, and nothing heavy before it is needed."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import pocketface

_ROOT = Path(__file__).parents[1]

FLOORS = {
    "cli": 8,
    "apps": 7,
    "benchmarks": 6,
    "compress": 5,  # it begins with the float files of an export
    "export": 4,
    "training": 4,
    "evaluation": 3,
    "runtimes": 3,
    "models": 2,
    "data": 2,
    "model_templates": 1,
    # Files beside the rooms, for everybody.
    "errors": 0,
    "files": 0,
    "interrupts": 0,
    "quiet": 0,
    "results": 0,
    "__init__": 0,
}

HEAVY = {
    "PIL",
    "ai_edge_litert",
    "coremltools",
    "faster_coco_eval",
    "flatbuffers",
    "keras",
    "kornia",
    "lightning",
    "litert_torch",
    "matplotlib",
    "nncf",
    "onnx",
    "onnxruntime",
    "openvino",
    "pytorch_optimizer",
    "rich",
    "safetensors",
    "scipy",
    "tensorflow",
    "torch",
}
"""Imported inside the function that needs them, except where torch is the room's subject."""

_SOURCES = sorted(
    path.relative_to(_ROOT)
    for pattern in ("*.py", *(f"{room}/**/*.py" for room in FLOORS))
    for path in _ROOT.glob(pattern)
)


def _imports(tree: ast.AST) -> list[ast.Import | ast.ImportFrom]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]


def _targets(source: Path, node: ast.ImportFrom) -> list[str]:
    """The rooms or root files that a relative import names."""
    package = source.parts[:-1]
    base = package[: len(package) - (node.level - 1)]
    full = [*base, *(node.module or "").split(".")] if node.module else list(base)
    if full:
        return [full[0]]
    return [alias.name if alias.name in FLOORS else "__init__" for alias in node.names]


@pytest.mark.parametrize("source", _SOURCES, ids=str)
def test_imports_go_down(source: Path) -> None:
    tree = ast.parse((_ROOT / source).read_text())
    for node in _imports(tree):
        where = f"{source}:{node.lineno}"
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
            assert not any(n.split(".")[0] == "pocketface" for n in names), f"{where}: not relative"
        elif node.level == 0:
            assert (node.module or "").split(".")[0] != "pocketface", f"{where}: not relative"
        elif len(source.parts) > 1:  # the files of the root open the doors to all rooms
            room = source.parts[0]
            for target in _targets(source, node):
                below = target == room or FLOORS[target] < FLOORS[room]
                assert below, f"{where}: {room} imports from {target}, which is not below it"


_TRAINING = [f"compress/{name}.py" for name in ("channels", "fine_tuning", "sparsity", "stage")]


@pytest.mark.parametrize("source", _SOURCES, ids=str)
def test_heavy_packages_are_imported_where_they_are_needed(source: Path) -> None:
    if source.parts[0] in ("models", "training") or "coreml_reference" in source.parts:
        return
    if source.as_posix() in _TRAINING:
        return
    tree = ast.parse((_ROOT / source).read_text())
    for node in tree.body:
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [node.module or ""]
        heavy = HEAVY & {name.split(".")[0] for name in names}
        assert not heavy, f"{source}:{node.lineno}: imports {heavy} at its top"


def test_root_files_import_nothing_heavy_of_ours() -> None:
    for source in ("errors.py", "files.py", "interrupts.py", "quiet.py", "results.py"):
        tree = ast.parse((_ROOT / source).read_text())
        assert not [node for node in _imports(tree) if getattr(node, "level", 0)]


def test_public_names_are_as_declared() -> None:
    assert set(pocketface.__all__) == {
        "Classification",
        "Contract",
        "ContractError",
        "DataError",
        "Detections",
        "FaceClassifier",
        "FaceDetector",
        "ImageError",
        "InputError",
        "MissingPackageError",
        "Model",
        "ModelFileError",
        "PocketfaceError",
        "TemplateError",
        "TrainingError",
        "UserError",
        "__version__",
        "load",
    }
    for name in pocketface.__all__:
        assert getattr(pocketface, name) is not None
    assert set(pocketface.__all__) <= set(dir(pocketface))
    with pytest.raises(AttributeError, match="nothing_of_this_name"):
        _ = pocketface.nothing_of_this_name


def _modules_after(code: str, *arguments: str) -> set[str]:
    """Top-level packages in a fresh interpreter after it ran `code`."""
    ending = (
        "\nimport json, sys\nprint(json.dumps(sorted({n.partition('.')[0] for n in sys.modules})))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code + ending, *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_import_pocketface_is_light() -> None:
    loaded = _modules_after("import pocketface")
    assert not loaded & (HEAVY | {"numpy", "cv2", "pydantic", "yaml"})


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["export", "--help"], ["templates", "--help"]]
)
def test_help_is_light(arguments: list[str]) -> None:
    code = "import sys, pocketface.cli\nassert pocketface.cli.main(sys.argv[1:]) == 0"
    loaded = _modules_after(code, *arguments)
    assert not loaded & HEAVY
    if arguments[0].startswith("-"):
        assert not loaded & {"numpy", "cv2", "pydantic", "yaml"}


def test_loading_and_running_onnx_needs_no_torch(tmp_path: Path) -> None:
    made = _modules_after(_MAKE_ONNX, str(tmp_path / "model.onnx"))
    assert "torch" in made
    loaded = _modules_after(
        "import sys, numpy, pocketface\n"
        "model = pocketface.load(sys.argv[1])\n"
        "model.predict(numpy.zeros((80, 90, 3), numpy.uint8))",
        str(tmp_path / "model.onnx"),
    )
    assert "onnxruntime" in loaded
    assert not loaded & {"torch", "lightning", "kornia", "coremltools", "nncf", "openvino", "onnx"}


_MAKE_ONNX = f"""
import sys
from pathlib import Path
from pocketface.export.onnx import convert
from pocketface.tasks.templates import load_template
from pocketface.tasks.describe import contract_for
from pocketface.models.network import Network

template = load_template(Path({str(_ROOT / "tests" / "tiny_template.yaml")!r}))
network = Network(template.architecture).eval()
folder = Path(sys.argv[1]).parent
contract = contract_for(template)
convert(network, contract, folder=folder, stem="model", precision="fp32", with_nms=False)
"""
