"""The bvh read back by its own reader: forward kinematics gives SMPL's joints."""

import numpy as np
import pytest
import roma
import torch

from kinemesh.body.skeleton import SMPL_JOINT_NAMES
from kinemesh.export.bvh import bvh_text
from kinemesh.export.rig import Rig
from kinemesh.structures import Timeline
from tests.export.conftest import FPS, FRAME_COUNT, TIMELINE, UNEVEN, scene_and_rig


def read_bvh(text: str):
    """Names, parents, offsets, channels of each joint in file order (ends left out), frame time, values (F, channels)."""
    words = text.split()
    names, parents, offsets, channels, ends = [], [], [], [], 0
    place, above, is_end = 1, [], False
    assert words[0] == "HIERARCHY"
    while words[place] != "MOTION":
        word = words[place]
        if word in ("ROOT", "JOINT"):
            names.append(words[place + 1])
            parents.append(above[-1] if above else -1)
            place += 2
        elif word == "End":
            is_end, place, ends = True, place + 2, ends + 1
        elif word == "{":
            above.append(None if is_end else len(names) - 1)
            place += 1
        elif word == "}":
            above.pop()
            is_end, place = False, place + 1
        elif word == "OFFSET":
            if not is_end:
                offsets.append([float(value) for value in words[place + 1 : place + 4]])
            place += 4
        elif word == "CHANNELS":
            count = int(words[place + 1])
            channels.append(words[place + 2 : place + 2 + count])
            place += 2 + count
        else:
            raise AssertionError(f"unexpected {word}")
    assert words[place + 1] == "Frames:" and words[place + 3 : place + 5] == ["Frame", "Time:"]
    values = np.array(words[place + 6 :], dtype=float).reshape(int(words[place + 2]), -1)
    return names, parents, np.array(offsets), channels, ends, float(words[place + 5]), values


def joint_positions(text: str) -> dict[str, np.ndarray]:
    """(F, 3) of each joint, as a reader places them: rotations multiply in the order of the channels."""
    names, parents, offsets, channels, _, _, values = read_bvh(text)
    world, places, column = [], [], 0
    for joint, own in enumerate(channels):
        rotation = torch.eye(3, dtype=torch.float64).expand(len(values), 3, 3)
        offset = np.tile(offsets[joint], (len(values), 1))
        for channel in own:
            axis, kind = channel[0].lower(), channel[1:]
            if kind == "position":
                offset[:, "xyz".index(axis)] += values[:, column]
            else:
                vector = torch.zeros(len(values), 3, dtype=torch.float64)
                vector[:, "xyz".index(axis)] = torch.from_numpy(np.radians(values[:, column]))
                rotation = rotation @ roma.rotvec_to_rotmat(vector)
            column += 1
        if joint:
            above = parents[joint]
            places.append(places[above] + (world[above] @ offset[..., None])[..., 0])
            world.append(world[above] @ rotation.numpy())
        else:
            places.append(offset)
            world.append(rotation.numpy())
    assert column == values.shape[1]
    return dict(zip(names, places, strict=True))


@pytest.mark.parametrize("number", [0, 1])
def test_joints_are_smpls(written, tracks, skinned, number):
    track = tracks[number]
    found = joint_positions((written / f"{track.name}.bvh").read_text())
    _, expected = skinned(track, False)
    assert sorted(found) == sorted(SMPL_JOINT_NAMES)
    for joint, name in enumerate(SMPL_JOINT_NAMES):
        error = found[name][track.frame_ids] - expected[:, joint] * [1, -1, -1]
        assert np.linalg.norm(error, axis=1).max() < 1e-4, name


def test_rows_are_the_videos_frames_and_gaps_hold_the_last_pose(written):
    names, _, offsets, channels, ends, frame_time, values = read_bvh((written / "2.bvh").read_text())
    assert len(values) == FRAME_COUNT
    assert frame_time == pytest.approx(1 / FPS)
    assert ends == 5
    np.testing.assert_array_equal(values[:6], np.tile(values[6], (6, 1)))
    np.testing.assert_array_equal(values[18:30], np.tile(values[17], (12, 1)))
    assert np.abs(values[30] - values[17]).max() > 1
    assert names[0] == "pelvis" and (offsets[0] == 0).all()
    assert channels[0] == ["Xposition", "Yposition", "Zposition", "Zrotation", "Xrotation", "Yrotation"]
    assert all(own == ["Zrotation", "Xrotation", "Yrotation"] for own in channels[1:])


def test_angles_do_not_jump_by_whole_turns(tracks, assets):
    turning = np.linspace(0, 6 * np.pi, 60)
    poses = np.zeros((60, 72), dtype=np.float32)
    poses[:, 1] = np.angle(np.exp(1j * turning))  # about y, as an estimator gives it: within half a turn
    track = tracks[0]._replace(frame_ids=np.arange(60), poses=poses, trans_m=np.zeros((60, 3), dtype=np.float32))
    *_, values = read_bvh(bvh_text(Rig(track, assets), Timeline.of_constant_rate(FPS, 60)))
    assert np.abs(np.diff(values[:, 3:], axis=0)).max() < 30


def test_gimbal_lock_still_gives_the_joints(tracks, assets, skinned):
    poses = np.random.default_rng(0).normal(0, 0.6, (8, 24, 3)).astype(np.float32)
    for row, angle in enumerate(np.array([-90, -89.9999, -89.99, 89.99, 89.9999, 90, 90.001, 180]) * np.pi / 180):
        poses[row, 13:15] = [angle, 0, 0]  # of joints that rest as SMPL's
    fields = {"frame_ids": np.arange(8), "poses": poses.reshape(8, 72), "trans_m": np.ones((8, 3), dtype=np.float32)}
    track = tracks[0]._replace(**fields)
    found = joint_positions(bvh_text(Rig(track, assets), Timeline.of_constant_rate(FPS, 8)))
    _, expected = skinned(track, False)
    for joint, name in enumerate(SMPL_JOINT_NAMES):
        assert np.linalg.norm(found[name] - expected[:, joint], axis=1).max() < 1e-4, name


@pytest.mark.parametrize("axes", ["y_up", "z_up", "camera"])
def test_in_a_world_feet_stand_on_its_floor(axes, filmed, skinned, assets):
    tracks, footage = filmed
    for track in tracks:
        _, rig = scene_and_rig(track, footage, assets, axes)
        found = joint_positions(bvh_text(rig, TIMELINE, is_z_up=axes == "z_up"))
        expected = skinned(track, False)[1]
        rows = np.minimum(track.frame_ids, len(footage.world.rotation) - 1)
        if axes == "camera":
            expected = expected * [1, -1, -1]
        else:
            turn, place_m = footage.world.rotation[rows, None], footage.world.position_m[rows, None]
            expected = (turn @ expected[..., None])[..., 0] + place_m
            if axes == "z_up":
                expected = expected[..., [0, 2, 1]] * [1, -1, 1]
            heights = expected[..., 2 if axes == "z_up" else 1]
            assert 0 < heights[:, 10:12].min(axis=1).mean() < 0.06 and heights[:, 15].min() > 1.2
        for joint, name in enumerate(SMPL_JOINT_NAMES):
            assert np.linalg.norm(found[name][track.frame_ids] - expected[:, joint], axis=1).max() < 1e-4, name


@pytest.mark.parametrize(("names", "is_z_up"), [("smpl", False), ("mixamo", True)])
def test_the_rest_pose_is_a_t_pose_for_every_shape(names, is_z_up, tracks, assets):
    """Arms along x, legs down, facing +z, or with z up -y; the left on +x."""
    for track in tracks:
        text = bvh_text(Rig(track, assets), TIMELINE, names, is_z_up=is_z_up)
        found, parents, offsets, *_, ends, _, _ = read_bvh(text)
        offsets = offsets[:, [0, 2, 1]] * [1, 1, -1] if is_z_up else offsets
        limbs = {"knee": "Leg", "ankle": "Foot", "elbow": "ForeArm", "wrist": "Hand"}
        for side, sign in (("left", 1), ("right", -1)):
            for joint, mixamo in limbs.items():
                name = f"{side}_{joint}" if names == "smpl" else f"mixamorig:{side.title()}{mixamo}"
                offset = offsets[found.index(name)]
                along = [0, -1, 0] if joint in ("knee", "ankle") else [sign, 0, 0]
                np.testing.assert_allclose(offset, np.linalg.norm(offset) * np.array(along), atol=1e-6)
                assert np.linalg.norm(offset) > 0.15
        assert all(parent < place for place, parent in enumerate(parents)) and ends == 5
        toes = [place for place, name in enumerate(found) if name.endswith(("_foot", "ToeBase"))]
        assert (offsets[toes, 2] > 0.08).all() and len(toes) == 2
        assert len(found) == (24 if names == "smpl" else 22)


def test_a_varying_rate_becomes_the_mean_rate(tracks, assets):
    """A row is what the video shows at that time."""
    *_, frame_time, values = read_bvh(bvh_text(Rig(tracks[0], assets), UNEVEN))
    *_, every = read_bvh(bvh_text(Rig(tracks[0], assets), Timeline.of_constant_rate(FPS, FRAME_COUNT)))
    assert frame_time == pytest.approx(1 / UNEVEN.fps) and len(values) == FRAME_COUNT
    for row in (0, 3, 17, 30):
        shown = np.flatnonzero(UNEVEN.time_s <= row / UNEVEN.fps + 1e-6)[-1]
        np.testing.assert_array_equal(values[row], every[shown])
    assert (values[1:] == values[:-1]).all(axis=1).any()
