"""The schema of `architecture`: a network as data."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from .anchor_heads import StagesHeadSpec
from .backbones import Backbone, ValidSpec
from .channels import Channels, Narrowable, Narrower
from .embedding_head import EmbeddingHeadSpec
from .heads import ASPPHeadSpec, ClassesHeadSpec, Head, MaskHeadSpec, UNetHeadSpec
from .spec import Spec

_Std = Annotated[float, Field(ge=1e-3)]
"""A standard deviation of pixels of 0 to 255, large enough for float32 to divide by."""


class FPNSpec(Spec):
    """Feature pyramid (Lin et al. 2017).

    Args:
        channels: The number of channels of every feature map that the pyramid gives.
        levels: The number of those maps. Where the backbone gives fewer, `extra` makes the
            others.
        extra: How maps coarser than the backbone's are made: by convolutions of stride 2, the
            first one from the ReLU of the coarsest map (`p5_relu`), from that map itself (`p5`,
            torchvision's RetinaNet) or from the backbone's (`c5`, the paper's), each next one from
            the ReLU of the one before; or by every second pixel of the map before (`max_pool`).
        context: Whether a context module (after SSH, Najibi et al. 2017) follows each level.
        batch_norm: Whether batch normalisation and ReLU follow each convolution.
        separable: Whether each 3x3 convolution behind the sums is split into a 1x1 and a
            depthwise 3x3 one.
    """

    type: Literal["fpn"]
    channels: Channels
    levels: Annotated[int, Field(gt=0, le=10)]
    extra: Literal["p5_relu", "p5", "c5", "max_pool"] = "p5_relu"
    context: bool = False
    batch_norm: bool = False
    separable: bool = False

    @model_validator(mode="after")
    def _divisible(self) -> FPNSpec:
        if self.context and self.channels % 4:
            raise ValueError(f"context wants channels in fours (found {self.channels})")
        return self

    def narrowed(self, narrower: Narrower) -> Self:
        """See `Narrowable`."""
        return self.model_copy(update={"channels": narrower(self.channels)})


class ArchitectureSpec(Spec):
    """A network: normalisation of the image, backbone, neck and head.

    Args:
        mean: What is subtracted from the three channels of an image of 0 to 255.
        std: What they are then divided by.
        colour: The order of the channels that the backbone takes; images come as BGR.
    """

    mean: tuple[float, float, float]
    std: tuple[_Std, _Std, _Std]
    colour: Literal["BGR", "RGB"]
    backbone: Backbone
    neck: FPNSpec | None = None
    head: Head

    def impossible_formats(self) -> dict[str, str]:
        """Formats that cannot hold such a network, and why: those of its head."""
        return dict(self.head.impossible_formats)

    def makes_same_network(self, other: ArchitectureSpec) -> bool:
        """Whether weights of one fit the other; their losses may differ."""
        if self.head.of_network() != other.head.of_network():
            return False
        return self.model_dump(exclude={"head"}) == other.model_dump(exclude={"head"})

    def narrowed(self, narrower: Narrower) -> Self:
        """See `Narrowable`; a part without keys for channels stays as it is."""
        parts = {"backbone": self.backbone, "neck": self.neck, "head": self.head}
        return self.model_copy(
            update={
                key: part.narrowed(narrower) if isinstance(part, Narrowable) else part
                for key, part in parts.items()
            }
        )

    def check_room(self, height: int, width: int) -> None:
        """Check that an image of this size, in pixels, has room for all layers, a mask no rest.

        Raises:
            ValueError: It is too small, or no multiple of the stride of a head that makes masks.
        """
        if isinstance(self.head, MaskHeadSpec) and (
            height % self.head.stride or width % self.head.stride
        ):
            raise ValueError(
                f"input of {height}x{width} (height x width): expected multiples of "
                f"{self.head.stride}, architecture.head.stride"
            )
        if isinstance(self.backbone, ValidSpec):
            layers, deepest = len(self.backbone.channels), (min(height, width) - 1) // 2
            if layers > deepest:
                raise ValueError(
                    f"architecture.backbone.channels: {layers} layers, each of which takes two "
                    f"pixels away; the input has room for {deepest}"
                )

    @model_validator(mode="after")
    def _strides_meet(self) -> ArchitectureSpec:
        given = list(self.backbone.strides)
        if given != sorted(set(given)):
            raise ValueError(f"backbone outputs must be finest first, each once: strides {given}")
        if isinstance(self.head, ClassesHeadSpec | EmbeddingHeadSpec):
            if self.neck is not None:
                raise ValueError(f"a head of type {self.head.type!r} takes no neck")
            return self
        if isinstance(self.backbone, ValidSpec):
            raise ValueError(
                "backbone 'valid' is for a head of type 'classes' or 'embedding': its map has no "
                "cells"
            )
        if isinstance(self.head, UNetHeadSpec | ASPPHeadSpec):
            self._fits_mask(self.head, given)
            return self
        if isinstance(self.head, StagesHeadSpec) and self.neck is None and self.head.roi.levels > 1:
            raise ValueError(
                f"a head of type {self.head.type!r} wants a neck, whose maps are alike: without "
                "one, head.roi.levels is 1"
            )
        if self.neck is not None:
            if self.neck.levels < len(given):
                raise ValueError(
                    f"neck.levels is {self.neck.levels}, but the backbone has {len(given)} outputs"
                )
            while len(given) < self.neck.levels:
                given.append(given[-1] * 2)
        if self.head.level_strides != given:
            raise ValueError(
                f"the head has strides {self.head.level_strides}, "
                f"but the feature maps that reach it have {given}"
            )
        return self

    def _fits_mask(self, head: UNetHeadSpec | ASPPHeadSpec, strides: list[int]) -> None:
        if self.neck is not None:
            raise ValueError(f"a head of type {head.type!r} takes no neck")
        unet = isinstance(head, UNetHeadSpec)
        stride = strides[0] if unet else strides[-1]
        if head.stride != stride:
            raise ValueError(
                f"head.stride is {head.stride}: expected {stride}, that of the backbone's "
                f"{'finest' if unet else 'coarsest'} map"
            )
        if isinstance(head, UNetHeadSpec) and len(head.channels) != len(strides) - 1:
            raise ValueError(
                f"head.channels has {len(head.channels)} stages, but the backbone has "
                f"{len(strides)} outputs: expected {len(strides) - 1}"
            )
