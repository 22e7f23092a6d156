"""The vector map node, and on demand a player for recorded or simulated data, RViz and Foxglove's bridge.

    ros2 launch mapkd_ros student.launch.py
    ros2 launch mapkd_ros student.launch.py play:=/data/nuscenes version:=v1.0-trainval scene:=scene-0001 rviz:=true
    ros2 launch mapkd_ros student.launch.py play:=drive.mcap map:=true map_file:=drive.streetmap  # saved every minute
    ros2 launch mapkd_ros student.launch.py namespace:=ego image_transport:=raw large_data:=true device:=cuda

`ros2 launch mapkd_ros student.launch.py --show-args` explains the arguments; mapkd_ros/launch_arguments.py has them.
"""
from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from ament_index_python.packages import PackageNotFoundError, get_package_share_directory
from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity
from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    LogInfo,
    OpaqueFunction,
    RegisterEventHandler,
    SetEnvironmentVariable,
)
from launch.event_handlers import OnProcessExit
from launch.events import Shutdown
from launch.events.process import ProcessExited
from launch.logging import get_logger
from launch_ros.actions import Node

from mapkd_ros import large_data
from mapkd_ros.launch_arguments import ARGUMENTS, NODE, Launch, check_given, launch_of
from mapkd_ros.views.__main__ import FOXGLOVE, RVIZ, write_views
from mapkd_ros.views.shown import shown

SHARE = Path(get_package_share_directory("mapkd_ros"))


def actions(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """What the arguments ask for."""
    if any(Path(word).name == Path(__file__).name for word in sys.argv):  # not from within another launch file
        check_given(context.argv)
    given = context.launch_configurations
    launch = launch_of(given, SHARE / "config" / "student_node.yaml", get_logger("student.launch").warning)
    found: list[LaunchDescriptionEntity] = []
    if given["large_data"] == "true":
        settings = large_data.environment(SHARE, os.environ.get("ROS_DISTRO", ""))
        found += [SetEnvironmentVariable(*pair) for pair in settings.items()]
    student = _node(launch, NODE, [str(launch.params_file), dict(launch.student)])
    found.append(student)
    # A launch whose node is gone would look alive and publish nothing.
    found.append(_shutdown_after(student, f"{NODE} ended"))
    if launch.player is not None:
        player = _node(launch, "nuscenes_player", [dict(launch.player)])
        found += [player, _shutdown_after(player, "nuscenes_player ended")]
    if launch.builder is not None:
        builder = _node(launch, "map_builder", [dict(launch.builder)])
        found += [builder, _shutdown_after(builder, "map_builder ended")]
    if "true" in (given["rviz"], given["foxglove"]):
        found += _views(launch, given["rviz"] == "true", given["foxglove"] == "true")
    return found


def _node(launch: Launch, name: str, parameters: list) -> Node:
    return Node(
        package="mapkd_ros",
        executable=name,
        name=name,
        namespace=launch.namespace,
        parameters=parameters,
        output="screen",
    )


def _views(launch: Launch, rviz: bool, foxglove: bool) -> list[LaunchDescriptionEntity]:
    """RViz and Foxglove's bridge, with files for the topics and frames of this launch."""
    folder = Path(tempfile.mkdtemp(prefix="mapkd_views_"))
    write_views(shown(launch.rig, launch.namespace, launch.base_frame, NODE), folder)
    time = [{"use_sim_time": launch.use_sim_time}]
    found: list[LaunchDescriptionEntity] = []
    if rviz:
        _installed("rviz2", "rviz:=true", "or use Foxglove")
        found.append(Node(package="rviz2", executable="rviz2", arguments=["-d", str(folder / RVIZ)], parameters=time))
    if foxglove:
        _installed("foxglove_bridge", "foxglove:=true", "or open a recording with config/foxglove_layout.json")
        found.append(Node(package="foxglove_bridge", executable="foxglove_bridge", parameters=time))
        found.append(LogInfo(msg=f"Foxglove: connect to ws://localhost:8765 and import {folder / FOXGLOVE}"))
    return found


def _installed(package: str, argument: str, otherwise: str) -> None:
    try:
        get_package_share_directory(package)
    except PackageNotFoundError as error:
        apt = f"apt install ros-$ROS_DISTRO-{package.replace('_', '-')}"
        raise RuntimeError(f"{argument} needs {package}: {apt}, {otherwise}") from error


def _shutdown_after(node: Node, reason: str) -> RegisterEventHandler:
    def on_exit(event: ProcessExited, context: LaunchContext) -> list[LaunchDescriptionEntity]:
        if event.returncode and not context.is_shutdown:
            # The one way to give `ros2 launch` itself an exit code that is not 0.
            raise RuntimeError(f"{reason} with exit code {event.returncode}; its last lines above say why")
        return [EmitEvent(event=Shutdown(reason=reason))]

    return RegisterEventHandler(OnProcessExit(target_action=node, on_exit=on_exit))


def generate_launch_description() -> LaunchDescription:
    """Called by ros2 launch."""
    declared = [
        DeclareLaunchArgument(
            argument.name,
            default_value=argument.default,
            description=argument.description,
            choices=list(argument.choices) or None,
        )
        for argument in ARGUMENTS
    ]
    return LaunchDescription([*declared, OpaqueFunction(function=actions)])
