#!/usr/bin/env bash
# Seen: 2026-11-29 with ros2_numpy 0.0.5, ros-sensor-msgs 5.5.1 (Kilted, PyPI), numpy 1.24.2, Python 3.11, Linux x86_64
# Expected: numpify of a PointCloud2 gives the field intensity as the sensor sent it; msgify of an array of points makes a
#   PointCloud2 that can be read again.
# Happens: The field's place in the list of fields is taken for its byte: the fourth field begins at byte 3, inside x, and two
#   bytes are read as uint16 whatever the field's type. Points at x = 1, 2, 3 m with intensities 10, 20, 30 give 63, 64, 64.
#   msgify of points without color and intensity announces point_step 0 and row_step 0, and numpify of it raises.
# Matters: Values between 0 and 255 look like intensities. A network that is fed them learns the distance instead, and works
#   nowhere else.
# Do instead: sensor_msgs_py.point_cloud2.read_points, which follows the fields' offsets and types.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    'ros-rclpy[fastrtps]==9.1.2' ros-geometry-msgs==5.5.1 ros-sensor-msgs==5.5.1 ros-nav-msgs==5.5.1 \
    ros2_numpy==0.0.5 transformations==2026.1.18 numpy==1.24.2
env -u PYTHONPATH AMENT_PREFIX_PATH="$folder/venv" "$folder/venv/bin/python" - <<'END'
import sys

import numpy as np
import ros2_numpy
from sensor_msgs.msg import PointCloud2, PointField

points = np.zeros(3, [("x", "f4"), ("y", "f4"), ("z", "f4"), ("intensity", "f4")])
points["x"] = [1, 2, 3]
points["intensity"] = [10, 20, 30]
cloud = PointCloud2(height=1, width=3, point_step=16, row_step=48, data=points.tobytes(), is_dense=True)
cloud.fields = [
    PointField(name=name, offset=4 * place, datatype=PointField.FLOAT32, count=1)
    for place, name in enumerate(points.dtype.names)
]
received = ros2_numpy.numpify(cloud)
print("intensities sent", points["intensity"].tolist(), "read", received["intensity"].ravel().tolist())
of_x = np.ascontiguousarray(points["x"]).view(np.uint8).reshape(3, 4)[:, 3]
made = ros2_numpy.msgify(PointCloud2, {"xyz": np.ones((3, 3))})
print(f"msgify of three points: point_step {made.point_step}, row_step {made.row_step}, {len(made.data)} bytes")
try:
    ros2_numpy.numpify(made)
    raised = False
except ValueError as error:
    print("numpify of that message:", error)
    raised = True
as_seen = (
    np.allclose(received["xyz"][:, 0], points["x"])
    and np.array_equal(received["intensity"].ravel() & 255, of_x)
    and (made.point_step, raised) == (0, True)
)
if not as_seen:
    print("changed: intensity was read at byte 3, and point_step stayed 0")
sys.exit(not as_seen)
END
echo "as described"
