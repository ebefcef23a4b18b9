"""Third-party recognisers, to measure beside ours by the same protocol; none is shipped."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ...model_templates.recipe import TeacherInputSpec
from ..timing import Peer
from .foreign import ForeignRecognizer, open_foreign

WAYS: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class RecognizerPeer(Peer):
    """A third-party recogniser.

    Attributes:
        takes: How it takes a face.
    """

    takes: TeacherInputSpec


_RETAIL = "face-reidentification-retail-0095"

PEERS: dict[str, RecognizerPeer] = {
    _RETAIL: RecognizerPeer(
        f"../teachers/{_RETAIL}/{_RETAIL}.xml",
        "Apache-2.0",
        "fp16",
        # The points that its documentation (Open Model Zoo) says faces are aligned to.
        takes=TeacherInputSpec(
            points=(
                (0.31556875, 0.4615741071428571),
                (0.6826229166666667, 0.4598332142857143),
                (0.5002624166666667, 0.6405053571428571),
                (0.3494719166666667, 0.8246919642857142),
                (0.6534366666666666, 0.8232508928571428),
            )
        ),
    ),
}
"""Peers by name; `file` is relative to the peers' folder (../shared/data/peers beside a clone)."""


def ways_of(_: str) -> tuple[str, ...]:
    """See `tasks.parts.Peers`."""
    return WAYS


def open_peer(
    name: str, path: Path, *, runtime: str, threads: int | None, device: str
) -> ForeignRecognizer:
    """See `tasks.parts.Peers`."""
    return open_foreign(path, PEERS[name].takes, runtime=runtime, threads=threads, device=device)
