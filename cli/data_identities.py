"""`pocketface data identities`: photos of people to lists of them."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ..errors import UserError
from ..model_templates.catalogue import DETECTOR
from .console import progress, tell
from .parser import a_path, add_detector, count, fraction

if TYPE_CHECKING:
    from ..data.identities_lists import Embed
    from ..data.masks import FindLandmarks


def add_identities(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb that makes lists of people's photos."""
    parser = verbs.add_parser(
        "identities", help="photos of people to lists of faces and who they are"
    )
    parser.add_argument(
        "folder", type=a_path, metavar="DIR", help="photos, in a folder for each person"
    )
    parser.add_argument("--output", type=a_path, required=True, metavar="DIR", help="of the lists")
    parser.add_argument(
        "--list",
        type=a_path,
        metavar="CSV",
        dest="table",
        help="columns image (or file, path), person (or identity) and perhaps split (a list for "
        "each), in place of folders",
    )
    parser.add_argument(
        "--tags", nargs="+", metavar="COLUMN", default=[], help="columns of --list that become tags"
    )
    parser.add_argument(
        "--pairs",
        type=a_path,
        metavar="FILE",
        help="LFW's pairs.txt, or one like it: the pairs go into the list",
    )
    for part in ("val", "test"):
        parser.add_argument(
            f"--{part}-fraction",
            type=fraction,
            default=0.0,
            metavar="0..1",
            help=f"share of the people for {part}.identities.json; nobody is in two lists",
        )
    parser.add_argument("--seed", type=count, default=0, metavar="N", help="of the split")
    parser.add_argument(
        "--aligned",
        action="store_true",
        help="photos are faces already aligned as ArcFace does, at any size",
    )
    add_detector(parser)
    parser.add_argument(
        "--embedder",
        type=a_path,
        metavar="FILE|NAME",
        help="a recogniser, for report.csv: photos there twice, and those like somebody else",
    )
    parser.set_defaults(action=_identities)


def _identities(args: argparse.Namespace) -> None:
    from ..data.identities_doubts import check_report, write_doubts
    from ..data.identities_lists import IdentitiesRequest, make_identities
    from ..data.identities_source import Split
    from ..places import check_not_read

    report = args.output / "report.csv"
    if args.embedder is not None:
        check_not_read(report, "--output", [one for one in (args.table, args.pairs) if one])
        check_report(report)
    request = IdentitiesRequest(
        args.folder,
        args.output,
        find_landmarks=_finder(args),
        table=args.table,
        tags=args.tags,
        split=Split(args.val_fraction, args.test_fraction, args.seed),
        pairs=args.pairs,
        embed=_embedder(args),
    )
    with progress("photos") as on_progress:
        lists, doubts = make_identities(request, on_progress=on_progress)
    for one in lists:
        people = "people unknown"
        if one.people:
            people = f"{one.people} people, {one.alone} of them with one photo"
        pairs = f", {one.pairs} pairs" if one.pairs else ""
        tell(
            f"written: {one.path} ({one.photos} photos, {one.photos - one.found} without a face; "
            f"{people}{pairs}; data root {args.folder})"
        )
    if args.embedder is not None:
        write_doubts(report, doubts)
        photos = len({one.image for one in doubts})
        tell(f"written: {report} ({photos} photos to look at; nothing is left out for it)")


def _finder(args: argparse.Namespace) -> FindLandmarks | None:
    """What finds the main face, unless photos are aligned faces."""
    if args.aligned:
        if args.detector is not None:
            raise UserError(f"--detector {args.detector}: not with --aligned, which needs none")
        return None
    from ..apps.prepare_faces import face_finder
    from ..tasks.named import model_path

    return face_finder(model_path(args.detector or DETECTOR))


def _embedder(args: argparse.Namespace) -> Embed | None:
    """What embeds a face."""
    if args.embedder is None:
        return None
    from ..tasks.load import load_as
    from ..tasks.recognition.model import FaceRecognizer

    model = load_as(FaceRecognizer, args.embedder)
    return lambda image, landmarks: model.predict(image, landmarks[None])[0].vector
