"""Rules about imports and files: arrows point down (pyproject.toml, tool.importlinter), ROS stays outside."""
from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
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


def modules_in_strings(path: Path) -> Iterator[tuple[int, str]]:
    """(line, module) of every string that is the name of one of the project's modules: an import by another way."""
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in MODULES:
            yield node.lineno, node.value


def within(module: str, room: str) -> bool:
    return module == room or module.startswith(room + ".")


MODULES = {module_name(path) for path in SOURCES} - set(PACKAGES)
EDGES = [(path, line, module_name(path), target) for path in SOURCES for line, target in imports(path)]
STRINGS = [(path, line, module_name(path), name) for path in SOURCES for line, name in modules_in_strings(path)]


def offences(rule: Callable[[str, str], bool], edges: list[tuple[Path, int, str, str]] = EDGES) -> list[str]:
    assert len(SOURCES) > 20 and len(EDGES) > 200, "the sources were not found"
    return sorted(
        {f"{path.relative_to(ROOT)}:{line} names {target}" for path, line, name, target in edges if rule(name, target)}
    )


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    """The contracts of pyproject.toml, checked on the packages below `folder`."""
    call = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(cache_dir=None))"
    return subprocess.run([sys.executable, "-c", call], cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("importlinter", reason="import-linter checks the contracts")
    folder = tmp_path_factory.mktemp("house")
    for path in SOURCES:
        (folder / path.relative_to(ROOT)).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder / path.relative_to(ROOT))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def test_imports_point_down_and_run_in_no_circle(copy: Path) -> None:
    done = lint_imports(copy)
    assert done.returncode == 0, done.stdout
    assert "0 broken" in done.stdout


@pytest.mark.parametrize(
    ("file", "line", "contract"),
    [
        ("mapkd_core/data/lidar.py", "from mapkd_core.training import batches as _b", "imports point down BROKEN"),
        ("mapkd_core/grid.py", "def _f():\n    from mapkd_core.types import CLASSES", "imports point down BROKEN"),
        ("mapkd_core/benchmark/machine.py", "from mapkd_ros import parameters as _p", "imports point down BROKEN"),
        ("mapkd_core/metrics/crossings.py", "from mapkd_core.metrics import bands as _b", "no circles"),
    ],
)
def test_a_planted_import_is_found(copy: Path, file: str, line: str, contract: str) -> None:
    path = copy / file
    whole = path.read_text()
    path.write_text(f"{whole}\n{line}\n")
    try:
        done = lint_imports(copy)
    finally:
        path.write_text(whole)
    assert done.returncode == 1
    assert contract in done.stdout


def test_the_core_knows_no_ros() -> None:
    def rule(name: str, target: str) -> bool:
        return within(name, "mapkd_core") and (target.split(".")[0] in ROS_PACKAGES | {"mapkd_ros"})

    assert offences(rule) == []


def test_only_commands_name_modules_of_the_ros_package_or_each_other() -> None:
    """A module that is started by its name counts as an import."""

    def rule(name: str, target: str) -> bool:
        upward = within(target, "mapkd_core.commands") or within(target, "mapkd_ros")
        return within(name, "mapkd_core") and upward and not within(name, "mapkd_core.commands")

    assert STRINGS, "no string names a module; the command's table is read wrongly"
    assert offences(rule, STRINGS) == []


def test_the_devkit_stays_in_its_files() -> None:
    assert offences(lambda name, target: target.split(".")[0] == "nuscenes" and "data.nuscenes" not in name) == []


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

    def rule(name: str, target: str) -> bool:
        high = ("model", "distill", "training", "sim", "losses", "metrics", "evaluation", "commands")
        return within(name, "mapkd_ros") and any(within(target, f"mapkd_core.{room}") for room in high)

    assert offences(rule) == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_have_one_job(path: Path) -> None:
    assert path.stem not in ("utils", "util", "helpers", "misc", "common"), "name the file after its job"
    lines = len(path.read_text().splitlines())
    assert lines <= MOST_LINES, f"{lines} lines; a file has one job and at most {MOST_LINES} lines"


def test_the_rules_can_fail(tmp_path: Path) -> None:
    """The readers see nested, aliased and from-imports, and names in strings."""
    path = tmp_path / "sample.py"
    path.write_text("def f():\n    import rclpy.node as n\n    from mapkd_core import sim\n\nRUN = 'mapkd_core.grid'\n")
    assert {target for _, target in imports(path)} == {"rclpy.node", "mapkd_core", "mapkd_core.sim"}
    assert [name for _, name in modules_in_strings(path)] == ["mapkd_core.grid"]
