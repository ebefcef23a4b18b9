"""How a colour model is trained: aligned faces, and cross-entropy with their true shares."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from torch.utils.data import Dataset

from ...data.align import align_face
from ...data.images import read_image
from ...data.labelled_faces import LabelledFace
from ...errors import DataError, ImageError
from ...model_templates.schema import Template, TemplateFile
from ...models.network import Network
from ..describe import contract_for
from ..learning import EpochSampler, Key, Teacher, left_out
from .rules import augmentation_of
from .samples import counted, truth

loader = EpochSampler


class Targets(NamedTuple):
    """What is known of a batch.

    Attributes:
        shares: float32 (B, 3).
        image_ids: int64 (B,).
    """

    shares: Tensor
    image_ids: Tensor

    def to(self, device: torch.device, *, non_blocking: bool = False) -> Targets:
        """On another device."""
        return Targets(*(one.to(device, non_blocking=non_blocking) for one in self))


class Faces(Dataset[list[tuple[NDArray[np.uint8], int]]]):
    """Aligned faces in memory. See `tasks.learning.Crops`."""

    def __init__(self, template: Template, samples: Sequence[LabelledFace], *, seed: int) -> None:
        self.spec = contract_for(template).input
        self.flip = augmentation_of(template).flip
        self.seed = seed
        self.faces = counted(samples)
        self.pixels: list[NDArray[np.uint8]] = []

    def __len__(self) -> int:
        return len(self.faces)

    @property
    def used(self) -> int:
        """How many photos are learnt from."""
        return len(self.faces)

    def preload(self, *, budget: float) -> tuple[int, int]:
        """See `tasks.learning.Crops`."""
        needed = len(self.faces) * self.spec.height * self.spec.width * 3
        if needed > budget:
            raise DataError(f"{needed} bytes of faces do not fit into {budget:.0f}")
        kept, damaged = [], []
        for face in self.faces:
            try:
                self.pixels.append(align_face(read_image(face.path), face.landmarks, self.spec))
                kept.append(face)
            except ImageError as error:
                damaged.append(str(error))
        left_out(damaged, kept=len(kept))
        self.faces = kept
        return len(kept), needed

    def __getitem__(self, keys: Sequence[Key]) -> list[tuple[NDArray[np.uint8], int]]:
        batch = []
        for run, index in keys:
            rng = np.random.default_rng((self.seed, run, index))
            face = self.pixels[index]
            batch.append((face[:, ::-1] if rng.random() < self.flip else face, index))
        return batch


def crops(
    template: Template,
    samples: Sequence[LabelledFace],
    *,
    seed: int,
    passes: int,  # noqa: ARG001
) -> Faces:
    """See `tasks.parts.Learn`."""
    return Faces(template, samples, seed=seed)


def collate(items: Sequence[tuple[NDArray[np.uint8], int]]) -> tuple[Tensor, Targets]:
    """See `tasks.parts.Learn`."""
    faces, ids = zip(*items, strict=True)
    images = torch.from_numpy(np.stack(faces).transpose(0, 3, 1, 2).copy())
    shares = torch.from_numpy(np.stack([truth(face) for face in faces]))
    return images, Targets(shares, torch.tensor(ids))


def find_teacher(_: TemplateFile) -> Teacher | None:
    """See `tasks.parts.Learn`: there is none."""
    return None


class ColourLearner:
    """Cross-entropy with the true shares."""

    def losses(
        self,
        network: Network,
        images: Tensor,
        targets: Targets,
        *,
        seed: int,  # noqa: ARG002
    ) -> dict[str, Tensor]:
        """See `tasks.learning.Learner`."""
        logits = network(images.float(), raw=True)
        return {"shares": functional.cross_entropy(logits, targets.shares)}


def learner(*_: Any, **__: Any) -> ColourLearner:
    """See `tasks.parts.Learn`."""
    return ColourLearner()
