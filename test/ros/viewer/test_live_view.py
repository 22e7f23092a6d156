"""`mapkd view live`: maps of a node with the very images that they were made of, read back from the file."""
from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2 (rclpy)")
pytest.importorskip("tf2_msgs.msg", reason="needs tf2_msgs: make setup")
pytest.importorskip("mapkd_ros.msg", reason="needs the built package: colcon build")
pytest.importorskip("rerun", reason="the viewer needs: pip install '.[view]'")
pytest.importorskip("rosbags", reason="the helpers write bags with rosbags")

import rclpy
from camera_bench import SIZE, CameraBench
from node_bench import Predictor, line
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rrd_files import logged
from street_bags import pose_message
from tf2_msgs.msg import TFMessage

from mapkd_core.geometry import transform_from_yaw
from mapkd_core.messages.classes import header_of
from mapkd_core.messages.vector_map import vector_map
from mapkd_core.types import CAMERAS
from mapkd_core.viewing.recording import new_recording
from mapkd_core.viewing.rerun_log import RerunLog
from mapkd_ros import qos
from mapkd_ros.msg import VectorMap
from mapkd_ros.sensor_messages import message_class
from mapkd_ros.viewer.live_view import LiveView

pytestmark = pytest.mark.ros
STEP_NS = 100_000_000


def sent_map(stamp_ns: int, stamps: dict[str, int], y_m: float, missing: tuple[str, ...] = ()) -> VectorMap:
    return vector_map(
        message_class, header_of(message_class, stamp_ns, "base_link"), [line(y_m)], [1], Predictor.card, stamps,
        {"network": 3.0 + y_m}, stamp_ns, missing,
    )  # fmt: skip


def test_each_map_stands_with_its_own_images_and_place(tmp_path: Path) -> None:
    context = rclpy.Context()
    context.init()
    bench = CameraBench(context)
    node = Node("viewer", context=context)
    recording = new_recording("test")
    recording.save(tmp_path / "a.rrd")
    view = LiveView(node, rig(), lambda grid: RerunLog(recording, grid))
    tf = bench.node.create_publisher(TFMessage, "/tf", qos.profile())
    maps = bench.node.create_publisher(VectorMap, "/student_node/vector_map", qos.profile())
    streets = bench.node.create_publisher(VectorMap, "/map_builder/local_map", qos.profile(depth=1, latched=True))
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    thread = threading.Thread(target=executor.spin, daemon=True)
    thread.start()
    try:
        senders = [*bench.images.values(), *bench.infos.values(), bench.tf_static, tf, maps, streets]
        assert bench.wait(lambda: all(sender.get_subscription_count() for sender in senders))
        bench.send_calibration()
        bench.send_mountings()
        assert bench.wait(lambda: all(given.model for given in view._inputs.values()))
        for k in range(3):
            stamp = bench.stamp_ns + k * STEP_NS
            tf.publish(pose_message(message_class, transform_from_yaw(2.0 * k, 0, 0), stamp))
            stamps = {name: stamp + place for place, name in enumerate(CAMERAS)}
            for name in CAMERAS:
                bench.images[name].publish(bench.makers[name](name, stamps[name]))
            assert bench.wait(lambda stamps=stamps: all(stamps[n] in view.live._images[n] for n in CAMERAS))
            if k == 2:  # this map was made without a camera
                del stamps[CAMERAS[1]]
            maps.publish(sent_map(stamp, stamps, float(k), CAMERAS[1:2] if k == 2 else ()))
            assert bench.wait(lambda k=k: view.moments == k + 1), view.live.faults
        street = sent_map(stamp, {"CAM_FRONT": stamp}, 5.0)
        street.header.frame_id = "map"
        streets.publish(street)
        assert bench.wait(lambda: view.log.streets)
    finally:
        executor.shutdown()
        thread.join(10)
        bench.close()
        context.shutdown()
    recording.flush()
    recording.disconnect()
    found = logged(tmp_path / "a.rrd")
    lines = found["drive/vehicle/predicted/divider"]
    assert [row["strips"][0][0][1] for row in lines] == [0, 1, 2]
    assert [row["scalars"][0] for row in found["latency/network"] if "scalars" in row] == [3, 4, 5]
    assert np.allclose([row["translation"][0][0] for row in found["drive/vehicle"]], [0, 2, 4], atol=1e-3)
    with_image = {name: [r["frame"] for r in found[f"drive/vehicle/{name}"] if "blob" in r] for name in CAMERAS}
    assert with_image == {name: [0, 1] if name == CAMERAS[1] else [0, 1, 2] for name in CAMERAS}
    (resolution, *_) = [r["resolution"][0] for r in found[f"drive/vehicle/{CAMERAS[0]}"] if "resolution" in r]
    assert resolution == list(SIZE)
    assert found["drive/street/divider"][0]["strips"][0][0][1] == 5


def rig():  # type: ignore[no-untyped-def]
    from mapkd_core.cameras.rig import regular_rig

    return regular_rig(CAMERAS)


def test_what_live_cannot_do_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from mapkd_core.commands.main import main

    assert main(["view", "live", "--lidar", "--save", str(tmp_path / "a.rrd")]) == 2
    assert "--lidar is not for live" in capsys.readouterr().err
    assert main(["view", "simdrive-v1:val:small:1", "--namespace", "ego", "--save", str(tmp_path / "a.rrd")]) == 2
    assert "belong to the source live" in capsys.readouterr().err
