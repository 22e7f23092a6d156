#!/usr/bin/env bash
# Seen: 2026-11-29 with ros-rclpy 9.1.2, fastrtps extra (Kilted, PyPI), Python 3.11, Linux x86_64
# Expected: With ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST a node can be reached from its own machine alone.
# Happens: The range limits what is looked for, not what is listened to: the multicast port of discovery stays closed, but the
#   unicast UDP ports are bound to 0.0.0.0, every address of the machine, as with SUBNET.
# Matters: Who knows or guesses a port can still send to the node. The range is often taken for protection.
# Do instead: Give Fast DDS a profile whose UDPv4 transport has an interfaceWhiteList of 127.0.0.1 alone (seen: then all ports
#   are bound to it), or close the ports by a firewall (from 7400 on, 250 a domain).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check 'ros-rclpy[fastrtps]==9.1.2'
for range in LOCALHOST SUBNET; do
    env -u PYTHONPATH -u ROS_LOCALHOST_ONLY AMENT_PREFIX_PATH="$folder/venv" ROS_AUTOMATIC_DISCOVERY_RANGE=$range ROS_DOMAIN_ID=95 \
        ROS_LOG_DIR="$folder" "$folder/venv/bin/python" - <<'END'
import os
import sys
from pathlib import Path

import rclpy

MULTICAST, FIRST_UNICAST = 7400 + 250 * 95, 7410 + 250 * 95
rclpy.init()
node = rclpy.create_node("listens")
links = [os.readlink(f"/proc/self/fd/{number}") for number in range(3, 256) if os.path.lexists(f"/proc/self/fd/{number}")]
own = {link.removeprefix("socket:[").rstrip("]") for link in links if link.startswith("socket:[")}
rows = [line.split() for line in Path("/proc/net/udp").read_text().splitlines()[1:]]
bound = {int(row[1].split(":")[1], 16): row[1].split(":")[0] for row in rows if row[9] in own}
everywhere = sorted(port for port, address in bound.items() if address == "00000000" and port >= FIRST_UNICAST)
named = os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"]
print(f"{named}: multicast port open: {MULTICAST in bound}; unicast ports on all addresses: {everywhere[:2]}")
node.destroy_node()
rclpy.shutdown()
if (MULTICAST in bound) != (named == "SUBNET") or not everywhere:
    print("changed: only SUBNET opened the multicast port, and both had unicast ports on all addresses")
    sys.exit(1)
END
done
echo "as described"
