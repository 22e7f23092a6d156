"""The vector map node, and on demand a player for recorded or simulated data and RViz.

    ros2 launch mapkd_ros student.launch.py
    ros2 launch mapkd_ros student.launch.py play:=/data/nuscenes rviz:=true
    ros2 launch mapkd_ros student.launch.py namespace:=ego image_transport:=raw large_data:=true device:=cuda

`ros2 launch mapkd_ros student.launch.py --show-args` explains the arguments.
"""
from __future__ import annotations

import re
import tempfile
from pathlib import Path

from ament_index_python.packages import PackageNotFoundError, get_package_share_directory
from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity
from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    OpaqueFunction,
    RegisterEventHandler,
    SetEnvironmentVariable,
)
from launch.event_handlers import OnProcessExit
from launch.events import Shutdown
from launch.events.process import ProcessExited
from launch.logging import get_logger
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from mapkd_core.cameras.topics import FORMER_TRANSPORTS, IMAGE_TRANSPORTS, image_topic
from mapkd_core.types import CAMERAS
from mapkd_ros import large_data
from mapkd_ros.parameters import Parameter, with_new_names

SHARE = Path(get_package_share_directory("mapkd_ros"))

ARGUMENTS = (
    DeclareLaunchArgument(
        "play", default_value="", description="nuScenes folder or rosbag2 to play; empty: listen to live cameras"
    ),
    DeclareLaunchArgument("rviz", default_value="false", choices=["true", "false"], description="open RViz"),
    DeclareLaunchArgument(
        "weights", default_value="", description="nano, small, base or a .safetensors file; empty: as params_file says"
    ),
    DeclareLaunchArgument(
        "device", default_value="", choices=["", "auto", "cuda", "cpu"], description="empty: as params_file says"
    ),
    DeclareLaunchArgument(
        "namespace", default_value="", description="put before camera/..., lidar_top/... and student_node/..."
    ),
    DeclareLaunchArgument(
        "image_transport",
        default_value="compressed",
        choices=list(IMAGE_TRANSPORTS),
        description="image_raw/compressed or image_raw",
    ),
    DeclareLaunchArgument(
        "large_data",
        default_value="false",
        choices=["true", "false"],
        description="Fast DDS with a shared-memory segment that raw images fit into",
    ),
    DeclareLaunchArgument(
        "params_file",
        default_value=str(SHARE / "config" / "student_node.yaml"),
        description="YAML with student_node's parameters",
    ),
    DeclareLaunchArgument("loop", default_value="true", choices=["true", "false"], description="play again and again"),
    DeclareLaunchArgument("rate", default_value="1.0", description="speed of playing"),
    DeclareLaunchArgument(
        "hold", default_value="0.0", description="seconds for which a scene of a single keyframe is repeated"
    ),
)


def actions(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """What the arguments ask for."""
    given = {argument.name: LaunchConfiguration(argument.name).perform(context) for argument in ARGUMENTS}
    given["image_transport"] = _image_transport(context, given["image_transport"])
    found: list[LaunchDescriptionEntity] = []
    if given["large_data"] == "true":
        found += [SetEnvironmentVariable(*pair) for pair in large_data.environment(SHARE).items()]
    chosen = {name: given[name] for name in ("weights", "device") if given[name]}
    student = Node(
        package="mapkd_ros",
        executable="student_node",
        name="student_node",
        namespace=given["namespace"],
        parameters=[
            given["params_file"],
            {"image_transport": given["image_transport"], **chosen},
        ],
        output="screen",
    )
    found.append(student)
    # A launch whose node is gone would look alive and publish nothing.
    found.append(_shutdown_after(student, "student_node ended"))
    if given["play"]:
        player = Node(
            package="mapkd_ros",
            executable="nuscenes_player",
            name="nuscenes_player",
            namespace=given["namespace"],
            parameters=[_player_parameters(given)],
            output="screen",
        )
        found += [player, _shutdown_after(player, "nuscenes_player ended")]
    if given["rviz"] == "true":
        found.append(_rviz(given["namespace"], given["image_transport"]))
    return found


def _image_transport(context: LaunchContext, chosen: str) -> str:
    """The transport that is asked for, also by the argument's old name, `transport:=`."""
    old = context.launch_configurations.get("transport")
    if old is None:
        return chosen
    row = Parameter("image_transport", "compressed", "name of the argument now", None, IMAGE_TRANSPORTS,
                    former_name="transport", former_words=FORMER_TRANSPORTS)  # fmt: skip
    values = with_new_names({"transport": old}, [row], get_logger("student.launch").warning)
    return str(row.checked(values["image_transport"]))


def _player_parameters(given: dict[str, str]) -> dict[str, str | bool | float]:
    """A folder or a bag: the player looks which it is; some parameters have no meaning for a bag."""
    parameters: dict[str, str | bool | float] = {
        "dataroot": given["play"],
        "loop": given["loop"] == "true",
        "rate": float(given["rate"]),
        "stamps": "now",  # RViz and others drop transforms of years ago
        "wait_for_subscribers": 60.0,
    }
    if given["image_transport"] != IMAGE_TRANSPORTS[0]:  # a bag's player knows no other than the bag's own
        parameters["image_transport"] = given["image_transport"]
    if float(given["hold"]):
        parameters["hold"] = float(given["hold"])
    return parameters


def rviz_config(text: str, namespace: str, image_transport: str) -> str:
    """The text of config/mapkd.rviz, which shows compressed images, with the topics of this launch."""
    for camera in CAMERAS:
        text = text.replace(f"/{image_topic(camera, 'compressed')}", f"/{image_topic(camera, image_transport)}")
    prefix = f"/{namespace.strip('/')}" if namespace.strip("/") else ""
    return re.sub(r"Value: /(?=camera/|lidar_top/|student_node/)", f"Value: {prefix}/", text)


def _rviz(namespace: str, image_transport: str) -> Node:
    try:
        get_package_share_directory("rviz2")
    except PackageNotFoundError as error:
        raise RuntimeError("rviz:=true needs rviz2: apt install ros-$ROS_DISTRO-rviz2, or use Foxglove") from error
    config = Path(tempfile.mkdtemp(prefix="mapkd_"), "mapkd.rviz")
    config.write_text(rviz_config((SHARE / "config" / "mapkd.rviz").read_text(), namespace, image_transport))
    return Node(package="rviz2", executable="rviz2", arguments=["-d", str(config)])


def _shutdown_after(node: Node, reason: str) -> RegisterEventHandler:
    def on_exit(event: ProcessExited, context: LaunchContext) -> list[LaunchDescriptionEntity]:
        if event.returncode and not context.is_shutdown:
            # The one way to give `ros2 launch` itself an exit code that is not 0.
            raise RuntimeError(f"{reason} with exit code {event.returncode}; its last lines above say why")
        return [EmitEvent(event=Shutdown(reason=reason))]

    return RegisterEventHandler(OnProcessExit(target_action=node, on_exit=on_exit))


def generate_launch_description() -> LaunchDescription:
    """Called by ros2 launch."""
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=actions)])
