#!/usr/bin/env bash
# Seen: 2026-11-29 with kapture 1.1.12, numpy-quaternion 2024.0.13, numba 0.68.1, numpy 2.2.6, Python 3.11, Linux x86_64
# Expected: extract_gnss_from_nmea gives one record for each position of an NMEA log, at the time that it says.
# Happens: The date comes from the RMC sentence before; receivers send GGA first. The position of midnight UTC is stamped a day
#   early, and the first one of a log is left out. The digits after the seconds are read as a count of milliseconds: 120000.2500
#   is 12:00:02.500. Sentences of talker GN (more than one satellite system, as in most receivers) give no record at all.
#   Nothing is raised.
# Matters: Midnight UTC is the afternoon in California and the morning in Japan. Records are sorted by time: the stray one
#   comes first, and the track begins a day and a jump too early. An empty track looks like a log without reception.
# Do instead: pynmea2, with the date of the RMC sentence of the same time of day.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check numpy==2.2.6 \
    numpy-quaternion==2024.0.13 numba==0.68.1 scipy==1.16.3 tqdm==4.67.1 PyYAML==6.0.3 pytz==2025.2
"$folder/venv/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check --no-deps kapture==1.1.12
env -u PYTHONPATH "$folder/venv/bin/python" - "$folder" <<'END'
import sys
from datetime import datetime, timezone
from pathlib import Path

from kapture.converter.nmea.import_nmea import extract_gnss_from_nmea

log = Path(sys.argv[1]) / "log.nmea"


def sentence(text):
    check = 0
    for character in text:
        check ^= ord(character)
    return f"${text}*{check:02X}\r\n"


def times(epochs, talker="GP"):
    """The times that kapture reads from a log with a GGA and an RMC sentence for each (time, date)."""
    log.write_text(
        "".join(
            sentence(f"{talker}GGA,{time},4900.0000,N,00824.0000,E,4,12,0.8,110.0,M,47.5,M,1.0,0000")
            + sentence(f"{talker}RMC,{time},A,4900.0000,N,00824.0000,E,20.0,90.0,{date},,,D")
            for time, date in epochs
        )
    )
    stamps = extract_gnss_from_nmea(str(log))[1].keys()
    return [datetime.fromtimestamp(ns / 1e9, timezone.utc).strftime("%m-%d %H:%M:%S.%f")[:-4] for ns in stamps]


night = [("235959.80", "281126"), ("235959.90", "281126"), ("000000.00", "291126"), ("000000.10", "291126")]
over_midnight = times(night)
of_all_systems = times(night, talker="GN")
four_digits = times([("120000.2000", "281126"), ("120000.2500", "281126")])
print("from 23:59:59.80 to 00:00:00.10:", over_midnight)
print("the same with talker GN:", of_all_systems)
print("120000.2000 and 120000.2500:", four_digits)
as_seen = (
    over_midnight == ["11-28 23:59:59.90", "11-28 00:00:00.00", "11-29 00:00:00.10"]
    and of_all_systems == []
    and four_digits == ["11-28 12:00:02.50"]
)
if not as_seen:
    print("changed: midnight was a day early, GN gave nothing, and .2500 was 2.5 s")
sys.exit(not as_seen)
END
echo "as described"
