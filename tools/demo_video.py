"""Make a video of a photo: two seconds in which it moves, with a tone, for `make demo`.

python tools/demo_video.py photo.png video.mp4
"""

from __future__ import annotations

import sys
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from pocketface.data.images import read_image

RATE, SECONDS, SIDE = 25, 2, 480
SOUND_RATE, TONE = 48_000, 440
SAMPLES = 1024


def main(photo: Path, video: Path) -> None:
    """Write the video."""
    image = read_image(photo)
    scale = SIDE / min(image.shape[:2])
    with av.open(str(video), "w") as container:
        pictures = container.add_stream("libx264", rate=RATE)
        pictures.width = pictures.height = SIDE
        pictures.pix_fmt = "yuv420p"
        sound = container.add_stream("aac", rate=SOUND_RATE, layout="mono")
        for number in range(RATE * SECONDS):
            turn = 2 * np.pi * number / (RATE * SECONDS)
            zoom = scale * (1.2 - 0.2 * np.cos(turn))
            shift = np.sin(turn)
            moved = np.array([[zoom, 0, -40 * shift], [0, zoom, -30 * shift]], np.float32)
            pixels = cv2.warpAffine(image, moved, (SIDE, SIDE), borderMode=cv2.BORDER_REPLICATE)
            frame = av.VideoFrame.from_ndarray(np.asarray(pixels, np.uint8), format="bgr24")
            container.mux(pictures.encode(frame))
        for start in range(0, SOUND_RATE * SECONDS, SAMPLES):
            times = np.arange(start, start + SAMPLES) / SOUND_RATE
            wave = (0.1 * np.sin(2 * np.pi * TONE * times)).astype(np.float32)
            heard = av.AudioFrame.from_ndarray(wave[None], format="fltp", layout="mono")
            heard.sample_rate, heard.pts = SOUND_RATE, start
            heard.time_base = Fraction(1, SOUND_RATE)
            container.mux(sound.encode(heard))
        for stream in (pictures, sound):
            container.mux(stream.encode(None))


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] in ("-h", "--help"):
        print(f"usage: demo_video.py PHOTO VIDEO\n{__doc__}")
        sys.exit(0 if sys.argv[1:] in (["-h"], ["--help"]) else 2)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
