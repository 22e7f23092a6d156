#!/usr/bin/env bash
# Seen: 2026-11-29 with ros-rclpy 9.1.2, fastrtps extra (Kilted, PyPI), Python 3.11, Linux x86_64
# Expected: SROS 2, a part of every ROS 2 distribution, can be switched on with ROS_SECURITY_ENABLE as in the Debian packages.
# Happens: Fast DDS in the wheels is built without its security library. No node can be made: RCLError, "This Fast DDS version
#   doesn't have the security libraries", with the strategies Enforce and Permissive alike, once the keystore has an enclave.
#   Permissive with an empty path for a keystore runs in the open.
# Matters: A robot that takes its ROS 2 from PyPI cannot authenticate or encrypt its topics; whoever tests only that the
#   variables are set does not notice while the keystore is empty.
# Do instead: Use a ROS 2 installation that has it, or keep DDS on a network of its own behind a firewall. Test with Enforce.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check 'ros-rclpy[fastrtps]==9.1.2'
mkdir -p "$folder/keystore/enclaves"
env -u PYTHONPATH AMENT_PREFIX_PATH="$folder/venv" ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST ROS_DOMAIN_ID=94 ROS_LOG_DIR="$folder" \
    ROS_SECURITY_ENABLE=true ROS_SECURITY_KEYSTORE="$folder/keystore" "$folder/venv/bin/python" - <<'END'
import os
import sys

import rclpy

wrong = False
for strategy in ("Enforce", "Permissive"):
    os.environ["ROS_SECURITY_STRATEGY"] = strategy
    rclpy.init()
    try:
        rclpy.create_node("asks_for_security").destroy_node()
        answer = "a node was made"
    except Exception as error:  # rclpy's RCLError, which has no public name
        answer = str(error).splitlines()[0]
    rclpy.shutdown()
    print(f"{strategy}: {answer}")
    wrong |= "doesn't have the security libraries" not in answer
if wrong:
    print("changed: both strategies were refused for want of the security libraries")
sys.exit(wrong)
END
echo "as described"
