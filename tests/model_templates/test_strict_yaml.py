"""What strict YAML reads, and what it refuses with which words."""

from __future__ import annotations

from pathlib import Path

import pytest

from pocketface.errors import TemplateError
from pocketface.model_templates.strict_yaml import MAX_BYTES, parse_yaml, read_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("1E+2", 100.0),
        ("5e-4", 0.0005),
        (".5", 0.5),
        ("5.", 5.0),
        ("-0.25", -0.25),
        ("010", 10),
        ("+3", 3),
        ("-7", -7),
        ("0", 0),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        # YAML 1.1 makes a boolean, sexagesimal, octal or date of these.
        ("no", "no"),
        ("on", "on"),
        ("Yes", "Yes"),
        ("12:30:45", "12:30:45"),
        ("1_000", "1_000"),
        ("0x10", "0x10"),
        ("2001-01-01", "2001-01-01"),
        ("nan", "nan"),
        ('"010"', "010"),
        ("'1e-3'", "1e-3"),
        ("[1, 2.0, a]", [1, 2.0, "a"]),
        ("{b: 1, c: {d: no}}", {"b": 1, "c": {"d": "no"}}),
    ],
)
def test_values(text: str, value: object) -> None:
    got = parse_yaml(f"key: {text}\n", source="t")["key"]
    assert got == value
    assert type(got) is type(value)


def test_a_document_may_have_its_marks_comments_and_windows_lines() -> None:
    assert parse_yaml("\ufeff%YAML 1.2\n---\n# x\na: 1 # y\r\nb: 2\r\n", source="t") == {
        "a": 1,
        "b": 2,
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", "t.yaml:3: duplicate key 'a'"),
        ('a: 1\n"a": 3\n', "t.yaml:2: duplicate key 'a'"),
        ("x:\n  y:\n    b: 1\n    b: 1\n", "t.yaml:4: duplicate key 'b'"),
        ("x: [{b: 1, b: 2}]\n", "t.yaml:1: duplicate key 'b'"),
        ("a: &x 1\nb: 1\n", "t.yaml:1: aliases and anchors are not allowed"),
        ("a: 1\nb: *x\n", "t.yaml:2: aliases and anchors are not allowed"),
        ("a: &x {b: 1}\nc:\n  <<: *x\n", "t.yaml:1: aliases and anchors are not allowed"),
        ("a: .nan\n", "t.yaml:1: '.nan' is not a finite number"),
        ("a: 1\nb: -.inf\n", "t.yaml:2: '-.inf' is not a finite number"),
        ("a: 1e999\n", "t.yaml:1: '1e999' is not a finite number"),
        ("a: " + "9" * 5000 + "\n", "t.yaml:1: an integer of more than 18 digits"),
        (
            'a: !!python/object/apply:os.system ["true"]\n',
            "t.yaml:1: tags are not allowed (found '!!python/object/apply:os.system')",
        ),
        ("a: !!python/tuple [1]\n", "t.yaml:1: tags are not allowed (found '!!python/tuple')"),
        ("a: !!binary aGk=\n", "t.yaml:1: tags are not allowed (found '!!binary')"),
        ("a: !!set {x}\n", "t.yaml:1: tags are not allowed (found '!!set')"),
        ('a: !!int "1"\n', "t.yaml:1: tags are not allowed (found '!!int')"),
        ("a: !own 1\n", "t.yaml:1: tags are not allowed (found '!own')"),
        (
            "a: 1\n---\na: 2\n",
            "t.yaml:2: expected a single document in the stream, but found another document",
        ),
        ("a:\n\tb: 1\n", "t.yaml:2: a tab where only spaces may stand"),
        ("1: 2\n", "t.yaml:1: a key must be text (found '1')"),
        ("a: 1\ntrue: 2\n", "t.yaml:2: a key must be text (found 'true')"),
        ("? [a]\n: 1\n", "t.yaml:1: a key must be text"),
        ("a: " + "[" * 5000 + "]" * 5000, "t.yaml:1: nested deeper than 32 levels"),
        (
            "".join(" " * i + "a:\n" for i in range(300)),
            "t.yaml:32: nested deeper than 32 levels",
        ),
        ("a: 1\na: 2\nb: [3\n", "t.yaml:2: duplicate key 'a'"),  # the first of two mistakes
        ('a: "\\ud800"\n', "t.yaml:1: half of a surrogate pair is no character"),
        ("- 1\n", "t.yaml: expected a mapping of keys (found list)"),
        ("hello\n", "t.yaml: expected a mapping of keys (found str)"),
        ("", "t.yaml: expected a mapping of keys (found nothing)"),
        ("# only this\n", "t.yaml: expected a mapping of keys (found nothing)"),
        ("a: [1\n", "t.yaml:2: expected ',' or ']', but got '<stream end>'"),
        ("a: b: c\n", "t.yaml:1: mapping values are not allowed here"),
        ("a: 1 # " + "x" * MAX_BYTES, f"t.yaml: larger than {MAX_BYTES} bytes, the most of a"),
        ("a: \x00\n", "t.yaml: not YAML: unacceptable character #x0000"),
    ],
)
def test_refusals_name_file_line_and_reason(text: str, message: str) -> None:
    with pytest.raises(TemplateError) as caught:
        parse_yaml(text, source="t.yaml")
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_32_levels_are_read() -> None:
    text = "a: " + "[" * 31 + "]" * 31
    assert parse_yaml(text, source="t")["a"] == eval("[" * 31 + "]" * 31)


def test_a_merge_key_is_a_key_like_any_other() -> None:
    # Not merged: the schema then refuses the unknown key "<<".
    assert parse_yaml("a: 1\n<<: {b: 2}\n", source="t") == {"a": 1, "<<": {"b": 2}}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a: \u00e9\n".encode("latin-1"), "not UTF-8 text (byte 3)"),
        ("a: 1\n".encode("utf-16"), "not UTF-8 text (byte 0)"),
        (b"#" * (MAX_BYTES + 1), f"larger than {MAX_BYTES} bytes, the most of a template"),
    ],
)
def test_bad_files(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "template.yaml"
    path.write_bytes(content)
    with pytest.raises(TemplateError) as caught:
        read_yaml(path)
    assert str(caught.value) == f"{path}: {message}"


def test_the_largest_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "template.yaml"
    path.write_bytes(b"a: 1 #" + b"x" * (MAX_BYTES - 6))
    assert read_yaml(path) == {"a": 1}


def test_a_missing_file_a_folder_and_an_endless_device(tmp_path: Path) -> None:
    for path, reason in (
        (tmp_path / "none.yaml", "cannot be read: No such file or directory"),
        (tmp_path, "cannot be read: Is a directory; expected a file"),
        (Path("/dev/zero"), f"larger than {MAX_BYTES} bytes, the most of a template"),
    ):
        with pytest.raises(TemplateError) as caught:
            read_yaml(path)
        assert str(caught.value) == f"{path}: {reason}"
