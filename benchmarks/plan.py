"""Make a plan of measurements from what the user names."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..data.class_names import OWN_NAMES, ClassNames
from ..data.images import read_image
from ..data.pairs import paired
from ..errors import DataError, ImageError, UserError
from ..evaluation.figures import Figures
from ..tasks import TASKS, task_of
from ..tasks.measuring import Labels, Options
from ..tasks.timing import Item, public_items
from .cases import Case
from .machine import DECISIVE, OF_POCKETFACE, PACKAGES, fingerprint
from .measure import ROUNDS, Judge, Plan
from .pipelines import Pipeline
from .results import Results

_TIMED_PHOTOS = 8
"""Number of photos for timing, small enough that slow cases process all of them too."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Accuracy:
    """Measures models of one task on labelled photos; works in any process.

    Attributes:
        task: Name of the task.
        labels: The labelled photos to measure on.
    """

    task: str
    labels: Labels

    def __call__(self, pipeline: Pipeline) -> Figures:
        """Measure the figures that have a column in the tables.

        Empty for a file with NMS inside: figures need the faces below its score threshold too.
        """
        if pipeline.is_final:
            return {}
        measure = task_of(self.task).measure
        labels = measure.labels_fit(self.labels, pipeline.contract)
        if not labels.files and labels.official is None:
            return {}
        found = measure.evaluate(pipeline.model, labels, Options(quick=True)).figures
        return {
            figure.key: found[figure.key]
            for figure in measure.FIGURES
            if figure.column is not None and figure.key in found
        }


def plan_for(
    cases: Sequence[Case],
    *,
    data: Sequence[Path] = (),
    roots: Sequence[Path] = (),
    wider: Path | None = None,
    classes: ClassNames = OWN_NAMES,
    known: Sequence[Results] = (),
    duration: float = 3.0,
    command: str = "",
) -> Plan:
    """Choose the photos to time each task on, and how to measure its accuracy.

    Args:
        cases: The cases to measure.
        data: Annotation files, each used for the tasks that read it. Without any, cases are timed
            on photos in the public domain, and their accuracy is not measured.
        roots: Folders of the photos, one for each annotation file or one for all.
        wider: Folder of WIDER FACE, to measure its figures.
        classes: What the annotation files call the classes of the files to measure.
        known: Earlier runs, whose accuracy on the same labels is reused.
        duration: Seconds of timing for each case.
        command: The command that the user typed.

    Raises:
        UserError: Labels of an unknown kind, or no photo at all.
        DataError: The labels cannot be read.
    """
    given = paired(data, roots, flags=("--data", "--root")) if data else []
    readers = [task_of(task).samples for task in TASKS]
    for file in data:
        if not any(reader.reads(file) for reader in readers):
            able = ", ".join(reader.ANNOTATIONS for reader in readers)
            raise UserError(f"--data {file}: expected some of {able}")
    public = public_items()
    items: dict[str, Sequence[Item]] = dict.fromkeys(TASKS, public)
    accuracy: dict[str, Judge] = {}
    protocol = {
        "timing": f"{duration:g} s for each row in {ROUNDS} rounds, rows in turn; medians; "
        "intervals of 95 % by drawing rounds with replacement; OpenMP's waiting threads "
        + os.environ.get("OMP_WAIT_POLICY", "active").lower(),
    }
    for name in TASKS:
        labels = replace(_labels_of(name, given, wider), classes=classes)
        if not labels.files and labels.official is None:
            continue
        task = task_of(name)
        all_items: Sequence[Item] = ()
        if labels.files:
            all_items = task.samples.items(labels)
        elif labels.official is not None and task.measure.official_photos is not None:
            all_items = task.measure.official_photos(labels.official)
        items[name] = some = _some(all_items)
        accuracy[name] = Accuracy(name, labels)
        protocol[name] = task.measure.measured_on(labels, all_items, timed=len(some))
    if not accuracy:
        names = ", ".join(item.path.name for item in public)
        protocol["photos"] = f"{names or 'none'}: accuracy was not measured"
        if not public:
            raise UserError(
                "no photos to time on: expected --data and --root, or --wider-dir",
                hint="or `pip install scikit-image matplotlib`, which bring two",
            )
    taken = _known(known, protocol)
    if taken:
        dates = ", ".join(run.date for run in known)
        protocol["accuracy"] = f"of files that were measured before taken from the run of {dates}"
    return Plan(
        cases=cases,
        items=items,
        accuracy=accuracy,
        duration=duration,
        protocol=protocol,
        command=command,
        known=taken,
    )


def _labels_of(task: str, given: Sequence[tuple[Path, Path]], wider: Path | None) -> Labels:
    """The labels of one task among the given files."""
    part = task_of(task)
    pairs = [pair for pair in given if part.samples.reads(pair[0])]
    return Labels(
        files=[file for file, _ in pairs],
        roots=[root for _, root in pairs],
        official=None if part.measure.official_photos is None else wider,
    )


def _known(runs: Sequence[Results], protocol: Mapping[str, str]) -> dict[tuple[str, ...], Figures]:
    """Accuracy from earlier runs on the same kind of machine, code and photos."""
    here = fingerprint()
    found = {}
    for run in runs:
        decisive = (*DECISIVE, *PACKAGES, *OF_POCKETFACE)
        other = [key for key in decisive if run.host.get(key) != here.get(key)]
        if other:
            _log.warning(
                "accuracy of %s is not used: there, %s is %s, here %s",
                run.date, other[0], run.host.get(other[0]), here.get(other[0]),
            )  # fmt: skip
            continue
        for row in run.rows:
            if row.figures and run.protocol.get(row.task) == protocol.get(row.task):
                found[row.answers] = row.figures
    return found


def _some(items: Sequence[Item]) -> list[Item]:
    """The readable items to time on, evenly spread over the list."""
    count = min(_TIMED_PHOTOS, len(items))
    some = [items[i] for i in np.linspace(0, len(items) - 1, count).round().astype(int)]
    good = []
    for item in some:
        try:
            read_image(item.path)
        except ImageError as error:
            _log.warning("not timed on: %s", error)
        else:
            good.append(item)
    if not good:
        raise DataError(f"none of the {len(some)} photos to time on can be read: {some[0].path}")
    return good
