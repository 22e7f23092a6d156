import numpy as np

from mapkd_core.data.line_views import FAR_M, line_views
from mapkd_core.data.sample import Sample
from mapkd_core.types import MapElement

K = np.array([[80.0, 0, 63.5], [0, 80, 31.5], [0, 0, 1]])


def camera(yaw):
    """1.6 m above the ground, looking level."""
    c, s = np.cos(yaw), np.sin(yaw)
    pose = np.eye(4)
    pose[:3, :3] = [[s, 0, c], [-c, 0, s], [0, -1, 0]]
    pose[2, 3] = 1.6
    return pose


def sample(*elements):
    images, mountings = np.zeros((2, 64, 128, 3), np.uint8), np.stack([camera(0), camera(np.pi)])
    return Sample("a", images, np.stack([K, K]), mountings, tuple(elements))


def line(label, *points):
    return MapElement(label, np.array(points, np.float32))


def test_lines_are_drawn_where_they_project():
    views = line_views(sample(line("divider", (3, -1), (20, -1)), line("boundary", (8, -6), (8, 6))))
    assert views.shape == (2, 2, 16, 32) and set(np.unique(views)) == {0, 1}
    paint, edge = views[0]
    for x in (5.0, 8.0, 12.0):  # u = 63.5 + 80 / x, v = 31.5 + 80 * 1.6 / x, in cells of four pixels
        col, row = (63.5 + 80 / x + 0.5) / 4, (31.5 + 128 / x + 0.5) / 4
        assert paint[int(row) - 1 : int(row) + 2, int(col) - 1 : int(col) + 2].any(), x
    assert not paint[:8].any()  # nothing above the horizon
    rows = np.nonzero(edge.any(1))[0]
    assert rows.tolist() == [int((31.5 + 16 + 0.5) / 4)] and edge[rows[0]].sum() == 31  # pixels 3.5 to 123.5
    assert not views[1].any()  # behind


def test_lines_round_the_vehicle_are_cut_at_the_camera():
    views = line_views(sample(line("boundary", (-20, 3), (20, 3))))
    assert views[0, 1].any() and views[1, 1].any()
    assert not views[0, 1][:, 20:].any() and not views[1, 1][:, :12].any()  # left of the one, right of the other


def test_crossings_and_what_is_far_are_left_out():
    ring = MapElement("ped_crossing", np.array([(5, -1), (8, -1), (8, 1), (5, -1)], np.float32), closed=True)
    assert not line_views(sample(ring, line("divider", (FAR_M + 1, 0), (FAR_M + 9, 0)))).any()
