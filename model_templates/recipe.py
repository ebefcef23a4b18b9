"""The schema of `hyper_parameters`: how a network is trained."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from .spec import Fraction, PositiveFloat, PositiveInt, Spec


class BasicSpec(Spec):
    """The three that users change first. `batch_size` is per GPU."""

    batch_size: PositiveInt
    base_learning_rate: PositiveFloat
    epochs: PositiveInt


class OptimizerSpec(Spec):
    """SGD with Nesterov momentum, or AdamW (Loshchilov & Hutter 2019) with `momentum` as beta 1.

    `muon` (Jordan et al. 2024; steps scaled as by Liu et al. 2025) makes the steps of convolutions
    inside the network orthogonal, at the base rate times `muon_factor`; AdamW takes those of all
    else.
    `gradient_clip`: largest norm of all gradients together; none by default.
    """

    type: Literal["sgd", "adamw", "muon"] = "sgd"
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    weight_decay: Annotated[float, Field(ge=0)] = 5e-4
    gradient_clip: PositiveFloat | None = None
    muon_factor: PositiveFloat = 3.0

    @model_validator(mode="after")
    def _of_the_type(self) -> OptimizerSpec:
        if self.type != "muon" and "muon_factor" in self.model_fields_set:
            raise ValueError(f"muon_factor is not of optimizer {self.type!r}")
        return self


class ScheduleSpec(Spec):
    """Learning rate over epochs.

    `step` divides by ten at each milestone; `cosine` falls to 1 %; `wsd` (warm-up, stable, decay:
    Hu et al. 2024) stays as it is and falls linearly to 1 % in the share `decay` of all steps, at
    the end: until then the number of epochs may be changed without loss.
    """

    type: Literal["step", "cosine", "wsd"]
    milestones: list[PositiveInt] = Field(default=[])
    warmup_iterations: Annotated[int, Field(ge=0)] = 0
    decay: Annotated[float, Field(gt=0, le=1)] = 0.2

    @model_validator(mode="after")
    def _of_the_type(self) -> ScheduleSpec:
        if (self.type == "step") != bool(self.milestones):
            raise ValueError(
                f"schedule {self.type!r} with milestones {self.milestones}: 'step' has some, and "
                "no other"
            )
        if self.milestones != sorted(set(self.milestones)):
            raise ValueError(f"milestones are {self.milestones}: expected rising ones")
        if self.type != "wsd" and "decay" in self.model_fields_set:
            raise ValueError(f"decay is not of schedule {self.type!r}")
        return self


_KEYS_OF_CROP: dict[str, set[str]] = {
    "zoom": {
        *("scales", "shape", "anywhere", "rotate", "max_angle", "size", "min_face"),
        *("mosaic", "paste", "degrade"),
    },
    "iou": {"size", "min_face"},
    "face": set(),
}


class AugmentationSpec(Spec):
    """How a training sample is cut from a photo.

    Args:
        crop: `zoom`: a window of the short side times one of `scales` (above 1 pads);
            `iou`: SSD's random crop with a minimum IoU to the faces, whole photos and free windows
            included, stretched to the sample; `face`: a classifier's, one face aligned, with
            rotation, zoom, shift, and its picture made worse in many ways, harder as the training
            goes on.
        scales: For `zoom`.
        shape: For `zoom`, of the windows: `square`, or the `photo`'s, stretched to the sample, as
            a network sees it to whose input whole photos are stretched.
        anywhere: For `zoom`, share of the windows that need hold no face.
        rotate: For square windows, share of them that are turned, by up to `max_angle`; one in some
            hundred loses its face by that.
        max_angle: Degrees, either way.
        mosaic: For `zoom`, share of the samples that are of four photos, a quarter each.
        paste: For `zoom`, share of the samples in which up to four faces of another photo are
            pasted.
        degrade: For `zoom`, share of the samples whose quality suffers: blur, fewer pixels, noise,
            JPEG, each by chance.
        size: Side of the sample, a square, in pixels; by default it is as the network's input.
        flip: Probability of a horizontal flip.
        photometric: Random brightness, contrast, saturation, hue and grey.
        min_face: Faces below this side (in sample pixels) are ignored, neither face nor background.
    """

    crop: Literal["zoom", "iou", "face"]
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
    min_face: Annotated[float, Field(ge=0)] = 4.0

    @model_validator(mode="after")
    def _of_the_crop(self) -> AugmentationSpec:
        allowed = {"crop", "flip", "photometric", *_KEYS_OF_CROP[self.crop]}
        for key in sorted(self.model_fields_set - allowed):
            raise ValueError(f"{key} is not of crop {self.crop!r}")
        if self.rotate and self.shape != "square":
            raise ValueError(f"rotate is of shape 'square', not {self.shape!r}")
        if not self.rotate and "max_angle" in self.model_fields_set:
            raise ValueError("max_angle is in vain without rotate")
        return self


class DistillationSpec(Spec):
    """Learning from a larger detector beside the labels (Hinton et al. 2015).

    Args:
        teacher: A template whose weights ship, or the path of a template or of a weights file,
            from the folder of the template that names it.
        weight: Of what it says; of what the labels say it is 1.
    """

    teacher: Annotated[str, Field(min_length=1)]
    weight: PositiveFloat = 1.0


class HyperParametersSpec(Spec):
    """The training recipe. `repeats`: how often an epoch goes over the photos."""

    basic: BasicSpec
    repeats: PositiveInt = 1
    optimizer: OptimizerSpec = OptimizerSpec()
    schedule: ScheduleSpec
    ema_decay: Annotated[float, Field(gt=0, lt=1)] | None = None
    augmentation: AugmentationSpec
    distillation: DistillationSpec | None = None
