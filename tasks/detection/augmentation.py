"""The schema of a detector's `hyper_parameters.augmentation`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from ...model_templates.spec import Fraction, PositiveFloat, Spec

_KEYS_OF_CROP: dict[str, set[str]] = {
    "zoom": {
        *("scales", "shape", "anywhere", "rotate", "max_angle", "size", "min_face"),
        *("mosaic", "paste", "degrade"),
    },
    "iou": {"size", "min_face"},
    "letterbox": {"scales", "min_face"},
}


class AugmentationSpec(Spec):
    """How a training sample is cut from a photo.

    Args:
        crop: `zoom`: a window of the short side times one of `scales` (above 1 pads);
            `iou`: SSD's random crop with a minimum IoU to the faces, whole photos and free windows
            included, stretched to the sample; `letterbox`: the whole photo as the network's input
            has it, times one of `scales`.
        scales: For `zoom`, the possible sizes of the window as factors of the short side. For
            `letterbox`, factors of the photo's size in the input, up to 1.
        shape: For `zoom`, shape of the windows: `square`, or the `photo`'s, stretched to the
            sample, for networks to whose input whole photos are stretched.
        anywhere: For `zoom`, share of the windows that need not hold a face.
        rotate: For square windows, share that are rotated by up to `max_angle`; about one in a
            hundred loses its face by that.
        max_angle: Largest rotation in degrees, in both directions. Landmarks keep their names:
            beyond 90 the left eye is that of the upright photo, and lies at the right.
        mosaic: For `zoom`, share of the samples that consist of four photos, a quarter each.
        paste: For `zoom`, share of the samples into which up to four faces of another photo are
            pasted.
        degrade: For `zoom`, share of the samples with random blur, fewer pixels, noise or JPEG
            artefacts.
        size: Side of the square sample in pixels; by default the size of the network's input.
        flip: Probability of a horizontal flip.
        photometric: Whether brightness, contrast, saturation, hue and grey are changed at random.
        lights: Share of the samples in coloured light, or in little light and noisy.
        min_face: Faces with a shorter side (in sample pixels) are ignored: neither face nor
            background.
    """

    crop: Literal["zoom", "iou", "letterbox"]
    scales: list[PositiveFloat] = Field(
        default=[0.3, 0.45, 0.6, 0.8, 1.0, 1.2, 1.4, 1.6, 1.8, 2.0], min_length=1
    )
    shape: Literal["square", "photo"] = "square"
    anywhere: Fraction = 0.0
    rotate: Fraction = 0.0
    max_angle: Annotated[float, Field(gt=0, le=180)] = 75.0
    mosaic: Fraction = 0.0
    paste: Fraction = 0.0
    degrade: Fraction = 0.0
    size: Annotated[int, Field(ge=16)] | None = None
    flip: Fraction = 0.5
    photometric: bool = True
    lights: Fraction = 0.0
    min_face: Annotated[float, Field(ge=0)] = 4.0

    @model_validator(mode="after")
    def _of_the_crop(self) -> AugmentationSpec:
        allowed = {"crop", "flip", "photometric", "lights", *_KEYS_OF_CROP[self.crop]}
        for key in sorted(self.model_fields_set - allowed):
            raise ValueError(f"{key} is not of crop {self.crop!r}")
        if self.crop == "letterbox" and max(self.scales) > 1:
            raise ValueError(f"scales are {self.scales}: expected at most 1 with crop 'letterbox'")
        if self.rotate and self.shape != "square":
            raise ValueError(f"rotate is of shape 'square', not {self.shape!r}")
        if not self.rotate and "max_angle" in self.model_fields_set:
            raise ValueError("max_angle is in vain without rotate")
        return self
