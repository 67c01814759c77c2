"""The sheet: which moments, each from the camera and from the side, and keypoints faintly over the bodies."""

import numpy as np
import roma
import torch
from PIL import Image

from kinemesh.body.params import turned
from kinemesh.body.skeleton import H36M_JOINT_COUNT
from kinemesh.export.drawn.sheet import moments_of
from kinemesh.export.drawn.views import Views, draw_frame, frames_of
from kinemesh.export.rig import Rig
from kinemesh.export.scene import Footage
from kinemesh.geometry.camera import CAMERA_TO_Y_UP
from kinemesh.render.keypoints import SIDE_COLORS
from kinemesh.render.scene import BACKGROUND_COLOR
from kinemesh.structures import World
from tests.export.conftest import FRAME_COUNT, TIMELINE

CPU = torch.device("cpu")
GROUND = np.round(255 * np.array(BACKGROUND_COLOR))


def test_moments_are_spread_over_the_frames_that_show_somebody(tracks):
    assert moments_of(tracks[:1], TIMELINE).tolist() == [0, 6, 11, 17, 22, 28, 33, 39]
    late = moments_of(tracks[1:], TIMELINE)
    assert len(late) == 8 and set(late) <= set(tracks[1].frame_ids) and late[0] == 6 and late[-1] == FRAME_COUNT - 1
    assert moments_of([tracks[1]._replace(frame_ids=np.array([3, 99]))], TIMELINE).tolist() == [3]
    assert len(moments_of([], TIMELINE)) == 8


def test_everybody_is_seen_from_the_camera_and_from_the_side(written):
    with Image.open(written / "sheet.png") as stored:
        sheet = np.asarray(stored.convert("RGB")).astype(int)
    is_ground = np.abs(sheet - GROUND).max(axis=-1) <= 2
    # Cells are what is neither the page nor text: 2 x 4 moments of two views, each with a body in it.
    rows, columns = is_ground.mean(axis=1) > 0.5, is_ground.mean(axis=0) > 0.3
    starts = [np.flatnonzero(np.diff(np.concatenate([[0], cells.astype(int)])) == 1) for cells in (rows, columns)]
    assert [len(start) for start in starts] == [4, 4]
    for top in starts[0]:
        for left in starts[1]:
            assert (~is_ground[top : top + 96, left : left + 128]).mean() > 0.02


def test_the_side_view_is_level_where_the_vertical_is_known(tracks, camera, assets):
    """As if the camera were level: people who stand, stand."""
    tilt = roma.rotvec_to_rotmat(torch.tensor([0.35, 0.0, 0.0], dtype=torch.float64)).numpy()
    shift = np.array([0.0, 1.0, 0.5])
    world = World((CAMERA_TO_Y_UP @ tilt)[None], (CAMERA_TO_Y_UP @ shift)[None], "auto", 1.0, 0.0)
    pelvis = Rig(tracks[0], assets).rest_joints[0]
    poses, trans_m = turned(tracks[0].poses, tracks[0].trans_m, tilt, pelvis, pelvis)
    level = tracks[0]._replace(poses=poses.astype(np.float32), trans_m=(trans_m + shift).astype(np.float32))
    drawn = []
    for known, track in ((world, tracks[0]), (None, level)):
        views = Views.of(Footage(camera, TIMELINE, world=known), [Rig(track, assets)], assets, (128, 96))
        (frame,) = frames_of(views, np.array([10]), CPU)
        drawn.append(draw_frame(views, frame).frame.to_ndarray(format="rgb24").astype(int)[:, 128:])
    assert (np.abs(drawn[0] - drawn[1]).max(axis=-1) > 8).mean() < 0.002
    assert (np.abs(drawn[0] - GROUND).max(axis=-1) > 8).mean() > 0.02


def test_keypoints_are_seen_faintly_through_to_the_body(tracks, camera, assets):
    keypoints = np.full((FRAME_COUNT, H36M_JOINT_COUNT, 3), np.nan)
    keypoints[..., 2] = 0
    keypoints[10, [1, 2]] = [[90, 10, 1], [90, 80, 1]]  # right hip and knee
    keypoints[10, [4, 5]] = [[120, 10, 0.1], [120, 80, 0.1]]
    people = [Rig(tracks[0], assets)]
    drawn = []
    for shown in (None, {tracks[0].name: keypoints}):
        views = Views.of(Footage(camera, TIMELINE, keypoints_px=shown), people, assets, None)
        (frame,) = frames_of(views, np.array([10]), CPU)
        drawn.append(draw_frame(views, frame).frame.to_ndarray(format="rgb24").astype(int))
    change = np.abs(drawn[1] - drawn[0]).max(axis=-1)
    sure, unsure = change[40, 90], change[40, 120]
    full = np.abs(np.array(SIDE_COLORS["right"]) - drawn[0][40, 90]).max()
    assert 0.4 * full < sure < 0.8 * full and 0 < unsure < 0.5 * sure
    assert (change > 8).mean() < 0.05
