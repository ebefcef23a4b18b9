"""The schema of `hyper_parameters`, the training recipe."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, JsonValue, model_validator

from .spec import PositiveFloat, PositiveInt, Spec


class BasicSpec(Spec):
    """The settings that users change first. `batch_size` is per GPU.

    `iterations_per_epoch` is for recipes that count steps of the optimizer: an epoch has so many,
    whatever the number of photos; by default as many as the photos fill.
    """

    batch_size: PositiveInt
    base_learning_rate: PositiveFloat
    epochs: PositiveInt
    iterations_per_epoch: PositiveInt | None = None


class OptimizerSpec(Spec):
    """SGD, or AdamW (Loshchilov & Hutter 2019) with `momentum` as beta 1.

    The momentum of SGD is Nesterov's, unless `nesterov` is false.

    `muon` (Jordan et al. 2024; steps scaled as by Liu et al. 2025) makes the steps of convolutions
    inside the network orthogonal, at the base rate times `muon_factor`; AdamW trains all other
    parameters.
    `gradient_clip` is the largest norm of all gradients together; none by default.
    """

    type: Literal["sgd", "adamw", "muon"] = "sgd"
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    weight_decay: Annotated[float, Field(ge=0)] = 5e-4
    gradient_clip: PositiveFloat | None = None
    muon_factor: PositiveFloat = 3.0
    nesterov: bool = True

    @model_validator(mode="after")
    def _of_the_type(self) -> OptimizerSpec:
        if self.type != "muon" and "muon_factor" in self.model_fields_set:
            raise ValueError(f"muon_factor is not of optimizer {self.type!r}")
        if self.type != "sgd" and not self.nesterov:
            raise ValueError(f"nesterov is not of optimizer {self.type!r}")
        return self


class ScheduleSpec(Spec):
    """Learning rate over epochs.

    `step` multiplies by `gamma` at each milestone; `cosine` falls to 1 %; `wsd` (warm-up, stable,
    decay: Hu et al. 2024) stays constant and falls linearly to 1 % in the last share `decay` of all
    steps. Until then the number of epochs may be changed without loss.
    `fine_tuning` is the factor with which a few epochs more begin whose optimizer starts anew; it
    falls by a cosine. Networks that find much already want it small, or they forget it for a few
    photos.
    """

    type: Literal["step", "cosine", "wsd"]
    milestones: list[PositiveInt] = Field(default=[])
    gamma: Annotated[float, Field(gt=0, lt=1)] = 0.1
    warmup_iterations: Annotated[int, Field(ge=0)] = 0
    decay: Annotated[float, Field(gt=0, le=1)] = 0.2
    fine_tuning: Annotated[float, Field(gt=0, le=1)] = 0.3

    @model_validator(mode="after")
    def _of_the_type(self) -> ScheduleSpec:
        if (self.type == "step") != bool(self.milestones):
            raise ValueError(
                f"schedule {self.type!r} with milestones {self.milestones}: 'step' has some, and "
                "no other"
            )
        if self.milestones != sorted(set(self.milestones)):
            raise ValueError(f"milestones are {self.milestones}: expected rising ones")
        if self.type != "step" and "gamma" in self.model_fields_set:
            raise ValueError(f"gamma is not of schedule {self.type!r}")
        if self.type != "wsd" and "decay" in self.model_fields_set:
            raise ValueError(f"decay is not of schedule {self.type!r}")
        return self


_Std = Annotated[float, Field(ge=1e-3)]
_Share = Annotated[float, Field(ge=-1, le=2)]


class TeacherInputSpec(Spec):
    """How a model file of other people takes an aligned face.

    Args:
        points: x and y of left eye, right eye, nose, left and right mouth corner (as seen in the
            picture), as shares of the width and height of its input.
        colour: The order of its channels.
        mean: What it wants subtracted from the channels of an image of 0 to 255.
        std: What it wants them divided by then.
    """

    points: Annotated[tuple[tuple[_Share, _Share], ...], Field(min_length=5, max_length=5)]
    colour: Literal["BGR", "RGB"] = "BGR"
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[_Std, _Std, _Std] = (1.0, 1.0, 1.0)


class DistillationSpec(Spec):
    """Learning from another, mostly larger, model beside the labels (Hinton et al. 2015).

    Args:
        teacher: Name of a template whose weights ship, or path of a template or weights file,
            relative to the folder of this template. For a recogniser also an OpenVINO or ONNX
            file that gives one vector for a face.
        weight: Weight of the distillation loss; the weight of the losses on labels is 1.
        input: How a file of other people takes a face; not for our own.
    """

    teacher: Annotated[str, Field(min_length=1)]
    weight: PositiveFloat = 1.0
    input: TeacherInputSpec | None = None


class HyperParametersSpec(Spec):
    """The training recipe.

    Args:
        repeats: Number of passes over the photos in each epoch.
        frozen: Parts of the network that do not learn, as `backbone` or `head.first`; without
            trained weights they would stay random.
        gradient_checkpoints: Whether the backbone's maps are computed again for the gradients, and
            not kept: a third more time for far less memory (Chen et al. 2016).
        augmentation: How samples are cut and changed; the task defines the keys.
    """

    basic: BasicSpec
    repeats: PositiveInt = 1
    optimizer: OptimizerSpec = OptimizerSpec()
    schedule: ScheduleSpec
    ema_decay: Annotated[float, Field(gt=0, lt=1)] | None = None
    frozen: list[Annotated[str, Field(min_length=1)]] = Field(default=[])
    gradient_checkpoints: bool = False
    augmentation: dict[str, JsonValue]
    distillation: DistillationSpec | None = None
