"""Labels from a map of any format: the same lines near a pose, whatever the file."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from street_maps import BERGEN, street

from mapkd_core.data.labels import map_elements
from mapkd_core.geometry import transform_from_yaw
from mapkd_core.grid import GRID_60X30
from mapkd_core.map_formats.earth import EarthFrame, at_place
from mapkd_core.map_formats.formats import map_name, write_map
from mapkd_core.map_formats.label_map import label_map

pytest.importorskip("lanelet2")
POSE = transform_from_yaw(25.0, -1.0, 0.4)


def labels(vector_map, pose: np.ndarray = POSE) -> list[tuple[str, np.ndarray]]:
    found = [(e.label, e.points_m) for e in map_elements(vector_map, pose, GRID_60X30, "polygon")]
    return sorted(found, key=lambda pair: (pair[0], pair[1][0].tolist()))


@pytest.mark.parametrize("file", ["a.streetmap", "a.osm", "a.geojson", "a.xodr"])
def test_every_format_gives_the_same_labels(file: str, tmp_path: Path) -> None:
    written = street(at_place(*BERGEN))
    written.write(tmp_path / "own.streetmap")
    write_map(written, map_name(str(tmp_path / file)))
    truth = labels(label_map(str(tmp_path / "own.streetmap"))())
    found = labels(label_map(str(tmp_path / file))())
    assert [label for label, _ in truth] == ["boundary", "boundary", "divider", "divider", "ped_crossing"]
    assert [label for label, _ in found] == [label for label, _ in truth]
    for (_, mine), (_, theirs) in zip(found, truth, strict=True):
        assert np.allclose(mine, theirs, atol=1e-4)
    # the solid line, straight from its definition: y = x^2 / 3000 in the map
    line = max((points for label, points in found if label == "divider"), key=lambda points: np.ptp(points[:, 0]))
    in_map = line @ POSE[:2, :2].T + POSE[:2, 3]
    assert np.abs(in_map[:, 1] - in_map[:, 0] ** 2 / 3000).max() < 0.03


def test_poses_of_another_origin(tmp_path: Path) -> None:
    written = street(at_place(*BERGEN))
    written.write(tmp_path / "a.streetmap")
    there = at_place(BERGEN[0] + 0.01, BERGEN[1] - 0.02)
    assert written.origin is not None
    place = EarthFrame(there).metres(EarthFrame(written.origin).degrees([POSE[:3, 3]]))[0]
    moved = transform_from_yaw(place[0], place[1], 0.4)
    truth = labels(label_map(str(tmp_path / "a.streetmap"))())
    found = labels(label_map(str(tmp_path / "a.streetmap"), there)(), moved)
    for (_, mine), (_, theirs) in zip(found, truth, strict=True):
        assert np.allclose(mine, theirs, atol=2e-2)  # two places in one zone: the same grid
    street().write(tmp_path / "b.streetmap")
    with pytest.raises(ValueError, match="does not say where on Earth it lies"):
        label_map(str(tmp_path / "b.streetmap"), there)()
