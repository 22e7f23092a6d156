#!/usr/bin/env bash
# Seen: 2026-11-29 with av 18.1.0, numpy 2.2.6, Python 3.11, Linux x86_64
# Expected: Frames written to MP4 with nanosecond stamps (time_base 1/1000000000, which MP4 can hold) come back with them.
# Happens: The steps between frames are exact, the start is not: the first stamp is cut down to whole milliseconds, since MP4
#   keeps it in units of the movie, 1/1000 s by default, and all frames of the file shift with it, here by 456,789 ns.
#   Frames with stamps below 0 are written and counted, and decoding leaves them out.
# Matters: Each camera's video starts at its own time, so each shifts by up to 1 ms of its own: stamps no longer match those
#   of poses and CameraInfo, and lookups by equal stamp find nothing.
# Do instead: Open the container with options={"movie_timescale": "1000000000"}, subtract the earliest stamp of all cameras
#   first so that none is below 0, and compare the stamps read back.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check av==18.1.0 numpy==2.2.6
"$folder/venv/bin/python" - <<'END'
import io
import logging
import sys
from fractions import Fraction

import av
import numpy as np

av.logging.set_level(av.logging.PANIC)
logging.disable(logging.CRITICAL)
NANOSECOND = Fraction(1, 1_000_000_000)
STEP_NS = 83_333_333


def through_mp4(stamps_ns: list[int], options: dict[str, str]) -> list[int]:
    """The stamps of these frames after encoding and decoding."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4", options=options) as container:
        stream = container.add_stream("libx264", rate=12)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.time_base = stream.codec_context.time_base = NANOSECOND
        for stamp_ns in stamps_ns:
            frame = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")
            frame.pts, frame.time_base = stamp_ns, NANOSECOND
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    file.seek(0)
    with av.open(file) as container:
        return [int(frame.pts * frame.time_base / NANOSECOND) for frame in container.decode(video=0)]


wrong = False
for name, start_ns, options, shift_ns, kept in (
    ("start 0", 0, {}, 0, 6),
    ("start of a drive", 1_600_000_000_123_456_789, {}, -456_789, 6),
    ("with movie_timescale", 1_600_000_000_123_456_789, {"movie_timescale": "1000000000"}, 0, 6),
    ("two frames before 0", -2 * STEP_NS, {}, 0, 4),
):
    stamps = [start_ns + place * STEP_NS for place in range(6)]
    back = through_mp4(stamps, options)
    shifts = {now - before for now, before in zip(back, stamps[-len(back) :], strict=True)}
    print(f"{name}: {len(back)} of 6 frames, shifted by {sorted(shifts)} ns")
    if len(back) != kept or shifts != {shift_ns}:
        print(f"changed: it was {kept} frames, all shifted by {shift_ns} ns")
        wrong = True
sys.exit(wrong)
END
echo "as described"
