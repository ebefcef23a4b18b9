"""Documents can be read, their links lead somewhere, and what they tell to run is there."""

from __future__ import annotations

import configparser
import re
import runpy
from pathlib import Path

import pytest

from pocketface.model_templates import template_names

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
CARDS = sorted((ROOT / "model_templates").glob("*/*/README.md"))
EXAMPLES = sorted((ROOT / "examples").glob("*/README.md"))
DOCUMENTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]
DOCUMENTS += [*CARDS, *EXAMPLES]
SCRIPTS = sorted((ROOT / "tools").glob("*.*"))

LONGEST = 120
"""Characters of a line of prose; tables, commands and URLs may be longer."""

WRITTEN = {
    *(f"docs/reports/{name}.md" for name in ("bad-inputs", "diagnose", "formats", "sent-photos")),
    "docs/reports/first-hour.md",
    "docs/reports/walkthrough.md",
    "docs/reports/benchmarks/report.md",
    "docs/reports/benchmarks/batches/report.md",
    "docs/reports/benchmarks/heads/report.md",
}
"""By a command, as it prints them."""

LINK = re.compile(r"\]\(([^)\s]+)\)")


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def prose(text: str) -> list[tuple[int, str]]:
    """Line number and line of what is neither code, table nor heading."""
    fenced = False
    lines = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif not fenced and not line.startswith("    ") and not line.lstrip().startswith("|"):
            lines.append((number, line))
    return lines


def anchors(text: str) -> set[str]:
    """Of the headings, as GitHub makes them."""
    found: set[str] = set()
    for line in text.splitlines():
        if line.startswith("#"):
            title = re.sub(r"[^\w\- ]", "", line.lstrip("#").strip().lower())
            found.add(title.replace(" ", "-"))
    return found


def test_the_readme_is_one_page() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150


def test_the_table_of_extras_has_all() -> None:
    table = (DOCS / "guide" / "install.md").read_text(encoding="utf-8").partition("| extra |")[2]
    cells = re.findall(r"^\| (`.*?) \|", table.partition("\n\n")[0], flags=re.MULTILINE)
    named = re.findall(r"`([\w-]+)`", " ".join(cells))
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    extras = setup["options.extras_require"]
    assert sorted(named) == sorted(extras)
    brought = re.findall(r"[\w-]+", " ".join(re.findall(r"\[(.*?)\]", extras["all"])))
    assert {*brought} == {*extras} - {"pipeline", "all", "demo", "dev"}


@pytest.mark.parametrize(
    "document", [path for path in DOCUMENTS if name_of(path) not in WRITTEN], ids=name_of
)
def test_lines_of_prose_are_short(document: Path) -> None:
    for number, line in prose(document.read_text(encoding="utf-8")):
        without_urls = re.sub(r"https?://\S+", "", line)
        assert len(without_urls) <= LONGEST, f"{name_of(document)}:{number}: {len(line)}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_links_lead_somewhere(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    for link in LINK.findall(re.sub(r"```.*?```", "", text, flags=re.DOTALL)):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        assert target.exists(), f"{name_of(document)}: {link}"
        assert target.is_relative_to(ROOT), f"{name_of(document)}: {link} leads out of the clone"
        if anchor:
            there = anchors(target.read_text(encoding="utf-8"))
            assert anchor in there, f"{name_of(document)}: {link}: no such heading"


@pytest.mark.parametrize("document", [*DOCUMENTS, *SCRIPTS], ids=name_of)
def test_commands_can_be_typed(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    assert not re.search(r"(?m)(?:^ *|`)tools/\w+\.py [^`\n]", text), "no `python` before it"
    # Above the root is another repository, as in the table from the classic commands.
    for name in re.findall(r"(?<!\.\./)\b(?:docs|tools)/\w+\.(?:py|sh)\b", text):
        assert (ROOT / name).is_file(), name
    # The commands of those were run long ago.
    if document.parts[-2] not in ("benchmarks", "batches", "heads"):
        for name in re.findall(r"\bdocs/[\w/-]+\.(?:md|json|jpg|png)\b", text):
            assert (ROOT / name).exists(), name


def test_every_document_can_be_found() -> None:
    """From the README, by links."""
    seen: set[Path] = set()
    todo = [ROOT / "README.md"]
    while todo:
        document = todo.pop()
        if document in seen:
            continue
        seen.add(document)
        for link in LINK.findall(document.read_text(encoding="utf-8")):
            path = (document.parent / link.partition("#")[0]).resolve()
            if path.suffix == ".md" and path.is_file():
                todo.append(path)
    assert set(DOCUMENTS) - seen == set()


def test_the_commands_are_those_of_the_program() -> None:
    script = runpy.run_path(str(ROOT / "tools" / "commands.py"))
    written = (DOCS / "reference" / "commands.md").read_text(encoding="utf-8")
    again = "python tools/commands.py > docs/reference/commands.md"
    assert "\n".join(script["document"]()) + "\n" == written, f"written again by `{again}`"


def test_all_templates_are_in_the_reports() -> None:
    formats = (DOCS / "reports" / "formats.md").read_text(encoding="utf-8")
    models = (DOCS / "reports" / "models.md").read_text(encoding="utf-8")
    for name in template_names():
        assert f"| {name} | `model" in formats
        assert f"| `{name}` |" in models
