"""A recogniser's samples: photos of people, and their network inputs."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...data.align import align_face, planes
from ...data.identities import SUFFIX, IdentityPhoto, read_identities
from ...data.images import read_image
from ...errors import DataError
from ...model_templates.contract import Contract
from ..measuring import Labels
from ..timing import Item

ANNOTATIONS = f"{SUFFIX} (list of people's photos, by `pocketface data identities`)"


def reads(file: Path) -> bool:
    """See `tasks.parts.Samples`."""
    return file.name.endswith(SUFFIX)


def read(labels: Labels, *, rules: Mapping[str, Any]) -> Sequence[IdentityPhoto]:  # noqa: ARG001
    """See `tasks.parts.Samples`; without the pairs of a protocol."""
    return read_identities(labels.files, labels.roots).photos


def check(samples: Sequence[IdentityPhoto], *, flag: str) -> None:
    """See `tasks.parts.Samples`; needs two people, and one of them twice, to compare.

    Raises:
        DataError: Nobody is there twice, only one person, or nobody whose name is known.
    """
    people = [sample.person for sample in samples if sample.found and sample.person is not None]
    if not any(sample.found for sample in samples):
        raise DataError(f"{flag}: a face was found in none of its {len(samples)} photos")
    known = len(set(people))
    if known < 2 or known == len(people):
        what = ("nobody whose name is known", "one person alone", "one photo of each person")
        raise DataError(
            f"{flag}: its photos with a face show {what[min(known, 2)]}: expected several people, "
            "and some of them several times"
        )


def counted(samples: Sequence[IdentityPhoto]) -> Sequence[IdentityPhoto]:
    """See `tasks.parts.Samples`; a photo that cannot be read counts as unlike all others."""
    return samples


def can_be_lost(sample: IdentityPhoto) -> bool:
    """See `tasks.parts.Samples`."""
    return sample.person is not None


def stratum(_: Contract, sample: IdentityPhoto) -> Hashable | None:
    """See `tasks.parts.Samples`; all faces are of one kind."""
    return True if sample.found else None


def network_input(contract: Contract, sample: IdentityPhoto) -> NDArray[np.float32]:
    """See `tasks.parts.Samples`."""
    assert sample.landmarks is not None
    return planes([align_face(read_image(sample.path), sample.landmarks, contract.input)])


def items(labels: Labels) -> list[Item]:
    """See `tasks.parts.Samples`; each photo has one face with known landmarks."""
    photos = read_identities(labels.files, labels.roots).photos
    with_face = [Item(one.path, one.landmarks) for one in photos if one.found]
    if not with_face:
        named = ", ".join(map(str, labels.files))
        raise DataError(f"{named}: no photo with a face that was found")
    return with_face
