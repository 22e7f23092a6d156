"""The benchmark of street maps: its counts by hand, its poses, and a run on drives that are predicted already."""
from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from mapkd_core.artifact import SHIPPED, load_card
from mapkd_core.benchmark import mapping_cases as cases
from mapkd_core.benchmark.mapping_drives import DriveRecipe, SeenSet, read_sets, sets_file, write_sets
from mapkd_core.benchmark.mapping_loops import (
    BEYOND_M,
    LONGEST_M,
    SHORTEST_M,
    LoopRecipe,
    gap_m,
    loop_path,
    loop_report,
)
from mapkd_core.benchmark.mapping_rows import ceiling
from mapkd_core.benchmark.mapping_scores import FrameScores, LineCounts, in_view, true_elements
from mapkd_core.commands.main import main
from mapkd_core.geometry import distances_along, transform_from_yaw
from mapkd_core.schema import FileFault
from mapkd_core.sim.roads.trajectory import STEP_M
from mapkd_core.types import MapElement

SECOND = 1_000_000_000


def line(y: float, x0: float = 0.0, x1: float = 10.0, label: str = "divider") -> MapElement:
    return MapElement(label, np.array([[x0, y], [x1, y]], np.float32), 0.9)


def drive(count: int = 201) -> list[SeenSet]:
    return [SeenSet(k * SECOND // 4, transform_from_yaw(2.0 * k, 0, 0), ()) for k in range(count)]


def test_counts_by_hand() -> None:
    counts = LineCounts()
    counts.add([line(0.4), line(3.0, 0, 5)], [line(0.0, 0, 20)])
    assert counts.completeness == pytest.approx(20 / 40) and counts.precision == pytest.approx(20 / 30)
    counts.add([line(0.0, label="boundary")], [line(0.0)])  # another class is no match
    assert counts.completeness == pytest.approx(20 / 60) and counts.precision == pytest.approx(20 / 50)
    assert counts.per_class()["boundary"] == (0, 0)


def test_a_map_is_cut_to_a_view_and_turned() -> None:
    ring = np.array([[28, -2], [36, -2], [36, 2], [28, 2], [28, -2]], np.float32)
    flat = [line(1.0, -100, 100), line(40.0), MapElement("ped_crossing", ring, closed=True)]
    there = [replace(e, points_m=np.column_stack([e.points_m, np.full(len(e.points_m), 7)])) for e in flat]
    shown = in_view(there, transform_from_yaw(0, 0, np.pi))
    assert [e.label for e in shown] == ["divider", "ped_crossing"]
    np.testing.assert_allclose(np.sort(shown[0].points_m[:, 0]), [-30, 30], atol=1e-5)
    np.testing.assert_allclose(shown[0].points_m[:, 1], -1, atol=1e-5)
    x = shown[1].points_m[:, 0]
    assert shown[1].closed and x.min() == pytest.approx(-30) and np.ptp(x) < 3


def test_the_truth_scores_full() -> None:
    recipe = DriveRecipe(400_003, length_m=40)
    scores, pose = FrameScores(), recipe.trajectory.pose(5.0)
    truth = true_elements(recipe.road_map, pose)
    scores.add(truth, truth)
    assert scores.counts.completeness == 1 and scores.counts.precision == 1 and scores.ap == pytest.approx(1)


def test_odometry_drifts_by_up_to_a_hundredth() -> None:
    for seed in range(5):
        poses = cases.drifting(drive(), np.random.default_rng(seed))
        along, across = np.abs(poses[-1][:2, 3] - [400, 0])
        assert np.array_equal(poses[0], np.eye(4)) and 1.5 < along < 5 and 1.5 < across < 5


def test_a_localization_jumps_and_stays_near() -> None:
    poses = cases.jumping(drive(), np.random.default_rng(1))
    off = np.array([np.linalg.norm(p[:2, 3] - one.map_from_base[:2, 3]) for p, one in zip(poses, drive(), strict=True)])
    steps = np.linalg.norm(np.diff([p[:2, 3] for p in poses], axis=0), axis=1)
    assert off[:40].max() == 0 and 3 <= (np.abs(steps - 2) > 0.1).sum() <= 5 and off.max() < 2.5


def test_the_same_drive_again_lies_in_a_street_of_its_own() -> None:
    longer = cases.repeated(drive(10), 3)
    assert [one.map_from_base[0, 3] for one in longer[::10]] == [0, 1000, 2000]
    assert np.all(np.diff([one.stamp_ns for one in longer]) > 0)


def test_predictions_come_back_and_others_do_not_pass_for_them(tmp_path: Path) -> None:
    path, made = tmp_path / "a.jsonl", {"seed": 1}
    write_sets(path, made, [SeenSet(5, transform_from_yaw(1, 2, 3), (line(0.25),))])
    found = read_sets(path, made)
    assert found is not None and found[0].stamp_ns == 5
    np.testing.assert_array_equal(found[0].map_from_base, transform_from_yaw(1, 2, 3))
    np.testing.assert_array_equal(found[0].elements[0].points_m, line(0.25).points_m)
    assert read_sets(path, {"seed": 2}) is None
    path.write_text(path.read_text().replace("divider", "road"))
    with pytest.raises(FileFault, match=r"a\.jsonl:2"):
        read_sets(path, made)


@pytest.fixture
def predicted(tmp_path: Path) -> Path:
    """What a perfect network would predict on a short drive of the first seed."""
    card, recipe = load_card(SHIPPED["nano"]), DriveRecipe(400_000)
    sets = []
    for k in range(16):
        pose = recipe.trajectory.pose(1.0 + 0.5 * k)
        shown = [e for e in true_elements(recipe.road_map, pose) if e.label != "divider" or k % 2]
        sets.append(SeenSet(k * SECOND // 2, pose, tuple(shown)))
    from mapkd_core.predictor import MapPredictor
    from mapkd_core.sim.simdrive import SIZES

    made = {"seed": 400_000, "rate_hz": 4.0, "length_m": 400.0, "size": list(SIZES["full"][0]), "model": card.name,
            "version": card.version, "engine": MapPredictor.from_artifact("nano").engine}  # fmt: skip
    write_sets(sets_file(recipe, card, tmp_path), made, sets)
    return tmp_path


def test_a_run_on_predictions_that_are_there(predicted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mapkd_core.benchmark import mapping

    monkeypatch.setattr(mapping, "TIMES_LONGER", 2)
    out = tmp_path / "result.md"
    words = ["benchmark", "mapping", "--drives", "2", "--sets", str(predicted), "--predicted-only"]
    assert main([*words, "--out", str(out)]) == 0
    text = out.read_text()
    assert "1 drives, 16 sets" in text and "Criteria, set before the runs" in text
    rows = {row.split("|")[1].strip(): row.split("|") for row in text.splitlines() if row.startswith("| ")}
    single, street = (float(rows[name][2]) for name in ("single maps", "street map, true poses"))
    assert street > single and float(rows["street map, true poses"][3]) > 80
    image = tmp_path / "street.png"
    assert main([*words, "--image", str(image)]) == 0
    assert image.stat().st_size > 5000


def test_without_predictions_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["benchmark", "mapping", "--drives", "1", "--sets", str(tmp_path), "--predicted-only"]) == 2
    assert "leave --predicted-only out" in capsys.readouterr().err


def test_the_ceiling_is_what_any_set_shows() -> None:
    recipe = DriveRecipe(400_003, length_m=40)
    pose = recipe.trajectory.pose(5.0)
    truth = true_elements(recipe.road_map, pose)
    nothing = SeenSet(0, pose, ())
    half = [e for e in truth if e.label == "boundary"]
    boundary, all_of_it = (ceiling([(recipe.road_map, [nothing, SeenSet(1, pose, tuple(shown))])])
                           for shown in (half, truth))  # fmt: skip
    assert all_of_it.completeness == 1 and 0 < boundary.completeness < 1
    assert [share for share, _ in boundary.per_class().values()] == [0, 0, 1]
    elsewhere = ceiling([(recipe.road_map, [nothing, SeenSet(1, transform_from_yaw(3, 1, 0) @ pose, tuple(truth))])])
    assert elsewhere.completeness < 0.6


def test_a_loop_comes_back_to_where_it_began() -> None:
    recipe = LoopRecipe(400_004)
    follows = recipe.road_map.lane_successors
    assert all(b in follows[a] for a, b in pairwise([*recipe.lanes, recipe.lanes[0]]))
    path = loop_path(recipe.road_map, recipe.lanes)
    beyond = int(BEYOND_M / STEP_M)
    assert np.linalg.norm(np.diff(path, axis=0), axis=1).max() < 2 * STEP_M
    np.testing.assert_array_equal(path[:beyond], path[-beyond:])
    round_m = distances_along(path[:-beyond])[-1]
    assert SHORTEST_M < round_m < LONGEST_M
    # no shorter way back to any of its lanes, by the powers of the graph of lanes
    lengths = [distances_along(line)[-1] if len(line) > 1 else 0 for line in recipe.road_map.lane_centres_m]
    best = {lane: lengths[lane] for lane in follows[recipe.lanes[0]]}
    for _ in range(12):
        for lane, way in list(best.items()):
            for after in follows[lane]:
                best[after] = min(best.get(after, np.inf), way + lengths[after])
    assert sum(lengths[lane] for lane in recipe.lanes) == pytest.approx(best[recipe.lanes[0]])


def test_a_loop_of_a_map_without_any_is_refused() -> None:
    with pytest.raises(ValueError, match="has no loop of 200 to 400 m"):
        _ = LoopRecipe(400_009).trajectory


@pytest.mark.slow
def test_the_table_of_loops_tells_how_far_they_are_from_closed() -> None:
    recipe = LoopRecipe(400_004)
    sets = []
    for k in range(int(recipe.trajectory.duration_s)):
        pose = recipe.trajectory.pose(k)
        sets.append(SeenSet(k * SECOND, pose, tuple(true_elements(recipe.road_map, pose))))
    text = "\n".join(loop_report([(recipe.road_map, sets)], (0.01,)))
    rows = {row.split("|")[1].strip(): row.split("|") for row in text.split("Gap of each")[1].splitlines()[2:]
            if row.startswith("| ")}  # fmt: skip
    by_odometry, in_the_map = (float(rows["street map, odometry drifts by 1 %"][k]) for k in (2, 3))
    assert [float(rows["street map, odometry drifts by 1 %, no alignment"][k]) for k in (2, 3)] == [by_odometry] * 2
    assert 0.5 < by_odometry < 4 and in_the_map < 0.5 * by_odometry
    assert float(rows["street map, true poses"][2]) == 0


@pytest.mark.slow
def test_the_gaps_of_loops_with_the_truth_in_place_of_predictions(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    words = ["benchmark", "mapping", "--true-loops", "1", "--first-seed", "400004", "--drives", "1"]
    assert main([*words, "--out", str(tmp_path / "gaps.md")]) == 0
    text = capsys.readouterr().out.strip()
    assert (tmp_path / "gaps.md").read_text().strip() == text
    row = text.splitlines()[-1].split("|")
    gaps = [[float(value) for value in cell.split(" -> ")] for cell in row[2:6]]
    assert row[1].strip() == "400004" and gaps[0][0] == 0 and gaps[0][1] < 0.3
    assert all(after < 0.5 * before for before, after in gaps[1:])


def test_the_gap_of_a_loop_by_hand() -> None:
    square = [(0, 0, 0), (50, 0, 90), (50, 50, 180), (0, 50, 270), (0, 1, 0)]
    sets = [SeenSet(k, transform_from_yaw(x, y, np.radians(turn)), ()) for k, (x, y, turn) in enumerate(square)]
    moved = [transform_from_yaw(7, -3, 1) @ one.map_from_base for one in sets]
    assert gap_m(sets, moved) == pytest.approx(0, abs=1e-9)
    moved[-1] = moved[-1] @ transform_from_yaw(3, 4, 0)
    assert gap_m(sets, moved) == pytest.approx(5)
