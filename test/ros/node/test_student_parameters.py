"""The parameter table and the YAML file that explains it to users say the same."""
from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from mapkd_core.cameras.synchronizer import WINDOW_NS
from mapkd_ros.node.student_parameters import PARAMETERS
from mapkd_ros.parameters import help_text

YAML = Path(__file__).parents[3] / "config" / "student_node.yaml"


def shipped() -> dict:
    (section,) = yaml.safe_load(YAML.read_text()).values()
    return section["ros__parameters"]


def test_the_yaml_lists_every_parameter_with_its_default_in_the_tables_order():
    assert list(shipped()) == [row.name for row in PARAMETERS]
    for row in PARAMETERS:
        value = shipped()[row.name]
        assert value == row.default and type(value) is type(row.default), row.name
        assert row.checked(value) == row.default


def test_the_yaml_explains_every_parameter_above_it():
    lines = [line.strip() for line in YAML.read_text().splitlines()]
    for row in PARAMETERS:
        (at,) = [i for i, line in enumerate(lines) if line.startswith(f"{row.name}:")]
        assert lines[at - 1].startswith("# ") and not lines[at - 1].startswith("# ---"), row.name


def test_the_yaml_applies_to_the_node_under_any_name_and_namespace():
    assert list(yaml.safe_load(YAML.read_text())) == ["/**"]


def test_defaults_lie_in_their_ranges_and_help_lists_them_all():
    text = help_text("Purpose.", PARAMETERS)
    for row in PARAMETERS:
        assert row.checked(row.default) == row.default
        assert f"  {row.name} " in text and row.description in text
    assert next(row for row in PARAMETERS if row.name == "window_ms").default * 1e6 == WINDOW_NS


@pytest.mark.ros
def test_ros_reads_the_file_for_a_node_in_a_namespace():
    rclpy = pytest.importorskip("rclpy", reason="needs ROS 2 (rclpy)")
    from mapkd_ros.parameters import declare

    context = rclpy.Context()
    rclpy.init(context=context, args=["--ros-args", "--params-file", str(YAML)])
    try:
        node = rclpy.create_node("student_node", namespace="/car", context=context)
        assert "window_ms" in node._parameter_overrides  # the file was applied, not passed over
        assert dict(declare(node, PARAMETERS)) == shipped()
        node.destroy_node()
    finally:
        rclpy.shutdown(context=context)
