"""The house's rules about imports and files, read from the source: arrows point down, ROS stays in its room."""
from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("mapkd_core", "mapkd_ros")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
MOST_LINES = 300

ROS_PACKAGES = {
    "rclpy", "launch", "launch_ros", "ament_index_python", "builtin_interfaces", "diagnostic_msgs", "geometry_msgs",
    "nav_msgs", "rcl_interfaces", "rosgraph_msgs", "sensor_msgs", "std_msgs", "std_srvs", "tf2_msgs",
    "visualization_msgs",
}  # fmt: skip
LOW_ROOMS = ("mapkd_core.types", "mapkd_core.grid", "mapkd_core.geometry", "mapkd_core.vector_map")
"""The contract: it imports nothing of the project but itself."""

# room -> prefixes of modules that it must not import, directly
FORBIDDEN = {
    "mapkd_core.model": ("mapkd_core.data", "mapkd_core.sim", "mapkd_core.distill", "mapkd_core.train",
                         "mapkd_core.predictor", "mapkd_core.runtime", "mapkd_core.evaluate"),
    "mapkd_core.distill": ("mapkd_core.data", "mapkd_core.sim", "mapkd_core.train", "mapkd_core.predictor"),
    "mapkd_core.data": ("mapkd_core.model", "mapkd_core.distill", "mapkd_core.train", "mapkd_core.predictor"),
    "mapkd_core.sim": ("mapkd_core.model", "mapkd_core.distill", "mapkd_core.train", "mapkd_core.predictor"),
    "mapkd_core.metrics": ("mapkd_core.model", "mapkd_core.sim", "mapkd_core.distill", "mapkd_core.train"),
    "mapkd_core.vectorize": ("mapkd_core.model", "mapkd_core.data", "mapkd_core.sim", "mapkd_core.train"),
    "mapkd_core.runtime": ("mapkd_core.predictor", "mapkd_core.sim", "mapkd_core.train", "mapkd_core.distill"),
    "mapkd_core.predictor": ("mapkd_core.sim", "mapkd_core.train", "mapkd_core.distill", "mapkd_core.evaluate"),
}  # fmt: skip
# data/images.py alone serves training and the vehicle; the rest of data/ reads data sets
ALLOWED = {("mapkd_core.predictor", "mapkd_core.data.images"), ("mapkd_core.runtime", "mapkd_core.data.images")}


def module_name(path: Path) -> str:
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    return name.removesuffix(".__init__")


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """(line, module) of every import in a file, lazy ones and those for type checkers as well."""
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import; name the module in full"
            assert node.module is not None
            yield node.lineno, node.module
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def within(module: str, room: str) -> bool:
    return module == room or module.startswith(room + ".")


EDGES = [(path, line, module_name(path), target) for path in SOURCES for line, target in imports(path)]


def offences(rule: object) -> list[str]:
    assert len(SOURCES) > 20 and len(EDGES) > 200, "the sources were not found"
    return sorted(
        {f"{path.relative_to(ROOT)}:{line} imports {target}" for path, line, name, target in EDGES
         if rule(path, name, target)}  # type: ignore[operator]
    )  # fmt: skip


def test_the_core_knows_no_ros() -> None:
    def rule(path: Path, name: str, target: str) -> bool:
        return within(name, "mapkd_core") and (target.split(".")[0] in ROS_PACKAGES | {"mapkd_ros"})

    assert offences(rule) == []


@pytest.mark.parametrize("room", FORBIDDEN)
def test_arrows_point_down(room: str) -> None:
    def rule(path: Path, name: str, target: str) -> bool:
        if not within(name, room) or any(within(name, a) and within(target, b) for a, b in ALLOWED):
            return False
        return any(within(target, high) for high in FORBIDDEN[room])

    assert offences(rule) == []


def test_the_contract_imports_only_itself() -> None:
    def rule(path: Path, name: str, target: str) -> bool:
        return name in LOW_ROOMS and within(target, "mapkd_core") and not any(within(target, low) for low in LOW_ROOMS)

    assert offences(rule) == []


def test_the_devkit_stays_in_its_files() -> None:
    def rule(path: Path, name: str, target: str) -> bool:
        at_home = path.parent.name == "data" and path.stem.startswith("nuscenes")
        return target.split(".")[0] == "nuscenes" and not at_home

    assert offences(rule) == []


def test_the_devkit_is_imported_only_when_needed() -> None:
    """A module-level import would take it from everybody who has NumPy 2 or no devkit."""
    found = []
    for path in SOURCES:
        for node in ast.parse(path.read_text()).body:
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            found += [f"{path.relative_to(ROOT)}:{node.lineno}" for name in names if name.split(".")[0] == "nuscenes"]
    assert found == []


def test_the_node_sees_little_of_the_core() -> None:
    """Networks, training and data sets change without touching the vehicle."""

    def rule(path: Path, name: str, target: str) -> bool:
        high = ("model", "distill", "train", "sim", "losses", "metrics", "evaluate")
        return within(name, "mapkd_ros") and any(within(target, f"mapkd_core.{room}") for room in high)

    assert offences(rule) == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_have_one_job(path: Path) -> None:
    assert path.stem not in ("utils", "util", "helpers", "misc", "common"), "name the file after its job"
    lines = len(path.read_text().splitlines())
    assert lines <= MOST_LINES, f"{lines} lines; a file has one job and at most {MOST_LINES} lines"


def test_the_rules_can_fail(tmp_path: Path) -> None:
    """The reader of imports sees nested, aliased and from-imports."""
    path = tmp_path / "sample.py"
    path.write_text("def f():\n    import rclpy.node as n\n    from mapkd_core import sim\n")
    assert {target for _, target in imports(path)} == {"rclpy.node", "mapkd_core", "mapkd_core.sim"}
