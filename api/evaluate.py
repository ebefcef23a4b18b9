"""`pocketface.evaluate`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..benchmarks.accuracy import check_labels, measure_accuracy
from ..evaluation.contact_sheet import check_sheet
from ..evaluation.report import check_replaced
from ..model_templates.catalogue import CLASSIFIER, DETECTOR, RECOGNIZER, SEGMENTER
from ..model_templates.contract import Metric
from ..places import check_not_read, check_place
from ..runtimes.seal import parts_of
from ..tasks import task_of
from ..tasks.measuring import Labels, Options, Progress
from ..tasks.templates import open_template
from ..tasks.weights import Given, open_model
from .given import Annotations, Classes, Paths, labels_of, optional_path, sources


@dataclass(frozen=True)
class EvalReport:
    """The figures of a model on labelled photos; `report["ap50"].value` is one of them.

    Attributes:
        model: The file that was measured.
        metrics: The figures, in the order of the task's tables; those of unit "%" are percent.
    """

    model: Path
    metrics: tuple[Metric, ...]

    def __getitem__(self, key: str) -> Metric:
        """The figure of this key.

        Raises:
            KeyError: There is none; the message lists those that there are.
        """
        for metric in self.metrics:
            if metric.key == key:
                return metric
        raise KeyError(f"{key!r}: expected one of {', '.join(one.key for one in self.metrics)}")

    def __iter__(self) -> Iterator[Metric]:
        return iter(self.metrics)

    def __len__(self) -> int:
        return len(self.metrics)


def evaluate(
    model: Given | None = None,
    *,
    weights: Given | None = None,
    annotations: Annotations | None = None,
    photos: Paths | None = None,
    classes: Classes | None = None,
    wider_dir: Given | None = None,
    save_metrics_to: Given | None = None,
    mistakes_to: Given | None = None,
    input_size: tuple[int, int] | None = None,
    score_threshold: float | None = None,
    nms_iou: float | None = None,
    max_detections: int | None = None,
    runtime: str | None = None,
    device: str = "cpu",
    threads: int | None = None,
    on_progress: Progress | None = None,
) -> EvalReport:
    """Measure a checkpoint or an exported file on annotated photos.

    Args:
        model: A model or weights file, or the name or file of a template; None for the template
            inside `weights`, and without these for face-detection-n, glasses-n on CSV lists,
            face-segmentation-n on lists of masks, or face-recognition-n on lists of people.
        weights: A file to use with a template.
        annotations: COCO JSON; of a classifier, lists by `pocketface data glasses`; of a segmenter,
            by `pocketface data masks`; of a recogniser, by `pocketface data identities`; or a
            `Labels`.
        photos: Folders of the photos, one for each annotation file or one for all.
        classes: What the annotation files call a class, as `{"face": ["Face", "head"]}`.
        wider_dir: WIDER FACE with WIDER_val, wider_face_split and ground_truth: easy, medium, hard.
        save_metrics_to: YAML file for metrics, protocol and SHA-256s; an older one is replaced.
        mistakes_to: PNG file for a classifier's mistakes as one picture.
        input_size: Height and width in pixels; None for the file's.
        score_threshold: Lowest score of a face that counts (None for 0.02); of a classifier,
            lowest score of its second label (None for its own).
        nms_iou: IoU of NMS, 0 to 1; None for the file's.
        max_detections: Most faces of a photo that count, best first; None for 750.
        runtime: See `load`.
        device: See `load`.
        threads: See `load`.
        on_progress: Called with the number of photos done and of all.

    Returns:
        The figures, each a `Metric` with key, value and unit.

    Raises:
        UserError: There is nothing to measure on, labels or options do not fit the model, or a
            file to be written is one of those that are read, or no older one of metrics.
        DataError: An annotation file or a folder is missing or damaged.
        ModelFileError: The model cannot be opened.
    """
    labels = labels_of(annotations, photos, classes=classes, official=wider_dir)
    template, file = sources(model, weights)
    check_written(
        labels,
        given=(template, file),
        metrics=("save_metrics_to", save_metrics_to),
        mistakes=("mistakes_to", mistakes_to),
    )
    check_labels(labels)
    if template is None and file is None:
        template = _meant(labels)
    opened = open_model(
        template,
        file,
        runtime=runtime,
        device=device,
        threads=threads,
        input_size=input_size,
    )
    metrics = measure_accuracy(
        opened,
        labels,
        options=Options(
            score_threshold=score_threshold,
            nms_iou=nms_iou,
            max_detections=max_detections,
            mistakes=optional_path(mistakes_to),
            runtime=runtime,
        ),
        metrics_file=optional_path(save_metrics_to),
        on_progress=on_progress,
    )
    return EvalReport(opened.path, tuple(metrics))


def check_written(
    labels: Labels,
    *,
    given: Iterable[Given | None],
    metrics: tuple[str, Given | None],
    mistakes: tuple[str, Given | None],
) -> None:
    """Refuse to write where `evaluate` reads, or where nothing can be written.

    Args:
        labels: The labelled photos.
        given: Model, weights or template, if any.
        metrics: Flag and file of the metrics, if any.
        mistakes: Flag and file of the mistakes, if any.

    Raises:
        UserError: One is a file that is read, or see `check_place` and `check_replaced`.
    """
    models = parts_of(*(Path(one) for one in given if one is not None))
    for flag, place in (metrics, mistakes):
        if place is not None:
            check_not_read(Path(place), flag, [*labels.files, *models])
            check_place(Path(place), flag)
    flag, place = metrics
    if place is not None:
        check_replaced(Path(place), flag)
    flag, place = mistakes
    if place is not None:
        check_sheet(Path(place), flag)


def _meant(labels: Labels) -> str:
    """The default template whose task reads all annotations, where none is named."""
    for name in (SEGMENTER, CLASSIFIER, RECOGNIZER):
        samples = task_of(open_template(name).spec.problem).samples
        if labels.files and all(samples.reads(file) for file in labels.files):
            return name
    return DETECTOR
