"""Write a photo's file from its pixels alone: what was not asked for cannot be in it."""

from __future__ import annotations

import io
import zlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from ...errors import ImageError
from .gif_colours import with_palette
from .photo_bmp import bmp_with_alpha
from .photo_file import Frame, PhotoFile, turned_back
from .photo_metadata import with_orientation
from .photo_tiff import with_page_settings
from .png_chunks import with_chunks

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage


def photo_bytes(photo: PhotoFile, *, source: str) -> bytes:
    """The file of a photo.

    Raises:
        ImageError: Its format has no place for its pixels or tags, or is not written.
    """
    settings = dict(photo.settings)
    if photo.orientation > 1:
        (frame,) = photo.frames
        frame = Frame(turned_back(frame.colours, photo.orientation))
        exif = with_orientation(photo.exif, photo.orientation)
        photo = replace(photo, frames=[frame], exif=exif)
    if photo.exif:
        if photo.kind in ("GIF", "BMP", "PPM") or _is_deep(photo):
            what = f"{photo.kind} of 16 bits" if _is_deep(photo) else photo.kind
            raise ImageError(f"{source}: --keep-metadata: a {what} is written without any")
        settings["exif"] = photo.exif
        if photo.kind == "TIFF":
            settings["compression"] = "raw"  # libtiff, which compresses, takes no such tags
    if photo.kind == "BMP":
        (frame,) = photo.frames
        if frame.alpha is not None:
            return bmp_with_alpha(np.dstack([frame.colours, frame.alpha]), settings.get("dpi"))
    content = _deep(photo) if _is_deep(photo) else _by_pillow(photo, settings, source)
    return with_chunks(content, photo.chunks) if photo.kind == "PNG" else content


def _is_deep(photo: PhotoFile) -> bool:
    return photo.frames[0].colours.dtype == np.uint16


def _by_pillow(photo: PhotoFile, settings: dict[str, Any], source: str) -> bytes:
    first, *more = photo.frames
    lasting = [0 if one.lasts is None else one.lasts for one in photo.frames]
    if more:
        settings |= {"save_all": True, "append_images": [_image_of(one) for one in more]}
        if photo.kind == "PNG" and settings.get("default_image"):
            lasting = lasting[1:]
        if photo.kind != "TIFF":
            settings["duration"] = lasting
    if photo.kind == "GIF":
        images = with_palette(photo.frames)
        settings["disposal"] = 2 if any(one.alpha is not None for one in photo.frames) else 1
        first_image, settings["append_images"] = images[0], images[1:]
    else:
        first_image = _image_of(first)
    target = io.BytesIO()
    try:
        first_image.save(target, format=photo.kind, **settings)
    except MemoryError:
        raise
    except Exception as error:  # nearly any, as Pillow's encoders raise what they like
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ImageError(f"{source}: cannot be written as {photo.kind}: {reason}") from error
    return target.getvalue()


def _image_of(frame: Frame) -> PILImage:
    from PIL import Image

    colours = frame.colours
    mode = None
    if colours.ndim == 3 and colours.shape[2] == 4:
        mode = "CMYK"
    elif colours.ndim == 3:
        colours = cv2.cvtColor(colours, cv2.COLOR_BGR2RGB)
    if frame.alpha is not None:
        colours = np.dstack([colours, frame.alpha])
    image = Image.fromarray(colours, mode)
    if frame.settings:  # which go before those of all pages
        image.encoderinfo = dict(frame.settings)
    return image


def _deep(photo: PhotoFile) -> bytes:
    (frame,) = photo.frames
    pixels = frame.colours if frame.alpha is None else np.dstack([frame.colours, frame.alpha])
    profile = photo.settings.get("icc_profile")
    if photo.kind == "PNG":
        content = cv2.imencode(".png", pixels)[1].tobytes()
        # PNG 3rd edition, section 11.3.2.3: a name, and how it is compressed.
        named = b"ICC profile\0\0" + zlib.compress(profile or b"")
        return with_chunks(content, [(b"iCCP", named)] if profile else [])
    how = [cv2.IMWRITE_TIFF_COMPRESSION, cv2.IMWRITE_TIFF_COMPRESSION_ADOBE_DEFLATE]
    content = cv2.imencode(".tiff", pixels, how)[1].tobytes()
    return with_page_settings(content, frame.settings)
