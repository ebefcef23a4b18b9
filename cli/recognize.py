"""`pocketface recognize`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from ..apps.faces import FACE_SCORE
from ..apps.recognize_rate import MAX_FMR
from ..errors import UserError
from ..model_templates.catalogue import RECOGNIZER
from . import photo_classifier
from .console import progress
from .json_lines import add_json
from .parser import a_path, add_detector, fraction, paths, positive_count
from .recognize_flags import add_calibration, add_max_fmr
from .recognize_told import (
    ask_of,
    tell_clusters,
    tell_compared,
    tell_enrolled,
    tell_forgotten,
    tell_found,
    tell_measured,
)

if TYPE_CHECKING:
    from ..apps.recognize_faces import Recognizer


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verbs below `recognize` and their flags."""
    verbs = parser.add_subparsers(metavar="ACTION", required=True)

    compare = verbs.add_parser("compare", help="is the person of one photo in others?")
    compare.add_argument("reference", type=a_path, metavar="PHOTO", help="of the person")
    _add_sources(compare)
    compare.add_argument(
        "--face",
        type=positive_count,
        metavar="N",
        help="of several faces in the person's photo the Nth from the left (default: the largest)",
    )
    _add_answers(compare)
    _add_models(compare)
    compare.set_defaults(action=_compare)

    enroll = verbs.add_parser("enroll", help="add people's photos to a gallery")
    _add_gallery(enroll)
    _add_sources(enroll, "photos; without --name folders with a folder for each person")
    enroll.add_argument("--name", metavar="NAME", help="whom all photos show")
    _add_models(enroll, calibration=False)
    enroll.set_defaults(action=_enroll)

    find = verbs.add_parser("find", help="who of a gallery is in photos?")
    _add_gallery(find)
    _add_sources(find)
    _add_answers(find)
    _add_models(find)
    find.set_defaults(action=_find)

    cluster = verbs.add_parser("cluster", help="sort photos into a folder for each person")
    cluster.add_argument("folder", type=a_path, metavar="DIR", help="of photos")
    cluster.add_argument("--output", type=a_path, required=True, metavar="DIR")
    cluster.add_argument("--link", action="store_true", help="hard links in place of copies")
    add_max_fmr(cluster, MAX_FMR)
    _add_models(cluster)
    cluster.set_defaults(action=_cluster)

    forget = verbs.add_parser("forget", help="remove a person from a gallery")
    _add_gallery(forget)
    forget.add_argument("--name", required=True, metavar="NAME")
    forget.set_defaults(action=_forget)

    calibrate = verbs.add_parser(
        "calibrate", help="measure on photos of known people what similarities mean"
    )
    calibrate.add_argument(
        "lists",
        nargs="+",
        metavar="LIST",
        help=".identities.json, by `pocketface data identities`",
    )
    calibrate.add_argument("--data-roots", nargs="+", required=True, metavar="DIR")
    calibrate.add_argument("--save", type=a_path, metavar="FILE", help="for --calibration")
    calibrate.add_argument(
        "--force", action="store_true", help="overwrite the file of --save if it is there"
    )
    _add_models(calibrate, calibration=False, detector=False)
    calibrate.set_defaults(action=_calibrate)


def run(args: argparse.Namespace) -> None:
    """Run the verb below `recognize`."""
    args.action(args)


def _add_sources(
    parser: argparse.ArgumentParser, what: str = "photos, and folders of photos"
) -> None:
    parser.add_argument("sources", nargs="+", type=a_path, metavar="PATH", help=what)


def _add_gallery(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("gallery", type=a_path, metavar="GALLERY", help="a .gallery file")


def _add_answers(parser: argparse.ArgumentParser) -> None:
    add_max_fmr(parser, MAX_FMR)
    parser.add_argument(
        "--csv", type=a_path, metavar="FILE|-", help="all answers: a row for each face; - prints it"
    )
    parser.add_argument("--output", type=a_path, metavar="DIR", help="folder of drawn photos")
    parser.add_argument("--force", action="store_true", help="overwrite files that are there")
    add_json(parser, "photo")


def _add_models(
    parser: argparse.ArgumentParser, *, calibration: bool = True, detector: bool = True
) -> None:
    parser.add_argument(
        "--template",
        metavar="NAME|FILE",
        help=f"whose weights it is, or whose are the default ({RECOGNIZER})",
    )
    parser.add_argument(
        "--load-weights",
        type=a_path,
        metavar="FILE|NAME",
        help="the recogniser: weights, any model file, or a template's name",
    )
    if detector:
        add_detector(parser)
        parser.add_argument(
            "--face-score",
            type=fraction,
            default=FACE_SCORE,
            metavar="0..1",
            help=f"of the detector, from which on a face counts (default: {FACE_SCORE})",
        )
    if calibration:
        add_calibration(parser)
    parser.add_argument("--device", default="cpu", help="cpu (default), or what the runtime knows")
    parser.add_argument("--threads", type=positive_count, metavar="N", help="of the runtime")


def _opener(args: argparse.Namespace) -> tuple[Callable[[], Recognizer], list[Path]]:
    """What opens the models, whose files are looked for at once; and all files that it reads."""
    from ..apps.recognize_faces import Recognizer
    from ..runtimes.seal import parts_of

    model, detector = photo_classifier.files_of(args, default=RECOGNIZER)
    inputs = parts_of(model, detector)
    if getattr(args, "calibration", None) is not None:
        inputs.append(args.calibration)
    return lambda: Recognizer(
        model,
        detector,
        score=args.face_score,
        calibration=getattr(args, "calibration", None),
        device=args.device,
        threads=args.threads,
    ), inputs


def _check_printed(args: argparse.Namespace) -> None:
    if args.json and args.csv == Path("-"):
        raise UserError("--csv -: not with --json: both would be printed")


def _compare(args: argparse.Namespace) -> None:
    from ..apps.recognize_compare import CompareRequest, compare

    _check_printed(args)
    opener, inputs = _opener(args)
    with ExitStack() as stack:
        asked = ask_of(args)
        summary = compare(
            CompareRequest(
                reference=args.reference,
                sources=args.sources,
                open=opener,
                inputs=inputs,
                face=args.face,
                max_fmr=args.max_fmr,
                csv=args.csv,
                output=args.output,
                force=args.force,
                on_reference=asked.on_reference,
                on_seen=asked.on_compared,
                on_line=asked.on_line,
                on_progress=stack.enter_context(progress("photos")),
            )
        )
    tell_compared(args, summary)


def _find(args: argparse.Namespace) -> None:
    from ..apps.recognize_find import FindRequest, find_people

    _check_printed(args)
    opener, inputs = _opener(args)
    with ExitStack() as stack:
        asked = ask_of(args)
        summary = find_people(
            FindRequest(
                gallery=args.gallery,
                sources=args.sources,
                open=opener,
                inputs=inputs,
                max_fmr=args.max_fmr,
                csv=args.csv,
                output=args.output,
                force=args.force,
                on_seen=asked.on_found,
                on_line=asked.on_line,
                on_progress=stack.enter_context(progress("photos")),
            )
        )
    tell_found(args, summary)


def _enroll(args: argparse.Namespace) -> None:
    from ..apps.recognize_enroll import EnrollRequest, enroll

    with progress("photos") as on_progress:
        summary = enroll(
            EnrollRequest(
                gallery=args.gallery,
                sources=args.sources,
                open=_opener(args)[0],
                name=args.name,
                on_progress=on_progress,
            )
        )
    tell_enrolled(args.gallery, summary)


def _cluster(args: argparse.Namespace) -> None:
    from ..apps.recognize_cluster import ClusterRequest, cluster

    with progress("photos") as on_progress:
        summary = cluster(
            ClusterRequest(
                folder=args.folder,
                output=args.output,
                open=_opener(args)[0],
                max_fmr=args.max_fmr,
                link=args.link,
                on_progress=on_progress,
            )
        )
    tell_clusters(args.output, summary)


def _forget(args: argparse.Namespace) -> None:
    from ..apps.gallery import Gallery
    from ..apps.gallery_file import check_gallery_place

    gallery = Gallery.open(args.gallery)
    check_gallery_place(args.gallery)
    faces = gallery.forget(args.name)
    gallery.save()
    tell_forgotten(args.name, faces, gallery)


def _calibrate(args: argparse.Namespace) -> None:
    from ..apps.recognize_calibrate import measure_cosines
    from ..apps.recognize_calibration import write_calibration
    from ..data.identities import read_identities
    from ..data.pairs import check_there
    from ..places import check_new_file
    from ..runtimes.seal import parts_of
    from ..tasks.load import load_as
    from ..tasks.recognition.model import FaceRecognizer

    lists, roots = paths(args.lists), paths(args.data_roots)
    check_there(lists, roots, flags=("LIST", "--data-roots"))
    args.detector = None
    file, _ = photo_classifier.files_of(args, default=RECOGNIZER)
    photos = read_identities(lists, roots).photos
    if args.save is not None:
        inputs = [*lists, *parts_of(file), *(one.path for one in photos)]
        check_new_file(args.save, "--save", inputs=inputs, force=args.force)
    model = load_as(FaceRecognizer, file, device=args.device, threads=args.threads)
    with progress("photos") as on_progress:
        found = measure_cosines(
            model, photos, source=", ".join(map(str, lists)), on_progress=on_progress
        )
    if args.save is not None:
        write_calibration(args.save, model, found.rules)
    tell_measured(found, args.save)
