"""What imports what: names, floors, and nothing heavy before it is needed."""

from __future__ import annotations

import ast
import itertools
import json
import re
import subprocess
import sys
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import pytest

import pocketface
from pocketface.tasks import TASKS, Task

_ROOT = Path(__file__).parents[1]

FLOORS = {
    "cli": 10,
    "api": 9,
    "apps": 8,
    "benchmarks": 7,
    "compressing": 6,
    "exporting": 5,
    "training": 5,
    "tasks": 4,
    "evaluation": 3,
    "runtimes": 3,
    "models": 2,
    "data": 2,
    "model_templates": 1,
    # Files beside the rooms, for everybody.
    "drawing": 0,
    "embedding": 0,
    "errors": 0,
    "files": 0,
    "places": 0,
    "interrupts": 0,
    "mask": 0,
    "quiet": 0,
    "results": 0,
    "cores": 0,
    "run_lengths": 0,
    "__init__": 0,
}
"""As the table of docs/architecture.md has them."""

HEAVY = {
    "PIL",
    "ai_edge_litert",
    "av",
    "coremltools",
    "faster_coco_eval",
    "flatbuffers",
    "fsspec",
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
    "ray",
    "tabulate",
    "safetensors",
    "scipy",
    "tensorflow",
    "torch",
    "tqdm",
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


def test_architecture_document_has_these_floors() -> None:
    text = (_ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rooms = re.findall(r"(?m)^\| (\d+) \| `(\w+)/` \|", text)
    assert {room: int(floor) for floor, room in rooms} == {
        room: floor for room, floor in FLOORS.items() if floor
    }


_TRAINING = [
    f"compressing/{name}.py" for name in ("channels", "fine_tuning", "request", "sparsity", "stage")
]


def _learning_sides() -> set[str]:
    """Modules of tasks that `learn` alone imports, itself or through others of them."""
    found = {"tasks/learning.py"}
    for folder in TASKS.values():
        room = Path("tasks", folder)
        modules = {path.stem: ast.parse(path.read_text()) for path in (_ROOT / room).glob("*.py")}
        others = _reached(modules, [part for part in _PARTS if part != "learn" and part in modules])
        assert "rules" in others
        found |= {f"{room.as_posix()}/{name}.py" for name in _reached(modules, ["learn"]) - others}
    return found


def _reached(modules: dict[str, ast.Module], names: Sequence[str]) -> set[str]:
    """These modules of a folder, and those of it that they import."""
    reached: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        reached.add(name)
        for node in ast.walk(modules[name]):
            if isinstance(node, ast.ImportFrom) and node.level == 1 and node.module not in reached:
                waiting.append(str(node.module))
    return reached


_PARTS = [name for name, part in vars(Task).items() if isinstance(part, cached_property)]
_LEARNING = _learning_sides()


@pytest.mark.parametrize("source", _SOURCES, ids=str)
def test_heavy_packages_are_imported_where_they_are_needed(source: Path) -> None:
    if source.parts[0] in ("models", "training") or "coreml_reference" in source.parts:
        return
    if source.as_posix() in _TRAINING or source.as_posix() in _LEARNING:
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
    beside = {name for name, floor in FLOORS.items() if not floor and name != "__init__"}
    for source in (f"{name}.py" for name in sorted(beside)):
        tree = ast.parse((_ROOT / source).read_text())
        ours = [node.module for node in _imports(tree) if getattr(node, "level", 0)]
        assert set(ours) <= beside


def test_public_names_are_as_declared() -> None:
    assert set(pocketface.__all__) == {
        "BlurSummary",
        "Classification",
        "CompressedFile",
        "CompressionReport",
        "Contract",
        "ContractError",
        "DataError",
        "Detection",
        "Detections",
        "Embedding",
        "EpochReport",
        "EvalReport",
        "ExportReport",
        "ExportedFile",
        "FaceClassifier",
        "FaceDetector",
        "FaceRecognizer",
        "FaceSegmenter",
        "FitReport",
        "Gallery",
        "ImageError",
        "InputError",
        "Labels",
        "Mask",
        "Match",
        "Metric",
        "MissingPackageError",
        "Model",
        "ModelFileError",
        "PocketfaceError",
        "Results",
        "TemplateError",
        "TemplateRow",
        "TrainingError",
        "UserError",
        "Verified",
        "__version__",
        "benchmark",
        "blur",
        "compress",
        "evaluate",
        "export",
        "load",
        "read_pixels",
        "templates",
        "train",
        "verify",
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
from pocketface.exporting.formats import Order
from pocketface.exporting.onnx import convert
from pocketface.models.network import Network
from pocketface.tasks.describe import contract_for
from pocketface.tasks.templates import open_template

template = open_template(Path({str(_ROOT / "tests" / "tiny_template.yaml")!r})).spec
network = Network(template.architecture).eval()
folder = Path(sys.argv[1]).parent
contract = contract_for(template)
convert(Order(network=network, contract=contract, folder=folder, stem="model"))
"""


_SERVE_ONE_TASK = {
    Path("__init__.py"): "the types of models and results, for who imports the package",
    Path("cli/data.py"): "`data label` needs a detector",
    Path("cli/data_identities.py"): "`data identities --embedder` needs a recogniser",
    Path("cli/diagnose.py"): "it is of detectors alone",
    Path("cli/recognize.py"): "it is of recognisers alone",
}
"""Outside `tasks/` and `apps/`: what names the parts of one task, and why."""


def _rooms_of_tasks(tree: ast.Module) -> set[str]:
    """Folders of tasks that a module imports from, however it does."""
    found: set[str] = set()
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module or ''}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            names = [node.value]  # importlib.import_module, or a table of modules
        for name in names:
            parts = name.split(".")
            found.update(
                after
                for before, after in itertools.pairwise(parts)
                if before == "tasks" and after in TASKS.values()
            )
    return found


def test_no_code_outside_tasks_names_a_task() -> None:
    """A third task is a folder, a line in the table, and templates: nothing else knows of it."""
    tools = [path.relative_to(_ROOT) for path in sorted((_ROOT / "tools").glob("*.py"))]
    assert tools
    outside = [path for path in _SOURCES if path.parts[0] != "tasks"]
    assert set(_SERVE_ONE_TASK) < set(outside)
    for source in (*outside, *tools):
        tree = ast.parse((_ROOT / source).read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant):
                assert node.value not in TASKS, f"{source}:{node.lineno}: names {node.value}"
        if source.parts[0] in ("apps", "tools"):  # made for some of the tasks
            continue
        rooms = _rooms_of_tasks(tree)
        assert bool(rooms) == (source in _SERVE_ONE_TASK), f"{source}: {rooms or 'no exception'}"
