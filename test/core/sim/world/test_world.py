import numpy as np
import pytest
import shapely
from small_world import CENTRE_M, HALF_ROAD_M, at, road_map, world

from mapkd_core.sim.world import solids as kinds
from mapkd_core.sim.world.conditions import WEATHERS, Conditions
from mapkd_core.sim.world.world import build_world
from mapkd_core.vector_map import VectorMap


@pytest.fixture(scope="module")
def street():
    times = np.arange(0, 10, 0.25)
    ego = np.column_stack([CENTRE_M[0] - 40 + 8 * times, np.full(len(times), CENTRE_M[1] - 1.6), times])
    return build_world(road_map(), CENTRE_M, 60.0, Conditions(), 5, keep_clear=ego, cell_m=0.2), ego


def footprints(scene, chosen: np.ndarray) -> list[shapely.Polygon]:
    result = []
    for i in np.nonzero(chosen)[0]:
        c, s = np.cos(scene.solids.yaw[i]), np.sin(scene.solids.yaw[i])
        square = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * scene.solids.half_m[i, :2]
        result.append(shapely.Polygon(square @ np.array([[c, s], [-s, c]]) + scene.solids.centre_m[i, :2]))
    return result


def test_buildings_stand_off_the_road_and_apart(street):
    scene, _ = street
    base = (scene.solids.style == kinds.BUILDING) & (scene.solids.centre_m[:, 2] - scene.solids.half_m[:, 2] < 0)
    blocks = footprints(scene, base)
    road = shapely.box(-80, -HALF_ROAD_M, 80, HALF_ROAD_M)
    assert len(blocks) > 5
    assert min(block.distance(road) for block in blocks) > 3
    overlaps = [a.intersection(b).area for i, a in enumerate(blocks) for b in blocks[:i]]
    assert max(overlaps) < 0.01


def test_nothing_stands_or_drives_where_the_ego_is(street):
    scene, ego = street
    centre, _, present = scene.solids.poses(ego[:, 2])
    low = scene.solids.centre_m[:, 2] - scene.solids.half_m[:, 2] < 2.0
    gap = np.hypot(*np.moveaxis(centre[..., :2] - (ego[:, None, :2] - CENTRE_M), -1, 0))
    vehicles = np.isin(scene.solids.style, (kinds.CAR_BODY, kinds.CAR_CABIN))
    assert (vehicles & (scene.solids.mover >= 0)).sum() >= 2
    assert gap[:, vehicles & low][present[:, vehicles & low]].min() > 2.5


def test_the_seed_decides_and_the_arguments_repeat():
    first, again, other = (world(Conditions(), bare=False, seed=seed, cell_m=0.2) for seed in (7, 7, 8))
    assert first.solids.centre_m.tobytes() == again.solids.centre_m.tobytes()
    assert first.ground.edge_m.numpy().tobytes() == again.ground.edge_m.numpy().tobytes()
    assert len(other.solids) != len(first.solids) or (other.solids.centre_m != first.solids.centre_m).any()


def test_height_and_slope_agree_and_flat_is_flat(street):
    flat, _ = street
    assert flat.height_m(at(3, 4)) == 0 and not flat.slope(at(3, 4)).any()
    hilly = world(Conditions(slope=0.05), cell_m=0.2)
    xy = CENTRE_M + np.random.default_rng(0).uniform(-50, 50, (200, 2))
    step = 1e-3
    for axis in range(2):
        ahead = xy.copy()
        ahead[:, axis] += step
        rise = (hilly.height_m(ahead) - hilly.height_m(xy)) / step
        np.testing.assert_allclose(rise, hilly.slope(xy)[:, axis], atol=1e-4)
    steepest = np.hypot(*hilly.slope(xy).T).max()
    assert 0.005 < steepest <= 0.05


def test_a_place_without_road_is_refused():
    with pytest.raises(ValueError, match="no road within"):
        build_world(road_map(), CENTRE_M + 5000, 60.0, Conditions(), 1, cell_m=0.2)
    with pytest.raises(ValueError, match="no road within"):
        build_world(VectorMap("empty"), CENTRE_M, 60.0, Conditions(), 1, cell_m=0.2)


def test_random_conditions_are_valid_varied_and_seeded():
    drawn = [Conditions.sample(np.random.default_rng(seed)) for seed in range(200)]
    assert {c.weather for c in drawn} == set(WEATHERS)
    assert drawn[3] == Conditions.sample(np.random.default_rng(3))
    assert 0.2 < np.mean([c.slope > 0 for c in drawn]) < 0.95
    with pytest.raises(ValueError, match="weather 'hail'"):
        Conditions(weather="hail")
    with pytest.raises(ValueError, match="slope"):
        Conditions(slope=0.5)
