import cv2
import numpy as np
import pytest

from mapkd_core.data.image_masks import MASK_SIZE, SURFACES, UNKNOWN, ImageMask, image_key, write_mask
from mapkd_core.data.street_images import StreetImages, images_below, line_targets, with_style

ROAD, SIDEWALK, OBJECT = (SURFACES.index(name) for name in ("road", "sidewalk", "object"))
SIZE = (192, 96)


def flat_mask(surface=ROAD):
    shape = MASK_SIZE[::-1]
    return ImageMask(np.full(shape, surface, np.uint8), np.zeros(shape, np.uint8), np.zeros(shape, np.uint8))


@pytest.fixture
def folder(tmp_path):
    """One image whose brightness tells its mask's surface: a road that ends in a slanting line, with paint."""
    (tmp_path / "images").mkdir()
    col, row = np.meshgrid(np.arange(MASK_SIZE[0]), np.arange(MASK_SIZE[1]))
    road = col < 250 + row // 2
    mask = ImageMask(
        np.where(road, ROAD, SIDEWALK).astype(np.uint8), np.where(abs(col - 100) < 12, 255, 0).astype(np.uint8),
        np.zeros(road.shape, np.uint8),
    )
    image = np.where(road, 200, 40).astype(np.uint8)
    image[mask.paint > 0] = 250
    path = tmp_path / "images" / "a.png"
    cv2.imwrite(str(path), np.repeat(image[..., None], 3, -1))
    (tmp_path / "masks").mkdir()
    write_mask(tmp_path / "masks", image_key(path.read_bytes()), mask)
    (tmp_path / "images" / "without.png").write_bytes(path.read_bytes() + b"another")
    return tmp_path


def opened(folder, strength=0.0):
    return StreetImages([str(folder / "images")], str(folder / "masks"), SIZE, strength)


def test_images_without_a_mask_are_left_out_and_counted(folder, caplog):
    assert len(opened(folder).images) == 1
    assert "1 of 2 images of data.streets have no mask" in caplog.text


def test_targets_lie_over_what_the_cut_image_shows(folder):
    streets = opened(folder)
    views = streets.draw(12, np.random.default_rng(0))
    assert views.images.shape == (12, 96, 192, 3)
    assert views.surface.shape == (12, 24, 48) and views.lines.shape == (12, 2, 24, 48)
    for image, surface, lines in zip(views.images, views.surface, views.lines, strict=True):
        small = cv2.resize(image[..., 0], (48, 24), interpolation=cv2.INTER_AREA)
        clear = (small < 60) | (small > 190)
        assert ((surface == ROAD) == (small > 120))[clear].mean() > 0.98
        between = (small >= 70) & (small < 170)  # cells that hold both road and sidewalk
        assert lines[1][between].mean() > 0.7 and lines[1][small > 240].max(initial=0) == 0
        assert lines[0][small > 245].min(initial=1) == 1 and not lines[0][small < 195].any()
    sides = [surface[:, 0].mean() for surface in views.surface]
    assert len(set(np.round(sides, 2))) > 1  # mirrored at times


def test_draws_follow_from_the_generator(folder):
    streets = opened(folder, 0.8)
    one, same, other = (streets.draw(2, np.random.default_rng(seed)) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one.images, same.images)
    assert not np.array_equal(one.images, other.images)
    assert streets.style(np.random.default_rng(0)).shape == (96, 192, 3)


def test_folders_without_masks_are_an_error(folder):
    with pytest.raises(ValueError, match="mapkd masks"):
        StreetImages([str(folder / "masks")], str(folder / "masks"), SIZE, 0.0)


def test_labels_beside_images_are_no_images(folder):
    (folder / "images_labels").mkdir()
    (folder / "images_labels" / "a.png").write_bytes(b"")
    assert [p.name for p in images_below(folder)][:2] == ["a.png", "without.png"] and len(images_below(folder)) == 3


def test_line_targets_by_hand():
    mask = flat_mask()
    mask.surface[:100] = SIDEWALK
    mask.surface[100:140, 300:340] = OBJECT
    mask.paint[200:204] = 255   # a line across the road
    mask.paint[103:105] = 255   # along its edge
    mask.paint[120:124, 305:335] = 255  # on a vehicle
    paint, edge = line_targets(mask).transpose(2, 0, 1)
    assert edge[98:101, 10:290].max(0).all() and not edge[104:].any() and not edge[:96].any()
    assert not edge[:, 305:335].any()  # a vehicle ends no road
    assert paint[200:204].all() and not paint[:190].any()


def test_the_whole_image_has_no_edge():
    assert not line_targets(flat_mask())[..., 1].any() and not line_targets(flat_mask(UNKNOWN)).any()


def test_style_moves_large_scale_light_and_keeps_what_is_where():
    rng = np.random.default_rng(0)
    row, col = np.mgrid[:48, :96]
    image = np.clip(120 + 60 * np.sin(col / 2.0)[..., None] + rng.normal(0, 5, (48, 96, 3)), 0, 255).astype(np.uint8)
    style = np.clip(np.stack([90 + row, 60 + 0 * row, 140 - row], -1), 0, 255).astype(np.uint8)
    assert np.abs(with_style(image[None], style, 0.0)[0].astype(int) - image).max() <= 1
    whole, half = (with_style(image[None], style, share)[0].astype(float) for share in (1.0, 0.5))
    np.testing.assert_allclose(whole.mean((0, 1)), style.mean((0, 1)), atol=1.5)
    np.testing.assert_allclose(half.mean((0, 1)), (style.mean((0, 1)) + image.mean((0, 1))) / 2, atol=1.5)
    for channel in range(3):
        fine = [v[..., channel] - cv2.blur(v[..., channel], (13, 13)) for v in (whole, image.astype(float))]
        assert np.corrcoef(fine[0].ravel(), fine[1].ravel())[0, 1] > 0.9
