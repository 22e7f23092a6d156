"""The arguments of student.launch.py: their table, what is wrong with what was given, and what each node gets of them.

Needs neither ROS nor its launch, so that all of it can be tried without them.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mapkd_core.cameras.rig import CameraRig, regular_rig
from mapkd_core.cameras.rig_file import load_rig
from mapkd_core.cameras.topics import FORMER_TRANSPORTS, IMAGE_TRANSPORTS
from mapkd_core.map_formats.formats import map_name
from mapkd_core.suggestion import did_you_mean
from mapkd_ros.map_builder.builder_parameters import PARAMETERS as BUILDER
from mapkd_ros.node.student_parameters import PARAMETERS as STUDENT
from mapkd_ros.parameters import Parameter, with_new_names
from mapkd_ros.params_file import parameters_for
from mapkd_ros.player.player_parameters import PARAMETERS as PLAYER

NODE = "student_node"
BOOLEAN = ("true", "false")
PASSED = (
    "weights", "device", "backend", "precision", "rig", "anchor", "image_transport", "base_frame", "occupancy_grid",
    "autostart",
)  # fmt: skip
"""Arguments that are parameters of student_node, by the same names."""
ANCHORED = {"map_anchor": "anchor", "map_anchor_origin": "anchor_origin", "map_start": "start"}
"""Arguments that are parameters of map_builder, by their names there: `anchor` is student_node's camera."""
PLAYED = ("version", "scene", "rate", "start", "hold")
"""Arguments that are parameters of nuscenes_player."""
FORMER_NAME = "transport"
"""Of image_transport."""


@dataclass(frozen=True)
class Argument:
    """One row of the table; values are words, as the command line gives them."""

    name: str
    default: str
    description: str
    choices: tuple[str, ...] = ()


def _table() -> tuple[Argument, ...]:
    student = {row.name: row for row in STUDENT}
    player = {row.name: row for row in PLAYER}
    builder = {row.name: row for row in BUILDER}
    passed = [
        Argument(
            name,
            "",
            f"{student[name].description}; if not given, as params_file says",
            ("", *_choices(student[name])) if _choices(student[name]) else (),
        )
        for name in PASSED
    ]
    played = [Argument(name, _word(player[name].default), player[name].description) for name in PLAYED]
    return (
        Argument("play", "", "nuScenes folder or rosbag2 to play; empty: listen to live cameras"),
        *played,
        Argument("loop", "true", "play again and again", BOOLEAN),
        Argument("params_file", "", "YAML with student_node's parameters; empty: config/student_node.yaml"),
        *passed,
        Argument("namespace", "", "put before camera/..., lidar_top/... and student_node/..."),
        Argument("use_sim_time", "", "take the time from /clock, which a player then sends; else as params_file says",
                 ("", *BOOLEAN)),
        Argument("map", "false", "run map_builder too: a street map that grows", BOOLEAN),
        Argument("map_file", "", "FILE.streetmap or .osm: map_builder saves its map there at the end and while driving "
                 "(its save_period, 60 s), and goes on with one there; one of other software stays, and the map goes "
                 "beside it"),
        *(Argument(name, "", f"of map_builder: {builder[row].description}") for name, row in ANCHORED.items()),
        Argument("large_data", "false", "Fast DDS with a shared-memory segment that raw images fit into", BOOLEAN),
        Argument("rviz", "false", "open RViz, set up for this launch's topics and frames", BOOLEAN),
        Argument("foxglove", "false", "start foxglove_bridge, and write a layout for this launch's topics", BOOLEAN),
    )  # fmt: skip


def _choices(row: Parameter) -> tuple[str, ...]:
    return BOOLEAN if isinstance(row.default, bool) else row.choices


def _word(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


ARGUMENTS = _table()


@dataclass(frozen=True)
class Launch:
    """What the nodes of one launch get."""

    namespace: str
    params_file: Path
    student: Mapping[str, Any]
    """Parameters of student_node, over those of params_file."""
    player: Mapping[str, Any] | None
    """Parameters of nuscenes_player; None where nothing is played."""
    builder: Mapping[str, Any] | None
    """Parameters of map_builder; None where no map is built."""
    rig: CameraRig
    base_frame: str
    use_sim_time: bool


def check_given(words: Sequence[str]) -> None:
    """Raises ValueError for a word of the command line whose name is not in the table, with the nearest that is."""
    known = [argument.name for argument in ARGUMENTS]
    for word in words:
        name, assigned, _ = word.partition(":=")
        if assigned and name not in (*known, FORMER_NAME):
            hint = did_you_mean(name, known, "; ") or f"; there are: {', '.join(known)}"
            raise ValueError(f"unknown launch argument {name}:={hint}")


def launch_of(given: Mapping[str, str], default_file: Path, notice: Callable[[str], object] = print) -> Launch:
    """What the arguments, name -> word, ask for.

    `notice` is told of an argument under its old name. Raises ValueError, which names the argument, for what makes no
    sense.
    """
    values = _renamed(given, notice)
    for argument in ARGUMENTS:
        if argument.choices and values[argument.name] not in argument.choices:
            expected = " or ".join(choice for choice in argument.choices if choice)
            raise ValueError(
                f"launch argument {argument.name} is {values[argument.name]!r}; expected {expected}: "
                f"{argument.description}"
            )
    idle = [] if values["play"] else [a.name for a in ARGUMENTS if a.name in PLAYED and values[a.name] != a.default]
    if idle:
        raise ValueError(f"launch argument {idle[0]} is {values[idle[0]]!r}, but nothing is played: give play:= too")
    namespace = values["namespace"].strip("/")
    path = Path(values["params_file"]).expanduser() if values["params_file"] else default_file
    try:
        in_file = parameters_for(path, f"/{namespace}/{NODE}" if namespace else f"/{NODE}")
    except ValueError as error:
        raise ValueError(f"launch argument params_file: {error}") from error
    booleans = {row.name for row in STUDENT if isinstance(row.default, bool)}
    student: dict[str, Any] = {name: values[name] for name in PASSED if values[name]}
    student |= {name: student[name] == "true" for name in booleans & set(student)}
    if student.get("rig"):
        student["rig"] = str(Path(student["rig"]).expanduser())
    if values["use_sim_time"]:
        student["use_sim_time"] = values["use_sim_time"] == "true"
    all_values = {row.name: row.default for row in STUDENT} | {"use_sim_time": False} | in_file | student
    use_sim_time = bool(all_values["use_sim_time"])
    rig = regular_rig(all_values["cameras"], all_values["image_transport"])
    if all_values["rig"]:
        rig = load_rig(all_values["rig"])
    player = _player(values, all_values["image_transport"], use_sim_time) if values["play"] else None
    builder = _builder(values, all_values)
    return Launch(namespace, path, student, player, builder, rig, str(all_values["base_frame"]), use_sim_time)


def _builder(values: Mapping[str, str], student: Mapping[str, Any]) -> dict[str, Any] | None:
    """Parameters of map_builder; a map that is there is gone on with."""
    if values["map"] != "true":
        for name in ("map_file", *ANCHORED):
            if values[name]:
                raise ValueError(f"launch argument {name} is {values[name]!r}, but no map is built: give map:=true")
        return None
    parameters: dict[str, Any] = {
        "base_frame": student["base_frame"], "use_sim_time": bool(student["use_sim_time"]),
        "autostart": bool(student["autostart"]),
    }  # fmt: skip
    parameters |= {row: values[name] for name, row in ANCHORED.items() if values[name]}
    if values["map_file"]:
        file = Path(values["map_file"]).expanduser()
        try:
            map_name(values["map_file"])
        except ValueError as error:
            raise ValueError(f"launch argument map_file: {error}") from error
        parameters["map_file"] = str(file)
        if file.is_file():
            parameters["load"] = str(file)
    return parameters


def _renamed(given: Mapping[str, str], notice: Callable[[str], object]) -> dict[str, str]:
    """All arguments under the names of today."""
    values = {argument.name: given.get(argument.name, argument.default) for argument in ARGUMENTS}
    if given.get(FORMER_NAME):
        row = Parameter("image_transport", "", "", former_name=FORMER_NAME, former_words=FORMER_TRANSPORTS)
        new = with_new_names({FORMER_NAME: given[FORMER_NAME]}, [row], notice)
        values["image_transport"] = str(new["image_transport"])
    return values


def _player(values: Mapping[str, str], image_transport: str, use_sim_time: bool) -> dict[str, Any]:
    """A folder or a bag: the player looks which it is, and takes only what has a meaning for it."""
    rows = {row.name: row for row in PLAYER}
    parameters: dict[str, Any] = {
        "dataroot": values["play"],
        "loop": values["loop"] == "true",
        "wait_for_subscribers": 60.0,
        # RViz and others drop transforms of years ago.
        "stamps": "original" if use_sim_time else "now",
        "clock": use_sim_time,
    }
    for name in PLAYED:
        value = _number(name, values[name], rows[name]) if isinstance(rows[name].default, float) else values[name]
        if value != rows[name].default:
            parameters[name] = value
    if image_transport != IMAGE_TRANSPORTS[0]:  # a bag's player knows no other than the bag's own
        parameters["image_transport"] = image_transport
    return parameters


def _number(name: str, word: str, row: Parameter) -> Any:
    try:
        return row.checked(float(word))
    except ValueError as error:
        low, high = row.range or (float("-inf"), float("inf"))
        raise ValueError(
            f"launch argument {name} is {word!r}; expected a number, {low:g} to {high:g}: {row.description}"
        ) from error
