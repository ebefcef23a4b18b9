"""Zip archives with the contract as a member, and the seal as their comment."""

from __future__ import annotations

import zipfile
from pathlib import Path

from ..files import atomic_write
from ..model_templates.contract import Contract
from ..runtimes.seal import BLANK_SEAL, seal


def embed_in_archive(
    path: Path, contract: Contract, *, member: str, compression: int | None = None
) -> None:
    """Write the contract into an archive, in the place of an older one, and seal it.

    The seal is the comment, as members have checksums and may be packed.

    Args:
        path: The archive.
        contract: The contract.
        member: Name of the member that holds it.
        compression: How members are packed, as in `zipfile`; None for as they are.
    """
    with zipfile.ZipFile(path) as archive:
        parts = {one: archive.read(one) for one in archive.infolist() if one.filename != member}
    with atomic_write(path) as handle, zipfile.ZipFile(handle, "w") as archive:
        # With the date that `ZipInfo` has by default, so that equal exports are equal files.
        for one, content in parts.items():
            one.date_time = zipfile.ZipInfo().date_time
            archive.writestr(one, content, compression)
        archive.writestr(zipfile.ZipInfo(member), contract.to_json(), compression)
        archive.comment = BLANK_SEAL.encode()
    seal(path)
