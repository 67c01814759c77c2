"""A cut shows what its region holds, and points in it go back to where they were in the picture."""

import numpy as np
import pytest

from kinemesh.detect.regions import Region, cut_out, to_picture

HEIGHT, WIDTH = 90, 120


@pytest.fixture(scope="module")
def places() -> np.ndarray:
    """A picture whose colours are each pixel's own place, x and y of its middle."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return np.stack((2 * x, 2 * y, np.full_like(x, 200)), axis=-1).astype(np.uint8)


@pytest.mark.parametrize(
    ("region", "size"),
    [
        (Region((60.0, 45.0), 40.0), (40, 40)),
        (Region((50.0, 40.0), 30.0, 0.7), (64, 64)),  # turned, and enlarged
        (Region((61.0, 44.0), 64.0, -2.0), (16, 16)),  # upside down, four pixels in one
        (Region((60.0, 45.0), 48.0), (24, 32)),  # narrower than high
    ],
)
def test_a_pixel_of_a_cut_is_the_picture_where_its_place_says(places, region, size):
    cut = cut_out(places, region, size).astype(float)
    width, height = size
    assert cut.shape == (height, width, 3)
    y, x = np.mgrid[:height, :width] + 0.5
    in_parts = np.stack((x - width / 2, y - height / 2), axis=-1) / height + 0.5
    expected = 2 * (to_picture(in_parts, region) - 0.5)
    step = region.side_px / height
    np.testing.assert_allclose(cut[..., :2], expected, atol=1.5 + step)
    assert (cut[..., 2] >= 199).all()


def test_outside_the_picture_it_is_black(places):
    cut = cut_out(places, Region((0.0, 45.0), 40.0), (40, 40))
    assert (cut[:, :19] == 0).all()
    assert (cut[:, 21:, 2] == 200).all()
    assert (cut_out(places, Region((-500.0, 45.0), 40.0), (8, 8)) == 0).all()
