"""What the examples' tests share: compilers, and model files exported for them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pocketface.exporting import ExportRequest, export_model
from pocketface.model_templates import template_path
from pocketface.tasks.weights import open_weights

from ..made_once import made_once
from ..tasks.recognition.tiny_recognizer import TINY
from .answers import Driver

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
DRIVERS = Path(__file__).parent / "drivers"


@pytest.fixture(scope="session")
def examples() -> Path:
    """The folder under test."""
    return EXAMPLES


@pytest.fixture(scope="session")
def onnx_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped detector as ONNX."""
    for package in ("torch", "onnx", "onnxscript"):
        pytest.importorskip(package)
    folder = tmp_path_factory.mktemp("onnx")
    weights = open_weights("face-detection-n", None)
    export_model(ExportRequest(weights=weights, folder=folder, formats=["onnx"], verify=False))
    return folder / "model.onnx"


@pytest.fixture(scope="session")
def segmenter_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the network of face-segmentation-n, untrained, for heads of 64 x 64."""
    from pocketface.models.network import Network
    from pocketface.models.weights import write_weights
    from pocketface.tasks.templates import parse_template

    text = template_path("face-segmentation-n").read_text(encoding="utf-8").replace(": 256", ": 64")
    network = Network(parse_template(text, source="test").architecture)
    path = tmp_path_factory.mktemp("segmenter") / "weights.safetensors"
    write_weights(
        path, template_text=text, state_dict=network.state_dict(), epochs=1, data="none", seed=0
    )
    return path


@pytest.fixture(scope="session")
def segmenter_file(segmenter_weights: Path) -> Path:
    """The same as ONNX."""
    for package in ("torch", "onnx", "onnxscript"):
        pytest.importorskip(package)
    from pocketface.models.weights import read_weights

    folder, weights = segmenter_weights.parent, read_weights(segmenter_weights)
    export_model(ExportRequest(weights=weights, folder=folder, formats=["onnx"], verify=False))
    return folder / "model.onnx"


@pytest.fixture(scope="session")
def recognizer_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a small recogniser, untrained."""
    from pocketface.models.network import Network
    from pocketface.models.weights import write_weights
    from pocketface.tasks.templates import parse_template

    network = Network(parse_template(TINY, source="test").architecture)
    path = tmp_path_factory.mktemp("recognizer") / "weights.safetensors"
    write_weights(
        path, template_text=TINY, state_dict=network.state_dict(), epochs=1, data="none", seed=0
    )
    return path


@pytest.fixture(scope="session")
def node() -> str:
    """Node's command."""
    return command("node", package="nodejs")


@pytest.fixture(scope="session")
def javascript(node: str, tmp_path_factory: pytest.TempPathFactory) -> Driver:
    """Runs drivers/driver.mjs, or the driver that knows the mode."""
    answer = tmp_path_factory.mktemp("javascript") / "answer"

    def call(mode: str, source: Path) -> bytes:
        own = {"masks": "masks.mjs", "segment": "masks.mjs", "people": "people.mjs"}
        own |= {"twice": "twice.mjs", "predict": "twice.mjs", "constant": "constant.mjs"}
        if mode in own:
            run(node, DRIVERS / own[mode], EXAMPLES / "web", mode, source, answer)
        else:
            run(node, DRIVERS / "driver.mjs", EXAMPLES / "web/detector.js", mode, source, answer)
        return answer.read_bytes()

    return call


@pytest.fixture(scope="session")
def kotlin(tmp_path_factory: pytest.TempPathFactory) -> Driver:
    """Compiles what needs no Android, with drivers/Driver.kt, and runs it."""
    compiler = command("kotlinc", package="kotlin")
    java = command("java", package="default-jre-headless")
    sources = EXAMPLES / "android/app/src/main/kotlin/pocketface/example"
    names = ("Align", "Faces", "Framed", "Masks", "ModelNames", "SamePerson", "TfliteMetadata")
    pure = [sources / f"{name}.kt" for name in names]
    driver = (*pure, DRIVERS / "Driver.kt", "-include-runtime", "-d")
    made = made_once(
        tmp_path_factory, "kotlin", lambda part: run(compiler, *driver, part / "driver.jar")
    )
    answer = tmp_path_factory.mktemp("kotlin-answers") / "answer"

    def call(mode: str, source: Path) -> bytes:
        run(java, "-jar", made / "driver.jar", mode, source, answer)
        return answer.read_bytes()

    return call


@pytest.fixture(scope="session")
def swift(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    """Parses all of it, compiles what needs no Apple framework, and runs drivers/main.swift.

    With SWIFT_ROOT, inside that other root: a Debian 13, where this system has no Swift.
    """
    root = os.environ.get("SWIFT_ROOT")
    inside = ["chroot", root] if root else []
    compiler = "/usr/bin/swiftc" if root else command("swiftc", package="swiftlang, Debian 13")
    # A folder that is there in both roots.
    folder = Path(f"{root}/tmp", f"pocketface-{os.getpid()}") if root else None
    folder = folder or tmp_path_factory.mktemp("swift")
    folder.mkdir(exist_ok=True)

    def seen(name: str) -> str:
        return f"/tmp/{folder.name}/{name}" if root else str(folder / name)

    sources = sorted((EXAMPLES / "ios/FaceFinder").glob("*.swift"))
    for source in (*sources, DRIVERS / "main.swift"):
        shutil.copy(source, folder)
    run(*inside, compiler, "-parse", *(seen(source.name) for source in sources))
    pure = ("Align", "Contract", "Faces", "Framed", "Masks", "ModelNames", "SamePerson", "main")
    run(*inside, compiler, "-O", *(seen(f"{name}.swift") for name in pure), "-o", seen("driver"))

    def call(mode: str, source: Path) -> bytes:
        shutil.copy(source, folder / "source")
        run(*inside, seen("driver"), mode, seen("source"), seen("answer"))
        return (folder / "answer").read_bytes()

    yield call
    shutil.rmtree(folder)


def run(*words: str | Path) -> None:
    """Run a command; what it says where it fails is the test's message."""
    done = subprocess.run([str(word) for word in words], capture_output=True, check=False)
    assert done.returncode == 0, f"{words[0]}: {(done.stderr or done.stdout).decode()[-3000:]}"


def command(name: str, *, package: str) -> str:
    """Where a command is; skips where it is not."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"needs {name} (Debian: {package})")
    return found
