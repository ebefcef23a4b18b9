"""Which model embeddings are of: those of another one cannot be compared with them."""

from __future__ import annotations

import hashlib
import json

from ..model_templates.contract import Contract
from ..model_templates.spec import PositiveInt, Spec


class EmbeddingModel(Spec):
    """What decides whether two embeddings can be compared.

    A network's exported files of any format and precision are one model.

    Attributes:
        name: Name of the template.
        checkpoint_sha256: Of the trained weights; None for a network that was never trained.
        input_sha256: Of how a face is cut out for the network.
        size: Number of components.
    """

    name: str
    checkpoint_sha256: str | None
    input_sha256: str
    size: PositiveInt

    def __str__(self) -> str:
        weights = (self.checkpoint_sha256 or "never trained")[:13]
        return (
            f"{self.name} (weights {weights}, crop {self.input_sha256[:8]}, {self.size} components)"
        )


def embedding_model(contract: Contract) -> EmbeddingModel:
    """What a recogniser's contract says of its embeddings."""
    own = contract.input
    crop = [own.height, own.width, own.resize, own.colour, own.points]
    return EmbeddingModel(
        name=contract.name,
        checkpoint_sha256=contract.provenance.checkpoint_sha256,
        input_sha256=hashlib.sha256(json.dumps(crop).encode()).hexdigest(),
        size=contract.outputs[0].shape[1],
    )
