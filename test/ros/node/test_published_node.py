"""student_node as a process of its own with networks of the kind that `mapkd import` makes, bound to a rig."""
import pytest
import torch

pytest.importorskip("rclpy", reason="needs ROS 2 (rclpy)")
pytest.importorskip("tf2_msgs.msg", reason="needs tf2_msgs: make setup")
pytest.importorskip("mapkd_ros.msg", reason="needs the built package: colcon build")

import rclpy
from camera_bench import CameraBench

from mapkd_core.artifact import ModelCard, save_artifact
from mapkd_core.grid import BevGrid
from mapkd_core.model.build import build_model
from mapkd_core.types import CAMERAS
from mapkd_ros.child_process import ChildProcess, node_executable

pytestmark = [pytest.mark.ros, pytest.mark.slow]

GRID, SIZE = BevGrid((-12.0, 12.0), (-6.0, 6.0), 0.3), (96, 64)
NETWORKS = {
    "hdmapnet": {"camera_channels": 8, "view_hidden": 16, "bev_width": 8, "published": True},
    "vector_student": {"width": 32, "hidden": 16, "bev_cell_m": 1.5, "vectors": 6, "points": 4, "sampling_heads": 4,
                       "layers": 1, "published": True},
}  # fmt: skip


@pytest.mark.parametrize("model", NETWORKS)
def test_an_imported_network_makes_maps_and_other_cameras_are_refused(model, tmp_path, private_domain):
    torch.manual_seed(0)
    options = NETWORKS[model]
    network = build_model(model, GRID, SIZE, options)
    weights = tmp_path / "imported.json"
    least_score = 0.0 if model == "vector_student" else None
    card = ModelCard("imported", "1", model, options, GRID, SIZE, least_score=least_score)
    save_artifact(weights, card, network.state_dict())
    command = [node_executable("student_node"), "--ros-args", "-p", f"weights:={weights}", "-p", "device:=cpu",
               "-p", "threads:=1", "-p", "diagnostics_period:=0.2"]  # fmt: skip
    context = rclpy.Context()
    with ChildProcess("student_node", command, {"OMP_NUM_THREADS": "1"}) as node:
        rclpy.init(context=context)
        bench = CameraBench(context)
        try:
            bench.listen()
            senders = [*bench.images.values(), *bench.infos.values()]
            assert bench.wait(lambda: all(sender.get_subscription_count() for sender in senders), 120), node.output
            bench.send_calibration()
            bench.send_mountings()
            stamps = [bench.send_set()]
            assert bench.wait(lambda: bench.status, 120), node.output
            stamps.append(bench.send_set())
            assert bench.wait(lambda: any(bench.mapped(stamp) for stamp in stamps), 120), bench.values()
            message = bench.maps[-1]
            assert message.model_name == "imported" and message.camera_names == list(CAMERAS)
            assert model == "hdmapnet" or len(message.elements) == 18
        finally:
            bench.close()
            rclpy.shutdown(context=context)
    others = [*command, "-p", "cameras:=[front, rear]"]
    with ChildProcess("student_node", others, {"OMP_NUM_THREADS": "1"}) as node:
        node.wait_for("imported belongs to the cameras CAM_FRONT_LEFT", 120)
        assert node.wait(120) == 2, node.output
