"""OpenDRIVE: nothing of ours is lost, roads run where the lines are, ASAM's checker agrees, others' files are read."""
from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from street_maps import BERGEN, driven, odd_maps, street, two_blocks

from mapkd_core.map_formats.earth import at_place
from mapkd_core.map_formats.opendrive_read import read_opendrive
from mapkd_core.map_formats.opendrive_write import write_opendrive
from mapkd_core.mapping.street_map import StreetMap
from mapkd_core.schema import FileFault

pytest.importorskip("pyproj")


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(odd_maps(with_origin=False))
def test_any_map_comes_back(tmp_path: Path, street_map: StreetMap) -> None:
    write_opendrive(street_map, tmp_path / "map.xodr")
    read, losses = read_opendrive(tmp_path / "map.xodr")
    assert street_map.differences(read) == []
    assert losses.lines == []


def without_user_data(path: Path) -> Path:
    """As other software would write it again."""
    other = path.with_name("other.xodr")
    other.write_text(re.sub(r"<userData[^>]*/>", "", path.read_text()))
    return other


def test_lanes_are_where_the_lines_are(tmp_path: Path) -> None:
    """Read by roads and objects alone: every vertex of the middle section's lines, the crossing, the place."""
    written = driven(street(at_place(*BERGEN, 2.0)), [(-4.0, -1.7), (70.0, 0.0)])
    write_opendrive(written, tmp_path / "map.xodr")
    read, _ = read_opendrive(without_user_data(tmp_path / "map.xodr"))
    assert read.origin is not None and read.origin.utm_epsg == 32632
    assert abs(read.origin.latitude_deg - 60.39) < 1e-9 and read.origin.altitude_m == 2.0
    dividers = np.concatenate([e.points_m for e in read.of("divider")])
    assert {e.attributes["paint"] for e in read.of("divider")} == {"solid", "dashed"}
    for y in (0.0, 3.5):
        there = np.array([[x, y + x * x / 3000] for x in range(12, 44, 4)])
        assert np.linalg.norm(there[:, None] - dividers[:, :2], axis=-1).min(1).max() < 0.6  # a point a metre
        assert np.abs(dividers[:, 2] - 0.3).max() < 1e-9
    (crossing,) = read.of("ped_crossing")
    assert np.allclose(crossing.points_m, street().elements[4].points_m, atol=1e-6)
    edge = np.concatenate([e.points_m for e in read.of("boundary")])
    on_curb = edge[np.abs(edge[:, 1] + 3.5 - edge[:, 0] ** 2 / 3000) < 0.05]
    assert np.ptp(on_curb[:, 0]) > 58


def test_following_roads_are_linked_and_driven_on_their_side(tmp_path: Path) -> None:
    write_opendrive(two_blocks(), tmp_path / "right.xodr")
    text = (tmp_path / "right.xodr").read_text()
    assert text.count("<road ") == 2 and text.count('type="driving"') == 4 and 'rule="RHT"' in text
    assert len(re.findall(r'<lane id="1"', text)) == len(re.findall(r'<lane id="-1"', text)) == 2
    write_opendrive(two_blocks(), tmp_path / "left.xodr", traffic="left", version="1.8")
    assert 'rule="LHT"' in (tmp_path / "left.xodr").read_text()
    assert 'revMinor="7"' in text and 'revMinor="8"' in (tmp_path / "left.xodr").read_text()
    whole = street(at_place(*BERGEN))
    write_opendrive(whole, tmp_path / "street.xodr")
    assert len(re.findall(r"<successor elementType", (tmp_path / "street.xodr").read_text())) in (0, 1, 2)


FOREIGN = """<?xml version="1.0"?>
<OpenDRIVE><header revMajor="1" revMinor="4"/>
<road id="1" length="{length}" junction="-1"><planView>{geometry}</planView>
<elevationProfile><elevation s="0" a="2" b="0.01" c="0" d="0"/></elevationProfile>
<lanes><laneOffset s="0" a="0.5" b="0" c="0" d="0"/><laneSection s="0">
<left><lane id="1" type="driving"><width sOffset="0" a="3" b="0" c="0" d="0"/></lane>
<lane id="2" type="sidewalk"><width sOffset="0" a="2" b="0" c="0" d="0"/></lane></left>
<center><lane id="0" type="none"><roadMark sOffset="0" type="broken" color="yellow"/></lane></center>
<right><lane id="-1" type="driving"><width sOffset="0" a="3" b="0.01" c="0" d="0"/></lane></right>
</laneSection></lanes>
<objects><object id="5" type="crosswalk" s="10" t="0" hdg="0"><outline><cornerLocal u="-1" v="-3" z="0"/>
<cornerLocal u="1" v="-3" z="0"/><cornerLocal u="1" v="3" z="0"/><cornerLocal u="-1" v="3" z="0"/></outline></object>
</objects></road></OpenDRIVE>"""


@pytest.mark.parametrize(
    ("shape", "end"),
    [
        ("<line/>", (40.0, 0.5, 0.0)),
        ('<arc curvature="0.025"/>', (40 * np.sin(1) - 0.5 * np.sin(1), 40 * (1 - np.cos(1)) + 0.5 * np.cos(1), 1.0)),
        ('<paramPoly3 aU="0" bU="40" cU="0" dU="0" aV="0" bV="0" cV="0" dV="0" pRange="normalized"/>', (40.0, 0.5, 0)),
        ('<poly3 a="0" b="0" c="0" d="0"/>', (40.0, 0.5, 0.0)),
        ('<spiral curvStart="0" curvEnd="0"/>', (40.0, 0.5, 0.0)),
    ],
)
def test_roads_of_others(shape: str, end: tuple[float, float, float], tmp_path: Path) -> None:
    geometry = f'<geometry s="0" x="0" y="0" hdg="0" length="40">{shape}</geometry>'
    (tmp_path / "a.xodr").write_text(FOREIGN.format(length=40, geometry=geometry))
    read, losses = read_opendrive(tmp_path / "a.xodr")
    (middle,), (crossing,), (edge,) = (read.of(label) for label in ("divider", "ped_crossing", "boundary"))
    assert middle.attributes == {"paint": "dashed", "color": "yellow"}
    assert np.allclose(middle.points_m[-1], [end[0], end[1], 2.4], atol=1e-6)
    assert crossing.closed and len(crossing.points_m) == 5 and abs(crossing.points_m[:, 2].mean() - 2.1) < 1e-6
    assert edge.closed and read.origin is None and losses.lines == []


def test_a_spiral_ends_where_fresnel_says(tmp_path: Path) -> None:
    from scipy.special import fresnel

    geometry = '<geometry s="0" x="0" y="0" hdg="0" length="40"><spiral curvStart="0" curvEnd="0.05"/></geometry>'
    (tmp_path / "a.xodr").write_text(FOREIGN.format(length=40, geometry=geometry).replace('a="0.5"', 'a="0"'))
    (middle,) = read_opendrive(tmp_path / "a.xodr")[0].of("divider")
    scale = np.sqrt(np.pi * 40 / 0.05)
    v, u = fresnel(40 / scale)
    assert np.allclose(middle.points_m[-1, :2], [u * scale, v * scale], atol=1e-6)


@pytest.mark.parametrize(
    ("geometry", "words"),
    [
        ("", "road 1 has no geometry"),
        ('<geometry s="0" x="a" y="0" hdg="0" length="4"><line/></geometry>', "geometry 0: x is 'a'"),
        ('<geometry s="0" x="0" y="0" hdg="0" length="4"/>', "geometry 0 has no shape"),
    ],
)
def test_a_damaged_file_is_refused_by_name(geometry: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "a.xodr").write_text(FOREIGN.format(length=40, geometry=geometry))
    with pytest.raises(FileFault, match=words) as caught:
        read_opendrive(tmp_path / "a.xodr")
    assert str(tmp_path / "a.xodr") in str(caught.value) and "\n" not in str(caught.value)


CHECKER = """
import sys
from qc_baselib import Configuration, Result
path, folder = sys.argv[1:]
config = Configuration()
config.set_config_param("InputFile", path)
config.register_checker_bundle("xodrBundle")
config.set_checker_bundle_param(checker_bundle_name="xodrBundle", name="resultFile", value=folder + "/result.xqar")
config.write_to_file(folder + "/config.xml")
from qc_opendrive import main
sys.argv = ["qc_opendrive", "-c", folder + "/config.xml"]
main.main()
result = Result()
result.load_from_file(folder + "/result.xqar")
for checker in result._report_results.checker_bundles[0].checkers:
    print("CHECK", checker.checker_id, checker.status.name, len(checker.issues))
"""


@pytest.mark.slow
@pytest.mark.parametrize("version", ["1.7", "1.8"])
@pytest.mark.parametrize("name", ["street", "blocks", "empty"])
def test_asams_checker_finds_nothing(name: str, version: Literal["1.7", "1.8"], tmp_path: Path) -> None:
    """In a Python that has asam-qc-opendrive (MAPKD_QC_PYTHON): its packages do not go with ours."""
    python = os.environ.get("MAPKD_QC_PYTHON", sys.executable)
    if subprocess.run([python, "-c", "import qc_opendrive"], capture_output=True).returncode:
        pytest.skip("no asam-qc-opendrive; set MAPKD_QC_PYTHON to a Python that has it")
    maps = {"street": street(at_place(*BERGEN, 3.0)), "blocks": two_blocks(), "empty": StreetMap()}
    write_opendrive(maps[name], tmp_path / "map.xodr", version=version)
    command = [python, "-c", CHECKER, str(tmp_path / "map.xodr"), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env={"PATH": os.environ["PATH"]})
    found = [line.split()[1:] for line in done.stdout.splitlines() if line.startswith("CHECK")]
    assert len(found) > 15, done.stderr[-2000:]
    assert [check for check, _, issues in found if issues != "0"] == []
    # two rules of junctions exclude each other, one ends with 1.7, one begins with 1.8: by both headers every rule runs
    rule = {"1.7": "one_link_to_incoming", "1.8": "one_connection_element"}[version]
    skipped = [check for check, status, _ in found if status != "COMPLETED"]
    assert skipped == [f"check_asam_xodr_junctions_connection_{rule}"]
