"""The parameter table: what fits, what is refused, and what reaches a real node."""
from __future__ import annotations

import pytest

from mapkd_ros.parameters import Parameter, check_names, declare, with_new_names

TABLE = (
    Parameter("rate", 2.0, "play rate", range=(0.1, 10.0), read_only=False),
    Parameter("depth", 1, "queue depth", range=(1, 5)),
    Parameter("loop", False, "start again at the end"),
    Parameter("device", "auto", "where the network runs", choices=("auto", "cpu", "cuda"), read_only=False),
    Parameter("cameras", ["CAM_FRONT", "CAM_BACK"], "cameras used"),
    Parameter("rectified", "auto", "without lens distortion", choices=("auto", "true", "false")),
    Parameter("base", "base_link", "of the vehicle", frame=True),
)
ROWS = {row.name: row for row in TABLE}


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [("rate", 3, 3.0), ("rate", 0.1, 0.1), ("depth", 5, 5), ("loop", True, True), ("cameras", ("A",), ["A"]),
     ("rectified", True, "true")],
)
def test_fitting_values_come_back_in_the_type_of_the_default(name, value, expected):
    result = ROWS[name].checked(value)
    assert result == expected and type(result) is type(ROWS[name].default)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("rate", 0.0, "rate is 0.0; expected 0.1 to 10"),
        ("rate", float("nan"), "expected 0.1 to 10"),
        ("rate", "fast", "expected a value of type float"),
        ("depth", 2.5, "expected a value of type int"),
        ("depth", True, "expected a value of type int"),
        ("loop", 1, "expected a value of type bool"),
        ("device", True, "expected a value of type str"),
        ("device", "gpu", "expected 'auto' or 'cpu' or 'cuda'"),
        ("cameras", [], "at least one string"),
        ("cameras", "CAM_FRONT", "expected a value of type list"),
        ("base", "/base_link", "'/base_link'; expected the name of a frame, without a leading slash"),
        ("base", "", "expected the name of a frame"),
        ("base", "base link", "expected the name of a frame"),
    ],
)
def test_unfit_values_are_refused_with_value_and_expectation(name, value, words):
    with pytest.raises(ValueError, match="parameter " + name) as error:
        ROWS[name].checked(value)
    assert words in str(error.value)


def test_a_misspelt_name_is_refused_with_the_nearest_one():
    check_names(["rate", "use_sim_time", "qos_overrides./tf.subscription.depth"], TABLE)
    with pytest.raises(ValueError, match="unknown parameter 'rat'; did you mean 'rate'"):
        check_names(["rat"], TABLE)
    with pytest.raises(ValueError, match="there are: rate, depth, loop, device, cameras, rectified, base"):
        check_names(["zzzz"], TABLE)


def test_an_old_name_is_accepted_with_its_old_words_and_one_notice():
    table = [Parameter("codec", "compressed", "how", former_name="kind", former_words={"jpeg": "compressed"})]
    notices: list[str] = []
    assert with_new_names({"kind": "jpeg", "x": 1}, table, notices.append) == {"codec": "compressed", "x": 1}
    assert with_new_names({"kind": "raw"}, table, notices.append) == {"codec": "raw"}
    assert notices == [
        "parameter kind:=jpeg is called codec:=compressed now; the old name will go with the next version",
        "parameter kind:=raw is called codec:=raw now; the old name will go with the next version",
    ]
    assert with_new_names({"codec": "raw"}, table, notices.append) == {"codec": "raw"} and len(notices) == 2
    with pytest.raises(ValueError, match="kind and codec are the same; give only codec"):
        with_new_names({"kind": "jpeg", "codec": "raw"}, table, notices.append)


@pytest.fixture
def make_node():
    rclpy = pytest.importorskip("rclpy", reason="needs ROS 2 (rclpy)")
    context = rclpy.Context()
    rclpy.init(context=context)
    nodes = []

    def make(**overrides):
        given = [rclpy.parameter.Parameter(name, value=value) for name, value in overrides.items()]
        nodes.append(
            rclpy.create_node(
                "parameter_test", context=context, parameter_overrides=given, start_parameter_services=False
            )
        )
        return nodes[-1]

    yield make
    for node in nodes:
        node.destroy_node()
    rclpy.shutdown(context=context)


@pytest.mark.ros
def test_a_node_gets_defaults_overrides_and_changes(make_node):
    from rclpy.parameter import Parameter as RosParameter

    node = make_node(rate=4, device="cpu")
    values = declare(node, TABLE)
    assert values["rate"] == 4.0 and type(values["rate"]) is float
    assert values["device"] == "cpu" and values["depth"] == 1 and values["cameras"] == ["CAM_FRONT", "CAM_BACK"]
    assert node.get_parameter("rate").value == 4.0
    assert node.describe_parameter("rate").description == "play rate"

    assert node.set_parameters([RosParameter("rate", value=5.0)])[0].successful
    assert values["rate"] == 5.0
    assert node.set_parameters([RosParameter("rate", value=3)])[0].successful
    assert values["rate"] == 3.0 and type(values["rate"]) is float
    for unfit in (50.0, 50, "fast"):
        refused = node.set_parameters([RosParameter("rate", value=unfit)])[0]
        assert not refused.successful and values["rate"] == 3.0
    assert "rate is 'fast'; expected a value of type float" in refused.reason
    assert node.set_parameters([RosParameter("rate", value=5.0)])[0].successful
    refused = node.set_parameters([RosParameter("device", value="gpu")])[0]
    assert not refused.successful and "expected 'auto'" in refused.reason
    assert not node.set_parameters([RosParameter("depth", value=2)])[0].successful  # read-only
    assert (values["rate"], values["device"], values["depth"]) == (5.0, "cpu", 1)


@pytest.mark.ros
@pytest.mark.parametrize(
    ("overrides", "words"),
    [({"rate": 99.0}, "rate is 99.0; expected"), ({"rat": 1.0}, "did you mean 'rate'"), ({"loop": "yes"}, "type bool")],
)
def test_a_node_refuses_bad_overrides(make_node, overrides, words):
    with pytest.raises(ValueError, match=words):
        declare(make_node(**overrides), TABLE)
