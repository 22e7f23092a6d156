"""Fast DDS under config/fastdds_localhost.xml: processes of this machine meet, and no UDP port is open to others."""
from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.ros
TALK = """
import os, sys, time
from pathlib import Path
import rclpy
from std_msgs.msg import String
rclpy.init()
node, taken = rclpy.create_node(sys.argv[1]), []
sender = node.create_publisher(String, sys.argv[1], 10)
node.create_subscription(String, sys.argv[2], taken.append, 10)
until = time.monotonic() + 20
while not taken and time.monotonic() < until:
    sender.publish(String(data="x"))
    rclpy.spin_once(node, timeout_sec=0.05)
for _ in range(20):  # the other one has it too
    sender.publish(String(data="x"))
    time.sleep(0.02)
links = [os.readlink(f"/proc/self/fd/{n}") for n in range(3, 256) if os.path.lexists(f"/proc/self/fd/{n}")]
own = {link.removeprefix("socket:[").rstrip("]") for link in links if link.startswith("socket:[")}
rows = [line.split() for line in Path("/proc/net/udp").read_text().splitlines()[1:]]
print(len(taken) > 0, *sorted({bytes.fromhex(row[1].split(":")[0])[::-1].hex(".") for row in rows if row[9] in own}))
"""
LOOPBACK = {"7f.00.00.01", "ef.ff.00.01"}
"""127.0.0.1, and the group of DDS's discovery, which is joined on the loopback interface alone."""


@pytest.mark.parametrize("profile", [True, False], ids=["with the profile", "without it"])
def test_processes_meet_and_only_the_profile_closes_the_ports(root: Path, private_domain, profile: bool) -> None:
    pytest.importorskip("rclpy", reason="needs ROS 2 (rclpy)")
    if not sys.platform.startswith("linux") or "fastrtps" not in os.environ.get("RMW_IMPLEMENTATION", "fastrtps"):
        pytest.skip("the ports of Fast DDS are read from /proc")
    environment = {k: v for k, v in os.environ.items() if "PROFILES_FILE" not in k and k != "ROS_LOCALHOST_ONLY"}
    environment["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "SUBNET"
    if profile:
        distribution = environment.get("ROS_DISTRO") or environment.get("ROS")  # the latter with wheels
        name = "FASTRTPS" if distribution in ("humble", "jazzy") else "FASTDDS"
        environment[f"{name}_DEFAULT_PROFILES_FILE"] = str(root / "config" / "fastdds_localhost.xml")
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    commands = [[sys.executable, "-c", TALK, *pair] for pair in (("one", "other"), ("other", "one"))]
    processes = [subprocess.Popen(command, env=environment, **pipes) for command in commands]
    for process in processes:
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        met, *addresses = out.split()
        assert met == "True", "the processes did not meet"
        assert "XMLPARSER" not in out + err
        assert addresses and (set(addresses) <= LOOPBACK) == profile, addresses
