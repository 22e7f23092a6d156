import numpy as np

from mapkd_core.data.image_masks import MASK_SIZE, SURFACES, ImageMask
from mapkd_core.data.images import PixelImage
from mapkd_core.geometry import apply, inverse, project
from mapkd_core.metrics.image_agreement import image_agreement
from mapkd_core.metrics.seen_ground import SeenGround, distance_to_m, seen_ground
from mapkd_core.types import CameraView, MapElement

NUMBER = {name: number for number, name in enumerate(SURFACES)}
GRID = SeenGround.grid()


def ahead():
    """A camera 2 m above the ground that looks forward and down a little."""
    pitch = np.radians(20)
    forward, down = np.array([np.cos(pitch), 0, -np.sin(pitch)]), np.array([-np.sin(pitch), 0, -np.cos(pitch)])
    pose = np.eye(4)
    pose[:3, :3] = np.stack([np.array([0, -1, 0]), down, forward], 1)
    pose[:3, 3] = (0, 0, 2)
    k = np.array([[640, 0, 639.5], [0, 640, 359.5], [0, 0, 1.0]])
    return CameraView("front", 0, (1280, 720), k, pose, PixelImage(np.zeros((1, 1, 3), np.uint8)))


def mask_of(view, surface_at, paint_at):
    """A mask drawn by casting every pixel's ray to the ground: `surface_at(x, y)`, `paint_at(x, y)` on arrays."""
    width, height = MASK_SIZE
    col, row = np.meshgrid((np.arange(width) + 0.5) * 2 - 0.5, (np.arange(height) + 0.5) * 2 - 0.5)
    rays = np.stack([col, row, np.ones_like(col)], -1) @ np.linalg.inv(view.intrinsics).T
    rays = rays @ view.base_from_camera[:3, :3].T
    scale = np.where(rays[..., 2] < -1e-3, -view.base_from_camera[2, 3] / np.minimum(rays[..., 2], -1e-3), np.nan)
    x, y = (view.base_from_camera[k, 3] + scale * rays[..., k] for k in (0, 1))
    ground = np.isfinite(x)
    surface = np.where(ground, surface_at(x, y), NUMBER["other"]).astype(np.uint8)
    paint = np.where(ground & paint_at(x, y), 200, 0).astype(np.uint8)
    return ImageMask(surface, paint, np.zeros_like(paint))


def nothing(x, y):
    return np.zeros(np.shape(x), bool)


def street(x, y):
    """Road between y = -3 and 4, sidewalk beyond."""
    return np.where((y > -3) & (y < 4), NUMBER["road"], NUMBER["sidewalk"])


def cells(mask):
    return GRID.metres_from_cells(np.argwhere(mask)[:, ::-1] + 0.5)


def test_edges_and_paint_fall_where_they_are_on_the_ground():
    view = ahead()
    ground = seen_ground([view], [mask_of(view, street, lambda x, y: np.abs(y - 1) < 0.1)])
    edge, paint = cells(ground.edge), cells(ground.paint)
    assert np.minimum(np.abs(edge[:, 1] + 3), np.abs(edge[:, 1] - 4)).max() < 0.25 and len(edge) > 150
    assert np.abs(paint[:, 1] - 1).max() < 0.25 and paint[:, 0].max() > 14
    known = cells(ground.known)
    pixels, depth = project(apply(inverse(view.base_from_camera), np.c_[known, np.zeros(len(known))]), view.intrinsics)
    assert (depth > 0).all() and (np.abs(pixels - 639.5) < 641).all() and np.linalg.norm(known, axis=1).max() < 15


def test_a_wall_ends_the_road_on_its_near_side_only():
    view = ahead()
    wall = mask_of(view, lambda x, y: np.where((x > 6) & (x < 9), NUMBER["wall"], NUMBER["road"]), nothing)
    edge = cells(seen_ground([view], [wall]).edge)
    assert len(edge) and np.abs(edge[:, 0] - 6).max() < 0.3
    car = mask_of(view, lambda x, y: np.where((x > 6) & (x < 9), NUMBER["object"], NUMBER["road"]), nothing)
    hidden = seen_ground([view], [car])
    assert not hidden.edge.any() and not hidden.known[GRID.rows // 2, int((7 + 15) / 0.1)]


def test_the_line_along_the_edge_is_no_divider():
    view = ahead()
    ground = seen_ground([view], [mask_of(view, street, lambda x, y: (np.abs(y - 3.8) < 0.1) | (np.abs(y) < 0.1))])
    assert np.abs(cells(ground.paint)[:, 1]).max() < 0.4


def line(label, *points):
    return MapElement(label, np.array(points, np.float32))


def test_agreement_by_hand():
    known = np.zeros(GRID.shape, bool)
    known[:, 150:] = True  # x from 0 to 15 m
    paint, edge = np.zeros_like(known), np.zeros_like(known)
    paint[150, 150:250] = True  # y = 0.05, x from 0 to 10 m
    edge[200, 150:300] = True  # y = 5.05, x from 0 to 15 m
    lines = [
        line("divider", (-5, 0.05), (10, 0.05)),  # 5 m of it unknown, 10 m on paint
        line("divider", (0, -8), (14, -8)),       # 14 m on nothing
        line("boundary", (0, 5.75), (10, 5.75)),  # 0.7 m beside the edge
        line("divider", (0, 5.05), (4, 5.05)),    # on the edge: wrong, but not on nothing
    ]
    counts = image_agreement(lines, SeenGround(known, paint, edge))
    result = counts.as_dict()
    assert np.isclose(result["predicted_m_a_frame"]["divider"], 28, atol=0.3)
    assert np.isclose(result["precision"]["divider"]["0.5"], 10 / 28, atol=0.02)
    assert np.isclose(result["false_m_a_frame"]["divider"], 14, atol=0.3)
    assert result["recall"]["divider"]["0.5"] == 1 and result["precision"]["boundary"] == {"0.5": 0, "1": 1, "1.5": 1}
    assert result["recall"]["boundary"]["0.5"] == 0
    assert np.isclose(result["recall"]["boundary"]["1"], (10 + np.sqrt(1 - 0.49)) / 15, atol=0.02)
    assert result["false_m_a_frame"]["boundary"] == 0 and result["crossings_a_frame"] == 0
    assert result["precision"]["ped_crossing"] == {"0.5": None, "1": None, "1.5": None}


def test_crossings_are_counted_where_something_is_known_and_frames_add_up():
    known = np.zeros(GRID.shape, bool)
    known[:, 150:] = True
    ground = SeenGround(known, np.zeros_like(known), np.zeros_like(known))
    ring = [(3, -2), (6, -2), (6, 2), (3, 2), (3, -2)]
    here = MapElement("ped_crossing", np.array(ring, np.float32), closed=True)
    behind = MapElement("ped_crossing", np.array(ring, np.float32) - (10, 0), closed=True)
    far = MapElement("ped_crossing", np.array(ring, np.float32) + (20, 0), closed=True)
    one, two = image_agreement([here, behind, far], ground), image_agreement([], ground)
    both = (one + two).as_dict()
    assert both["crossings_a_frame"] == 0.5 and np.isclose(both["false_m_a_frame"]["ped_crossing"], 7, atol=0.2)


def test_distances_are_metres_between_cells():
    cells_ = np.zeros((5, 9), bool)
    assert np.isinf(distance_to_m(cells_)).all()
    cells_[2, 1] = True
    assert np.isclose(distance_to_m(cells_)[2, 7], 0.6) and distance_to_m(cells_)[2, 1] == 0


def test_a_predicted_line_finds_what_lies_in_its_own_row_of_cells():
    """Of a line one cell wide, paint five rows aside lies 0.5 m away, and six rows aside 0.6 m."""
    known, paint = np.ones(GRID.shape, bool), np.zeros(GRID.shape, bool)
    for rows_aside in (5, 6):
        paint[150 + rows_aside, 160:200] = True
        counts = image_agreement([line("divider", (-14, 0.05), (14, 0.05))], SeenGround(known, paint, known & False))
        paint[:] = False
        assert counts.found[0].tolist() == ([40, 40, 40] if rows_aside == 5 else [0, 40, 40])
        assert counts.seen.tolist() == [40, 0]
