"""Places that a command may write to, and those it may not."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from pocketface.errors import UserError
from pocketface.places import check_new_file, why_not_writable


def test_whether_a_file_can_be_replaced_is_up_to_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "f.txt"
    path.write_text("old")
    monkeypatch.setattr(os, "access", lambda asked, _: asked != path)
    assert why_not_writable(path) is None
    monkeypatch.setattr(os, "access", lambda asked, _: asked != tmp_path)
    assert why_not_writable(path) == f"{tmp_path} is not writable"
    assert why_not_writable(tmp_path / "new.txt") == f"{tmp_path} is not writable"


def test_what_only_says_that_it_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As /proc, of which `access` tells the administrator so."""

    def refuse(code: int) -> None:
        def make(**_: object) -> None:
            raise OSError(code, os.strerror(code))

        monkeypatch.setattr("pocketface.places.tempfile.TemporaryFile", make)

    assert why_not_writable(tmp_path / "new") is None
    assert not os.listdir(tmp_path)
    refuse(errno.ENOENT)
    assert why_not_writable(tmp_path / "new", folder=True) == f"{tmp_path} is not writable"
    refuse(errno.ENOSPC)
    assert why_not_writable(tmp_path / "new") is None


@pytest.mark.parametrize("is_link", [True, False])
def test_what_is_read_is_known_by_any_name(tmp_path: Path, is_link: bool) -> None:
    read, other = tmp_path / "read.csv", tmp_path / "other.csv"
    read.write_text("old")
    if is_link:
        other.symlink_to("read.csv")
    else:
        other.hardlink_to(read)  # as where names differ by their case alone
    for path in (read, other, tmp_path / ".." / tmp_path.name / "read.csv"):
        with pytest.raises(UserError, match=r"--csv .*: is one of the files to be read"):
            check_new_file(path, "--csv", inputs=[tmp_path / "gone", read], force=True)
    check_new_file(tmp_path / "new.csv", "--csv", inputs=[read], force=False)
    with pytest.raises(UserError, match="is there already"):
        check_new_file(read, "--csv", inputs=[], force=False)
    check_new_file(read, "--csv", inputs=[], force=True)
    with pytest.raises(UserError, match=r"--csv .*read\.csv: expected a name that ends in \.txt$"):
        check_new_file(read, "--csv", inputs=[], force=True, suffixes=[".txt"])
