"""A camera's path is checked line by line, brought to metres by feet that rest, and missed where feet never do."""

import numpy as np
import pytest

from kinemesh.errors import UserError
from kinemesh.motion.anatomy import rotation_matrices
from kinemesh.world.cameras import CameraPath, in_metres, read_camera_path, up_of_angles, warn_of_movement
from kinemesh.world.figures import Figure

FPS = 30.0
EYE = np.eye(3)


@pytest.mark.parametrize(
    ("arrays", "told"),
    [
        ({"R": np.zeros((4, 3, 3)), "t": np.zeros((4, 3))}, "'R' of frame 0 is no rotation"),
        ({"R": np.tile(-EYE, (4, 1, 1)), "t": np.zeros((4, 3))}, "is no rotation"),
        ({"R": np.tile(EYE, (4, 1, 1)), "t": np.zeros((3, 3))}, "'R' is of 4 frames, 't' of 3"),
        ({"R": np.tile(EYE, (4, 1, 1))}, "no 't' in it"),
        ({"R": EYE, "t": np.zeros((4, 3))}, r"'R' is float64 \(3, 3\)"),
        ({"R": np.tile(EYE, (4, 1, 1)), "t": np.full((4, 3), np.nan)}, "'t' holds nan"),
        ({"R": np.tile(EYE, (4, 1, 1)), "t": np.full((4, 3), 1e39)}, "'t' holds 1e\\+39"),
        ({"R": np.tile(EYE, (4, 1, 1)), "t": np.zeros((4, 3)), "up": np.zeros(3)}, "'up' is no direction"),
        (None, "not found"),
    ],
)
def test_a_file_that_is_no_path_is_told_in_one_line(arrays, told, tmp_path):
    path = tmp_path / "camera.npz"
    if arrays is not None:
        np.savez(path, **arrays)
    with pytest.raises(UserError, match=told) as caught:
        read_camera_path(path)
    assert "\n" not in str(caught.value)


def test_angles_are_of_a_camera_that_looks_down_and_is_turned_clockwise():
    np.testing.assert_allclose(up_of_angles(0, 0), (0, -1, 0), atol=1e-12)
    np.testing.assert_allclose(up_of_angles(90, 0), (0, 0, -1), atol=1e-12)
    # Turned clockwise by a quarter, up is the picture's left.
    np.testing.assert_allclose(up_of_angles(0, 90), (-1, 0, 0), atol=1e-12)


@pytest.fixture
def moving(scene) -> tuple[CameraPath, list[np.ndarray]]:
    """A path, and people's points (F, P, 3) as that camera sees them, in metres."""
    time = np.linspace(0, 1, 90)[:, None]
    turns = rotation_matrices(0.5 * time * (0.1, 1.0, 0.0)) @ scene.turn
    trans = 1.5 * np.sin(3 * time) * (1.0, 0.1, 0.4) + (0.0, 0.0, 4.0)
    return CameraPath(turns, trans), [points @ turns.mT + trans[:, None] for points in scene.points_m]


@pytest.mark.parametrize("unit_m", [0.2, 1.0, 7.0])
def test_a_path_in_any_unit_is_brought_to_metres(unit_m, moving, scene):
    path, seen = moving
    frames = [np.arange(90)] * 2
    found, scale = in_metres(path._replace(trans=path.trans / unit_m), seen, frames)
    assert scale == pytest.approx(unit_m, rel=0.07)
    still = found.still(seen[0], frames[0])
    assert np.abs(still - scene.points_m[0]).max() < 0.5
    np.testing.assert_allclose(path.still(seen[0], frames[0]), scene.points_m[0], atol=1e-9)


def test_a_camera_that_only_turns_has_no_unit(moving):
    path, seen = moving
    turning = path._replace(trans=np.zeros((90, 3)))
    assert in_metres(turning, seen, [np.arange(90)] * 2)[1] == 1.0


def test_feet_that_never_rest_ask_for_a_path(moving, scene, caplog):
    assert not warn_of_movement(scene.figures, FPS)
    # Estimates whose feet never rest, because they tremble to and fro by a decimetre, are no moving camera.
    sway = 0.12 * np.sin(2 * np.pi * np.outer(np.arange(90) / FPS, (2.0, 2.6, 3.3)))
    trembling = [figure._replace(points_m=figure.points_m + sway[:, None]) for figure in scene.figures]
    assert not warn_of_movement(trembling, FPS)
    # Nor are two who are both estimated to slide along, each the way that it walks.
    slid = 0.6 * np.arange(90)[:, None, None] / FPS * (1.0, 0.0, 0.0)
    sliding = [
        figure._replace(points_m=figure.points_m + way * slid)
        for figure, way in zip(scene.figures, (1, -1), strict=True)
    ]
    assert not warn_of_movement(sliding, FPS)
    together = [figure._replace(points_m=figure.points_m + slid) for figure in scene.figures]
    assert warn_of_movement(together, FPS)
    seen = [Figure(np.arange(90), points, np.zeros((90, 3)), np.ones(90, bool)) for points in moving[1]]
    with caplog.at_level("WARNING", "kinemesh"):
        assert warn_of_movement(seen, FPS)
    assert "--camera" in caplog.text
