#!/usr/bin/env bash
# Seen: 2026-11-29 with mcap 1.6.0, mcap-ros2-support 0.6.0, rosbags 0.11.9, Python 3.11, Linux x86_64
# Expected: A recording that was never finished (power cut, killed recorder) is read up to the cut, as the format intends;
#   failing that, the error says that the end is missing.
# Happens: make_reader takes the seeking reader for every file: no message, and an error about an "unknown record" whose
#   length is whatever the last bytes spell; mcap_ros2's read_ros2_messages goes the same way with any option. rosbags
#   refuses the file. NonSeekingReader gives none either, since it sorts by log time before it yields, until told
#   log_time_order=False: then all whole chunks come, and EndOfFile after them. A pipe works where the file does not.
# Matters: Drives end by switching the vehicle off. The messages are there, yet four of five ways report a broken file.
# Do instead: NonSeekingReader(file).iter_messages(log_time_order=False), keep what came before EndOfFile or struct.error,
#   sort it yourself; or let the `mcap recover` tool rewrite the file.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    mcap==1.6.0 mcap-ros2-support==0.6.0 rosbags==0.11.9
FOLDER=$folder "$folder/venv/bin/python" - <<'END'
import io
import os
import struct
import sys
from pathlib import Path

from mcap.exceptions import McapError
from mcap.reader import NonSeekingReader, make_reader
from mcap_ros2.reader import read_ros2_messages
from mcap_ros2.writer import Writer
from rosbags.highlevel import AnyReader, AnyReaderError

MESSAGES = 20
recording = io.BytesIO()
writer = Writer(recording, chunk_size=200)
schema = writer.register_msgdef("std_msgs/msg/String", "string data")
for stamp_ns in range(MESSAGES):
    writer.write_message("/lane_status", schema, {"data": "x" * 40}, log_time=stamp_ns)
path = Path(os.environ["FOLDER"], "cut.mcap")
path.write_bytes(recording.getvalue())

READERS = {
    "make_reader": lambda file: make_reader(file).iter_messages(),
    "make_reader, file order": lambda file: make_reader(file).iter_messages(log_time_order=False),
    "read_ros2_messages, file order": lambda file: read_ros2_messages(file, log_time_order=False),
    "NonSeekingReader": lambda file: NonSeekingReader(file).iter_messages(),
    "NonSeekingReader, file order": lambda file: NonSeekingReader(file).iter_messages(log_time_order=False),
}
counts, wrong = {}, False
for name, read in READERS.items():
    counts[name] = 0
    error = "no error"
    with path.open("rb") as file:
        try:
            for _ in read(file):
                counts[name] += 1
        except (McapError, struct.error) as failure:
            error = f"{type(failure).__name__} {str(failure)[:60]}"
    print(f"{name}: {counts[name]} of {MESSAGES} messages, then {error}")
    wrong |= error == "no error"
try:
    with AnyReader([path]) as reader:
        print(f"rosbags: {reader.message_count} messages")
        wrong = True
except AnyReaderError as failure:
    print(f"rosbags: {failure}")
if wrong or counts != {name: MESSAGES * (name == "NonSeekingReader, file order") for name in READERS}:
    print("changed: only NonSeekingReader in file order gave the messages, and each reader ended in an error")
    sys.exit(1)
END
echo "as described"
