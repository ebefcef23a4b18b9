"""Distillation: learn a larger segmenter's probabilities of the same heads beside the labels."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from ...errors import UserError
from ...model_templates.schema import TemplateFile
from ...models.network import Network
from ...models.weights import build_network
from ..teachers import TEACHER_KEY, teacher_weights


class MaskTeacher:
    """A trained segmenter of the same classes and input; checkpoints leave out its weights.

    Args:
        network: The teacher's network, in eval mode.
        path: File of its weights.
        sha256: SHA-256 of that file.
        weight: Weight of the distillation loss.
    """

    def __init__(self, network: Network, path: Path, *, sha256: str, weight: float) -> None:
        self.path = path
        self.sha256 = sha256
        self._network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._weight = weight

    def __deepcopy__(self, _: object) -> MaskTeacher:
        return self  # averaging copies the module, but the teacher never changes

    def losses(self, images: Tensor, logits: Tensor) -> dict[str, Tensor]:
        """The loss `taught`: cross-entropy with the teacher's probabilities, less their entropy.

        It is 0 where both agree (the Kullback-Leibler divergence; Hinton et al. 2015).

        Args:
            images: float32 (B, 3, H, W), 0-255, BGR.
            logits: The student's, (B, classes, H, W).
        """
        with torch.no_grad():
            taught = self._network.to(images.device)(images, raw=True).float()
        logits = logits.float()
        if logits.shape[1] == 1:  # one class against the rest, as two classes
            taught, logits = (_of_two(one) for one in (taught, logits))
        apart = functional.kl_div(
            logits.log_softmax(1), taught.log_softmax(1), reduction="none", log_target=True
        )
        return {"taught": self._weight * apart.sum(1).mean()}


def _of_two(logits: Tensor) -> Tensor:
    return torch.cat((torch.zeros_like(logits), logits), dim=1)


def find_teacher(student: TemplateFile) -> MaskTeacher | None:
    """The teacher that a template's recipe names; None if it names none.

    Raises:
        UserError: See `teacher_weights`; or the teacher has other classes, or another input.
    """
    spec, weights = student.spec.hyper_parameters.distillation, teacher_weights(student)
    if spec is None or weights is None:
        return None
    for key, own, its in (
        ("problem", student.spec.problem, weights.template.problem),
        ("dataset.classes", student.spec.dataset.classes, weights.template.dataset.classes),
        ("input", student.spec.input, weights.template.input),
    ):
        if own != its:
            raise UserError(
                f"{TEACHER_KEY}: {spec.teacher}: its {key} is {its}: expected {own}, as the "
                "student's"
            )
    return MaskTeacher(
        build_network(weights), weights.path, sha256=weights.sha256, weight=spec.weight
    )
