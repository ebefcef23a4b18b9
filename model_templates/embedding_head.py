"""The schema of a head that describes a face by a vector, and how it learns."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from .head_spec import HeadSpec
from .spec import Fraction, PositiveFloat, PositiveInt, Spec


class SoftmaxLossSpec(Spec):
    """Cross-entropy of a logit for each person in training: a dense layer of the vector."""

    type: Literal["softmax"]


class MarginLossSpec(Spec):
    """Cross-entropy of cosines with one direction for each person, the own one made smaller.

    Args:
        type: `arcface` adds the margin to the angle (Deng et al. 2019), `cosface` takes it from
            the cosine (Wang et al. 2018).
        scale: What cosines are multiplied by before the softmax.
        margin: In radians for `arcface`.
        warmup: The share of the training in which the margin rises from 0.
    """

    type: Literal["arcface", "cosface"]
    scale: PositiveFloat = 64.0
    margin: Annotated[float, Field(ge=0, lt=1.5)] = 0.5
    warmup: Fraction = 0.0


class ContrastiveLossSpec(Spec):
    """The loss of a Siamese network (Hadsell et al. 2006), over all pairs of a batch.

    Squared distances of one person's faces, and squares of what distances of two people lack of
    the margin; both kinds of pairs weigh the same.

    Args:
        margin: Distance of two unit vectors from which two people are far enough apart, below 2.
        photos: The number of photos of each person in a batch.
    """

    type: Literal["contrastive"]
    margin: Annotated[float, Field(gt=0, le=2)] = 1.0
    photos: Annotated[int, Field(ge=2)] = 4


class TripletLossSpec(Spec):
    """Triplets of a batch with semi-hard negatives (Schroff et al. 2015).

    Args:
        margin: By how much the squared distance to another person is to be the larger one.
        photos: The number of photos of each person in a batch.
    """

    type: Literal["triplet"]
    margin: Annotated[float, Field(gt=0, le=4)] = 0.2
    photos: Annotated[int, Field(ge=2)] = 4


EmbeddingLossSpec = Annotated[
    SoftmaxLossSpec | MarginLossSpec | ContrastiveLossSpec | TripletLossSpec,
    Field(discriminator="type"),
]


class EmbeddingHeadSpec(HeadSpec):
    """A unit vector for the whole image, from the last feature map.

    Args:
        size: The number of components.
        kernel: The side of the last map. A weight for each place and channel then adds it up (the
            global depthwise convolution of MobileFaceNet, Chen et al. 2018); by default the map is
            averaged.
        dropout: The share of its inputs that the last layer misses in training.
        loss: How it learns from labels; by default not, but from a teacher alone.
    """

    type: Literal["embedding"]
    size: Annotated[int, Field(ge=2, le=4096)]
    kernel: PositiveInt | None = None
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    loss: EmbeddingLossSpec | None = None
