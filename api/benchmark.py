"""`pocketface.benchmark`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UserError
from ..places import check_place
from ..tasks.measuring import Progress
from ..tasks.weights import Given
from .given import (
    Annotations,
    Classes,
    Counts,
    Names,
    Paths,
    count_list,
    labels_of,
    name_list,
    path_list,
)

if TYPE_CHECKING:
    from ..benchmarks.results import Results


def benchmark(
    files: Paths = (),
    output: Given = "report",
    *,
    annotations: Annotations | None = None,
    photos: Paths | None = None,
    classes: Classes | None = None,
    wider_dir: Given | None = None,
    accuracy_from: Paths | None = None,
    devices: Names = "cpu",
    threads: Counts = 1,
    batch: Counts = 1,
    runtimes: Names | None = None,
    duration: float = 3.0,
    peers: Given | None = None,
    peers_only: Names | None = None,
    force: bool = False,
    command: str = "",
    on_progress: Progress | None = None,
) -> Results:
    """Measure speed, memory, size and accuracy of model files on this machine.

    Each file is run in each way that opens it, in a process of its own.

    Args:
        files: Model files, folders of them, and names of templates.
        output: Folder for results.json, report.md and report.html.
        annotations: Labels for accuracy, and photos to time on: COCO JSON for detectors, lists by
            `pocketface data glasses` for classifiers, or a `Labels`; None for two photos in the
            public domain, and no accuracy.
        photos: Folders of the photos, one for each annotation file or one for all.
        classes: What the annotation files call a class, as `{"face": ["Face", "head"]}`.
        wider_dir: WIDER FACE, for easy, medium and hard AP.
        accuracy_from: Earlier results.json on the same labels, whose accuracy is taken over.
        devices: "cpu", "cuda", "gpu", "npu", "coreml", "mps", ….
        threads: Numbers of threads of one inference on the CPU.
        batch: Numbers of photos at once.
        runtimes: Only these, as "torch" or "torch:compile"; None for all that open a file.
        duration: Seconds of timing of each row.
        peers: Folder of other people's models, to be measured too.
        peers_only: Names of those to take; None for all that are there.
        force: Whether to replace the results of an earlier run in the folder.
        command: What the report says of how it was made.
        on_progress: Called with the number of rows done and of all.

    Returns:
        The content of results.json. After an interrupt `finished` is False, and the rows are those
        measured until then.

    Raises:
        UserError: Nothing to measure or nothing could be measured, an unknown device or runtime,
            or results that are there already.
        DataError: An annotation file or a folder is missing or damaged.
        MissingPackageError: A package for the report is not installed.
    """
    from ..benchmarks.cases import cases_of, peers_in, targets_of
    from ..benchmarks.charts import check_packages
    from ..benchmarks.measure import measure
    from ..benchmarks.plan import plan_for
    from ..benchmarks.report import check_report, write_report
    from ..benchmarks.results import RESULTS_FILE, read_results
    from ..tasks.named import model_path

    labels = labels_of(annotations, photos, classes=classes, official=wider_dir)
    thread_counts, batches = count_list("threads", threads), count_list("batch", batch)
    if not 0 < duration < float("inf"):
        raise UserError(f"duration {duration}: expected seconds above 0")
    check_packages()
    folder, named = Path(output), path_list(files)
    check_place(folder, "output", folder=True)
    if not named and peers is None:
        raise UserError("nothing to measure: expected model files, or --peers")
    if (folder / RESULTS_FILE).exists() and not force:
        raise UserError(
            f"--output {folder}: holds the {RESULTS_FILE} of an earlier run",
            hint="name another folder; or --force replaces it",
        )
    check_report(folder, force=force)
    if peers_only and peers is None:
        raise UserError("--peers-only: expected --peers with it")
    targets = targets_of([model_path(one) for one in named])
    if peers is not None:
        targets += peers_in(Path(peers), name_list(peers_only))
    cases = cases_of(
        targets,
        devices=name_list(devices) or [],
        threads=thread_counts,
        batches=batches,
        runtimes=name_list(runtimes),
    )
    plan = plan_for(
        cases,
        data=labels.files,
        roots=labels.roots,
        wider=labels.official,
        classes=labels.classes,
        known=[read_results(path) for path in path_list(accuracy_from)],
        duration=duration,
        command=command,
    )
    results = measure(plan, output=folder, on_progress=on_progress)
    if results.rows:
        write_report(results, folder)
    elif results.finished:
        first = results.absent[0]
        raise UserError(f"nothing could be measured: {first.name}, {first.runtime}: {first.reason}")
    return results
