"""Settings for tests that read and write videos."""

from __future__ import annotations

import os

# FFmpeg keeps the loudness of its first use in a process, which is a test's own.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
