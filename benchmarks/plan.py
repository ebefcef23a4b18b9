"""From what a user names to what is measured."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

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
"""So few that slow rows see all of them too."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Accuracy:
    """Measures models of one task on labelled photos, in whatever process it is called.

    Attributes:
        task: Its name.
        labels: What to measure on.
    """

    task: str
    labels: Labels

    def __call__(self, pipeline: Pipeline) -> Figures:
        """The figures that have a column in the tables.

        None of a file with NMS inside, which shows no face below its own threshold: they need all.
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
    known: Sequence[Results] = (),
    duration: float = 3.0,
    command: str = "",
) -> Plan:
    """Photos to time each task on, and what measures its accuracy.

    Args:
        cases: What to measure.
        data: Annotation files, each of the tasks that read files of its suffix. Without any, files
            are timed on photos in the public domain, and not judged.
        roots: Folders of their photos, one each or one for all.
        wider: WIDER FACE's folder, for its figures.
        known: Earlier runs: accuracy of files that they measured on the same labels is taken from
            them.
        duration: Seconds of timing of each case.
        command: What the user typed.

    Raises:
        UserError: Labels of an unknown kind, or no photo at all.
        DataError: The labels cannot be read.
    """
    given = paired(data, roots, flags=("--data", "--root")) if data else []
    suffixes = {task_of(task).samples.SUFFIX: task_of(task).samples for task in TASKS}
    for file in data:
        if file.suffix not in suffixes:
            able = ", ".join(f"{suffix} ({s.ANNOTATIONS})" for suffix, s in suffixes.items())
            raise UserError(f"--data {file}: expected some of {able}")
    public = public_items()
    items: dict[str, Sequence[Item]] = dict.fromkeys(TASKS, public)
    accuracy: dict[str, Judge] = {}
    protocol = {
        "timing": f"{duration:g} s for each row in {ROUNDS} rounds, rows in turn; medians; "
        "intervals of 95 % by drawing rounds with replacement",
    }
    for name in TASKS:
        labels = _labels_of(name, given, wider)
        if not labels.files and labels.official is None:
            continue
        task = task_of(name)
        all_items: Sequence[Item] = ()
        if labels.files:
            all_items = task.samples.items(labels.files, labels.roots)
        elif labels.official is not None:
            all_items = task.measure.official_photos(labels.official)
        items[name] = some = _some(all_items)
        accuracy[name] = Accuracy(name, labels)
        protocol[name] = task.measure.told(labels, some)
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
    """Those of the files that are of a task."""
    part = task_of(task)
    pairs = [pair for pair in given if pair[0].suffix == part.samples.SUFFIX]
    return Labels(
        files=[file for file, _ in pairs],
        roots=[root for _, root in pairs],
        official=wider if part.measure.HAS_OFFICIAL else None,
    )


def _known(runs: Sequence[Results], protocol: Mapping[str, str]) -> dict[tuple[str, ...], Figures]:
    """What earlier runs on such a machine, with the same code, say of the same photos."""
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
    """As many as are timed, evenly spread over the list; none that cannot be read."""
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
