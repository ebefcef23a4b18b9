"""Make what is attached to a version's tag: the wheel, the model files, checksums and notes.

    python tools/release.py DIR [--only TEMPLATE ...] [--formats A,B]

DIR gets the wheel; a zip of each template that ships weights, with its files as `export` writes and
verifies them, their certificates and its card; NOTES.md: the version's part of CHANGELOG.md, and
the files; and SHA256SUMS. All is made of what is committed; the same commit gives the same names,
and times in the archives. The last lines printed are the commands that tag and publish.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pocketface
from pocketface.errors import PocketfaceError, UserError
from pocketface.exporting import ExportedFile, ExportRequest, export_model
from pocketface.files import scratch_folder, sha256_file
from pocketface.model_templates import template_names, template_path
from pocketface.models.nncf_hooks import is_quantized
from pocketface.tasks.templates import open_template
from pocketface.tasks.weights import open_weights

ROOT = Path(__file__).resolve().parents[1]
FORMATS = ("openvino", "onnx", "coreml", "litert")
SUMS, NOTES = "SHA256SUMS", "NOTES.md"
CARD = "README.md"


def main() -> int:
    """Make the release; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="new or empty")
    parser.add_argument("--only", nargs="+", metavar="TEMPLATE", help="default: all with weights")
    parser.add_argument("--formats", default=",".join(FORMATS), metavar="A,B")
    asked = parser.parse_args()
    try:
        release(asked.folder, asked.only or shipping(), asked.formats.split(","))
    except PocketfaceError as error:
        print(f"release: error: {error}", *filter(None, [error.hint]), sep="\n", file=sys.stderr)
        return error.exit_code
    return 0


def shipping() -> list[str]:
    """Names of the templates whose weights ship."""
    return [
        name
        for name in template_names()
        if open_template(template_path(name)).spec.initial_weights is not None
    ]


def release(folder: Path, templates: Sequence[str], formats: Sequence[str]) -> None:
    """Make all files of a release; nothing is left in `folder` if one of them fails.

    Raises:
        UserError: `folder` is not empty, files are not committed, or CHANGELOG.md has no part for
            the version.
        PocketfaceError: A model file differs from its network, or the wheel cannot be built.
    """
    version = pocketface.__version__
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder}: expected a new or empty folder")
    # New files too: templates and modules that are not committed would be used for the zips.
    changed = _git("status", "--porcelain", "--untracked-files=all").splitlines()
    if changed:
        raise UserError(f"{len(changed)} files are not committed: {changed[0].split()[-1]}, …")
    news = section(ROOT.joinpath("CHANGELOG.md").read_text(encoding="utf-8"), version)
    made_at = datetime.fromtimestamp(int(_git("log", "-1", "--format=%ct")), tz=UTC)
    folder.mkdir(parents=True, exist_ok=True)
    with scratch_folder(folder) as aside:
        _wheel(aside, made_at)
        rows: list[tuple[str, ExportedFile]] = []
        for name in templates:
            rows += [(name, one) for one in _models(aside, name, formats, version, made_at)]
        notes = f"{news}\n\n## Files\n\n{_table(rows, aside)}\n"
        (aside / NOTES).write_text(notes, encoding="utf-8")
        assets = sorted(path for path in aside.iterdir() if path.is_file())
        sums = "".join(f"{sha256_file(path)}  {path.name}\n" for path in assets)
        (aside / SUMS).write_text(sums, encoding="utf-8")
        for path in (*assets, aside / SUMS):
            print(f"{_mb(path):8.2f} MB  {path.name}")
            os.replace(path, folder / path.name)
    _tell_how(folder, version)


def section(changelog: str, version: str) -> str:
    """The part of a changelog that is about one version, without its heading.

    Raises:
        UserError: There is none, or it is empty.
    """
    parts = re.split(r"^## +", changelog, flags=re.MULTILINE)
    for part in parts[1:]:
        heading, _, text = part.partition("\n")
        if re.match(rf"\[?{re.escape(version)}\]?(?!\S)", heading) and text.strip():
            return text.strip()
    raise UserError(f"CHANGELOG.md has no part for {version}: expected `## {version} - <date>`")


def _mb(path: Path) -> float:
    return path.stat().st_size / 1e6


def _wheel(folder: Path, made_at: datetime) -> None:
    """Build the wheel from what is committed, so that nothing else can be in it."""
    with tempfile.TemporaryDirectory() as clean:
        archive = Path(clean, "committed.tar")
        _git("archive", "--format=tar", f"--output={archive}", "HEAD")
        with tarfile.open(archive) as files:
            files.extractall(Path(clean, "src"), filter="data")
        command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
        done = subprocess.run(
            [*command, "--no-build-isolation", "--wheel-dir", str(folder), str(Path(clean, "src"))],
            capture_output=True,
            text=True,
            env={**os.environ, "SOURCE_DATE_EPOCH": str(int(made_at.timestamp()))},
        )
    if done.returncode:
        raise PocketfaceError(f"the wheel was not built: {done.stderr.strip().splitlines()[-1]}")


def _models(
    folder: Path, template: str, formats: Sequence[str], version: str, made_at: datetime
) -> list[ExportedFile]:
    """Export a template's weights, and pack the files and its card into one zip."""
    weights = open_weights(template, None)
    impossible = weights.template.architecture.impossible_formats()
    able = ["openvino"] if is_quantized(weights.hooks) else formats
    with tempfile.TemporaryDirectory() as place:
        report = export_model(
            ExportRequest(
                weights=weights,
                folder=Path(place),
                formats=[name for name in able if name not in impossible],
            )
        )
        for one in report.failed:
            raise PocketfaceError(f"{template}: {one.file or one.format}: {one.reason}")
        card = template_path(template).with_name(CARD)
        with zipfile.ZipFile(folder / f"{template}-{version}.zip", "w") as pack:
            for path in (card, *sorted(Path(place).rglob("*"))):
                if path.is_file():
                    inside = path.name if path == card else path.relative_to(place).as_posix()
                    entry = zipfile.ZipInfo(f"{template}/{inside}", made_at.timetuple()[:6])
                    entry.compress_type = zipfile.ZIP_DEFLATED
                    entry.external_attr = 0o644 << 16
                    pack.writestr(entry, path.read_bytes())
    return list(report.files)


def _table(rows: Sequence[tuple[str, ExportedFile]], folder: Path) -> str:
    lines = ["| in | file | MB | compared with the network |", "|---|---|---|---|"]
    for template, one in rows:
        if one.file is None:
            continue
        both = one.certificate.agreement if one.certificate else None
        told = f"{one.status}, {both.agreed} of {both.asked} agreed" if both else one.status
        lines.append(f"| {template} | {one.file.name} | {one.size / 1e6:.2f} | {told} |")
    wheel = next(folder.glob("*.whl"))
    return "\n".join([*lines, f"| | {wheel.name} | {_mb(wheel):.2f} | |"])


def _tell_how(folder: Path, version: str) -> None:
    place = shlex.quote(str(folder))
    print("next, once the wheel and a zip have been tried elsewhere:")
    print(f"  (cd {place} && sha256sum --check {SUMS})")
    print(f"  git tag --annotate v{version} --file {place}/{NOTES} --cleanup=whitespace")
    print(f"  git push origin v{version}")
    print(f"  attach every file of {place} to the tag's release, with {NOTES} as its text")


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise PocketfaceError(f"git {arguments[0]}: {done.stderr.strip()}")
    return done.stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
