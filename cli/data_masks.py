"""`pocketface data celebamask` and `data masks`: photos with masks, and lists of them."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UserError
from ..model_templates.catalogue import DETECTOR
from .console import progress, tell
from .parser import a_path, count, part

if TYPE_CHECKING:
    from ..data.masks import FindLandmarks, Split, WrittenList

_NEW = "a new folder"


def add_masks(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verbs that make photos with masks."""
    celebamask = verbs.add_parser(
        "celebamask", help="CelebAMask-HQ's official layout to photos with masks"
    )
    celebamask.add_argument(
        "folder", type=a_path, metavar="DIR", help="holds CelebA-HQ-img and CelebAMask-HQ-mask-anno"
    )
    celebamask.add_argument("--output", type=a_path, required=True, metavar="DIR", help=_NEW)
    celebamask.add_argument(
        "--size",
        type=count,
        default=256,
        metavar="N",
        help="side in pixels, which divides 512 (default: 256)",
    )
    _add_split(
        celebamask, "share for test.masks.json, by person where the lists of persons are there"
    )
    celebamask.set_defaults(action=_celebamask)

    masks = verbs.add_parser("masks", help="your own photos and masks, or COCO's, to lists of them")
    masks.add_argument("source", type=a_path, metavar="DIR|ANN", help="photos, or COCO JSON")
    masks.add_argument("masks", type=a_path, nargs="?", metavar="DIR", help="masks of the photos")
    masks.add_argument(
        "--photos", type=a_path, metavar="DIR", help="of COCO: what its file names are relative to"
    )
    masks.add_argument("--output", type=a_path, required=True, metavar="DIR", help=_NEW)
    masks.add_argument(
        "--classes",
        nargs="+",
        metavar="NAME=VALUE",
        help="what the masks' values or colours are: face=1,2, face=128-255 or face=#ff0000, and "
        "background=rest for all others; of COCO, as face=Face,face=head, its categories "
        "(default: all)",
    )
    _add_split(masks, "share of the photos for test.masks.json")
    masks.add_argument(
        "--list",
        type=a_path,
        metavar="CSV",
        dest="table",
        help="columns image (or name), perhaps split (a list for each), others with 0 and 1 (tags)",
    )
    masks.add_argument(
        "--in-place",
        action="store_true",
        help="write the lists alone: photos and masks, grey PNGs of 8 bits, stay where they are",
    )
    masks.add_argument(
        "--align",
        action="store_true",
        help="find the main face of each photo, for photos that are no upright heads already",
    )
    masks.add_argument(
        "--detector",
        type=a_path,
        metavar="FILE|NAME",
        help=f"a detector with landmarks, for --align (default: {DETECTOR})",
    )
    masks.set_defaults(action=_masks)


def _add_split(parser: argparse.ArgumentParser, text: str) -> None:
    parser.add_argument("--test-fraction", type=part, metavar="0..1", help=text)
    parser.add_argument("--seed", type=count, default=0, metavar="N", help="of the choice")


def _celebamask(args: argparse.Namespace) -> None:
    from ..data.celebamask import convert_celebamask
    from ..data.masks import Split

    split = Split(args.test_fraction, args.seed)
    with progress("photos") as on_progress:
        lists = convert_celebamask(
            args.folder, args.output, size=args.size, split=split, on_progress=on_progress
        )
    _tell_lists(lists, args.output)


def _masks(args: argparse.Namespace) -> None:
    from ..data.masks import Split

    if not args.source.exists():
        raise UserError(f"{args.source}: no such file or folder")
    of_coco = not args.source.is_dir()
    if of_coco:
        wrong = "MASKS" if args.masks else "--list" if args.table else "--in-place"
        if args.masks or args.table or args.in_place:
            raise UserError(
                f"{args.source}: {wrong} goes with a folder of photos, which this is not"
            )
        if args.photos is None:
            raise UserError(
                f"{args.source}: expected a folder of photos, or COCO JSON with --photos"
            )
    elif args.masks is None or args.classes is None:
        what = "the folder of masks after it" if args.masks is None else "--classes, as in face=1"
        raise UserError(f"{args.source}: expected {what}")
    elif args.photos is not None:
        raise UserError(f"--photos {args.photos}: goes with COCO JSON; {args.source} is a folder")
    if args.detector is not None and not args.align:
        raise UserError(f"--detector {args.detector}: goes with --align")
    split = Split(args.test_fraction, args.seed)
    (_masks_of_coco if of_coco else _masks_of_folders)(args, split)


def _masks_of_coco(args: argparse.Namespace, split: Split) -> None:
    from ..data.class_names import ClassNames
    from ..data.masks_coco import CocoRequest, convert_coco

    request = CocoRequest(
        args.source,
        args.photos,
        args.output,
        names=ClassNames.parse(args.classes or ()),
        split=split,
        find_landmarks=_finder(args),
    )
    with progress("photos") as on_progress:
        lists = convert_coco(request, on_progress=on_progress)
    _tell_lists(lists, args.output)


def _masks_of_folders(args: argparse.Namespace, split: Split) -> None:
    from ..data.masks_folder import FolderRequest, convert_folders
    from ..data.masks_values import MaskValues

    request = FolderRequest(
        args.source,
        args.masks,
        args.output,
        values=MaskValues.parse(args.classes),
        split=split,
        table=args.table,
        in_place=args.in_place,
        find_landmarks=_finder(args),
    )
    with progress("photos") as on_progress:
        root, lists = convert_folders(request, on_progress=on_progress)
    _tell_lists(lists, root)


def _finder(args: argparse.Namespace) -> FindLandmarks | None:
    """What finds the main face with --align."""
    if not args.align:
        return None
    from ..apps.prepare_faces import face_finder
    from ..tasks.named import model_path

    return face_finder(model_path(args.detector or DETECTOR))


def _tell_lists(lists: Sequence[WrittenList], root: Path) -> None:
    for one in lists:
        tell(f"written: {one.path} ({one.pairs} photos; data root {root})")
