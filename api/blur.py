"""`pocketface.blur`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ..errors import UserError
from ..model_templates.catalogue import (
    DETECTOR,
    RECOGNIZER,
    REPORT_DETECTOR,
    SECOND_DETECTOR,
    SEGMENTER,
)
from ..tasks.weights import Given
from .given import Names, Paths, name_list, optional_path, path_list

if TYPE_CHECKING:
    from ..apps.blur.cover import Cover, Style
    from ..apps.blur.outline import Shape
    from ..apps.blur.request import Blurred, BlurSummary
    from ..apps.blur.video import BlurredVideo
    from ..apps.blur.who import WhoRequest


def blur(
    sources: Paths,
    output: Given | None = None,
    *,
    style: Style = "mosaic",
    picture: Given | None = None,
    shape: Shape = "ellipse",
    grow: float | None = None,
    detector: Given = DETECTOR,
    second_opinion: Given | None = SECOND_DETECTOR,
    score: float | None = None,
    max_side: int | None = None,
    gallery: Given | None = None,
    rule: Literal["only", "except"] = "except",
    max_fmr: float | None = None,
    recognizer: Given = RECOGNIZER,
    keep_metadata: Names | None = None,
    lossless_jpeg: bool = False,
    codec: str = "h264",
    keep_audio: bool = True,
    tracks: Given | None = None,
    report: Given | None = None,
    report_detector: Given = REPORT_DETECTOR,
    force: bool = False,
    resume: bool = False,
    device: str = "cpu",
    threads: int | None = None,
    on_blurred: Callable[[Blurred], None] | None = None,
    on_video: Callable[[Path, Path, BlurredVideo], None] | None = None,
    on_frame: Callable[[int, int], None] | None = None,
    on_search: Callable[[int, int], None] | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> BlurSummary:
    """Hide the faces of photos and videos.

    Args:
        sources: Photos, videos, and folders of them.
        output: Folder of the files; None for beside each source, with `blurred_` before its name.
        style: How faces are hidden: "mosaic", "gaussian", "solid", "emoji" or "replace".
        picture: For "replace": the photo that is put over faces.
        shape: Which pixels: an "ellipse", the "box", or those of a face's "mask".
        grow: Size of what is hidden, relative to the face's box; None for `Cover`'s.
        detector: Name of a template, or a model file, of a detector.
        second_opinion: Name of a template, or a model file, of a detector that is asked about
            doubtful faces; None for none.
        score: Lowest score of a face, 0 to 1; None for `FaceFinder`'s.
        max_side: Longest side, in pixels, at which a photo is searched for small faces; None for
            `FaceFinder`'s.
        gallery: Known people; None to hide everybody.
        rule: "only" hides these people, "except" all others; who is uncertain is hidden.
        max_fmr: False match rate of `gallery`; None for what fits the rule.
        recognizer: Name of a template, or a model file, of what the gallery is of.
        keep_metadata: Groups of metadata that are kept, see `photo_metadata.GROUPS`; None for none.
        lossless_jpeg: Whether of a JPEG only the blocks change that a face's outline touches.
        codec: Of videos: "h264", "hevc", "vp9" or "av1".
        keep_audio: Whether videos keep their sound.
        tracks: A file of tracks of the only source, a video, instead of looking for faces: what
            says how to look must be left out.
        report: JSON file of the faces that another detector finds in what was written; None for no
            such search.
        report_detector: Name of a template, or a model file, of that detector; or YuNet's file.
        force: Whether older files are replaced.
        resume: Whether what an earlier run with `resume` wrote into `output` is left as it is.
        device: "cpu", or what the runtime knows.
        threads: In all; None for one per core. Up to four photos, or frames of a video, are looked
            at at once.
        on_blurred: Called after each photo.
        on_video: Called after each video with its path, that of what was written, and its tracks.
        on_frame: Called after each frame of a video with the number done and that of all.
        on_search: Called after each frame that `report` searches, likewise for each file.
        on_progress: Called with the number of photos and videos done and of all.

    Returns:
        Counts, and what could not be blurred: nothing is written of that.

    Raises:
        UserError: A source, the output, a model or a value cannot be used.
        DataError: Nothing could be blurred; or the gallery cannot be used.
    """
    from ..apps.blur.find import MAX_SIDE, SCORE
    from ..apps.blur.photo_metadata import check_groups
    from ..apps.blur.request import BlurRequest
    from ..apps.blur.run import blur as run
    from ..tasks.named import model_path

    first = model_path(detector, device=device)
    second = None if second_opinion is None else model_path(second_opinion, device=device)
    if tracks is not None:
        searching = {
            "--detector": first != model_path(DETECTOR, device=device),
            "--second-opinion": second != model_path(SECOND_DETECTOR, device=device),
            "--score": score is not None,
            "--max-side": max_side is not None,
            "--only and --except": gallery is not None,
        }
        for flag, is_given in searching.items():
            if is_given:
                raise UserError(f"--tracks {tracks}: says what is hidden, and goes without {flag}")
    return run(
        BlurRequest(
            sources=path_list(sources),
            output=optional_path(output),
            detector=first,
            second_opinion=second,
            segmenter=model_path(SEGMENTER, device=device) if shape == "mask" else None,
            cover=cover_of(style, shape, grow, optional_path(picture)),
            score=SCORE if score is None else score,
            max_side=MAX_SIDE if max_side is None else max_side,
            who=who_of(optional_path(gallery), rule, max_fmr, recognizer, device),
            keep=check_groups(name_list(keep_metadata) or []),
            lossless_jpeg=lossless_jpeg,
            codec=codec,
            keep_audio=keep_audio,
            tracks=optional_path(tracks),
            report=optional_path(report),
            report_detector=None if report is None else model_path(report_detector, device=device),
            force=force,
            resume=resume,
            device=device,
            threads=threads,
            on_blurred=on_blurred,
            on_video=on_video,
            on_frame=on_frame,
            on_search=on_search,
            on_progress=on_progress,
        )
    )


def cover_of(style: Style, shape: Shape, grow: float | None, picture: Path | None) -> Cover:
    """How faces are hidden, of what a user says.

    Raises:
        UserError: A value is none.
    """
    from ..apps.blur.cover import STYLES, Cover
    from ..apps.blur.outline import SHAPES
    from ..data.images import read_image

    for flag, value, known in (("--style", style, STYLES), ("--shape", shape, SHAPES)):
        if value not in known:
            raise UserError(f"{flag} {value}: expected one of {', '.join(known)}")
    if style == "replace" and picture is None:
        raise UserError("--style replace: needs --picture FILE")
    if style != "replace" and picture is not None:
        raise UserError(f"--picture {picture}: goes with --style replace alone")
    grow = Cover.grow if grow is None else grow
    if not 1 <= grow <= 10:
        raise UserError(f"--grow {grow:g}: expected 1 to 10")
    pixels = None if picture is None else read_image(picture)
    return Cover(style=style, shape=shape, grow=grow, picture=pixels)


def who_of(
    gallery: Path | None,
    rule: Literal["only", "except"],
    max_fmr: float | None,
    recognizer: Given,
    device: str,
) -> WhoRequest | None:
    """Whose faces stay visible, of what a user says.

    Raises:
        UserError: `max_fmr` is given without a gallery; or see `model_path`.
    """
    from ..apps.blur.who import WhoRequest
    from ..tasks.named import model_path

    if gallery is None:
        if max_fmr is not None:
            raise UserError(f"--max-fmr {max_fmr}: goes with --only or --except")
        return None
    return WhoRequest(
        gallery=gallery,
        rule=rule,
        recognizer=model_path(recognizer, device=device),
        max_fmr=max_fmr,
    )
