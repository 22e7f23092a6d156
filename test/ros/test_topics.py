"""The table of topics, from which the documentation is made, says what the nodes really subscribe to and publish."""
from __future__ import annotations

from collections.abc import Iterable

import pytest
from invented_frames import frame

from mapkd_core.bags.drive_stream import DriveStream
from mapkd_core.cameras.topics import IMAGE_TRANSPORTS, image_topic
from mapkd_core.types import CAMERAS
from mapkd_ros.recorder import recorder_parameters
from mapkd_ros.topics import NODES, PLAYER_OUTPUTS, STUDENT_INPUTS, STUDENT_OUTPUTS, Topic


def named(topics: Iterable[Topic], prefix: str = "") -> dict[str, str]:
    """Full name -> type, for the six cameras and for a node that is called student_node."""
    found = {}
    for topic in topics:
        name = topic.name.replace("~", "student_node")
        whole = name if name.startswith("/") else prefix + name
        found |= {whole.replace("<name>", camera.lower()): topic.msg_type for camera in CAMERAS}
    return found


def test_each_topic_has_one_sentence():
    assert set(NODES) == {"student_node", "nuscenes_player", "map_builder"}
    for inputs, outputs in NODES.values():
        for topic in (*inputs, *outputs):
            assert topic.description and not topic.description.endswith("."), topic.name


def test_the_player_publishes_the_topics_of_the_table():
    found = {"/clock": "rosgraph_msgs/msg/Clock"}
    for transport in IMAGE_TRANSPORTS:
        found |= {topic.name: topic.msg_type for topic in DriveStream([frame(0)], transport).topics}
    assert found == named(PLAYER_OUTPUTS)


def test_the_recorder_records_what_the_two_nodes_publish():
    topics = recorder_parameters.topics
    recorded = topics("compressed", "student_node") | topics("raw", "student_node")
    published = named([*PLAYER_OUTPUTS, *STUDENT_OUTPUTS])
    made_on_demand = ("/clock", "student_node/occupancy_grid")
    assert recorded == {k: v for k, v in published.items() if k not in made_on_demand and "overlay" not in k}


ROS_OWN = ("/rosout", "/parameter_events", "/student_node/transition_event")


@pytest.mark.ros
@pytest.mark.parametrize("transport", IMAGE_TRANSPORTS)
def test_the_node_has_the_topics_of_the_table(private_domain, transport):
    pytest.importorskip("rclpy", reason="needs ROS 2 (rclpy)")
    pytest.importorskip("tf2_msgs.msg", reason="needs tf2_msgs: make setup")
    pytest.importorskip("mapkd_ros.msg", reason="needs the built package: colcon build")
    pytest.importorskip("nav_msgs.msg", reason="needs nav_msgs: make setup")
    from node_bench import setups

    with setups() as make:
        one = make(image_transport=transport, occupancy_grid=True)
        ask = one.node.get_publisher_names_and_types_by_node
        assert one.bench.wait(lambda: len(ask("student_node", "/")) >= len(named(STUDENT_OUTPUTS)))  # the graph is slow
        published = dict(ask("student_node", "/"))
        subscribed = dict(one.node.get_subscriber_names_and_types_by_node("student_node", "/"))
    own = {name: types for name, types in published.items() if name not in ROS_OWN}
    assert own == {name: [msg_type] for name, msg_type in named(STUDENT_OUTPUTS, "/").items()}
    wanted = {name: [msg_type] for name, msg_type in named(STUDENT_INPUTS, "/").items()}
    images = {f"/{image_topic(camera, transport)}" for camera in CAMERAS}
    others = {name for name in wanted if "image_raw" in name} - images
    assert {name: types for name, types in subscribed.items() if name != "/parameter_events"} == {
        name: types for name, types in wanted.items() if name not in others
    }
