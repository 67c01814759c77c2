"""Weights, quaternions and which row a frame shows."""

import numpy as np
import roma
import torch

from kinemesh.export.rig import Rig, held_rows, keyed_rows, strongest_weights, unit_quaternions


def test_strongest_weights_are_kept_and_scaled_and_none_of_the_body_is_lost(assets):
    weights = np.array([[0.1, 0.4, 0.05, 0.25, 0.2, 0.0], [0.0, 0.0, 1.0, 0.0, 0.0, 0.0]])
    skinning = strongest_weights(weights)
    assert skinning.joints.tolist() == [[1, 3, 4, 0], [2, 0, 0, 0]]
    np.testing.assert_allclose(skinning.weights[0], np.array([0.4, 0.25, 0.2, 0.1]) / 0.95, rtol=1e-6)
    assert skinning.weights[1].tolist() == [1, 0, 0, 0]
    skinning = strongest_weights(assets.skinning_weights)
    rebuilt = np.zeros_like(assets.skinning_weights)
    np.add.at(rebuilt, (np.arange(len(rebuilt))[:, None], skinning.joints.astype(int)), skinning.weights)
    np.testing.assert_allclose(rebuilt, assets.skinning_weights, atol=1e-6)


def test_quaternions_take_the_short_way_and_stand_for_the_same_rotations():
    turning = np.linspace(0, 12, 50)
    poses = np.zeros((50, 72))
    poses[:, :3] = np.random.default_rng(0).normal(0, 1, 3) / 3
    poses[:, 3] = np.angle(np.exp(1j * turning))
    quaternions = unit_quaternions(poses)
    assert (quaternions[1:] * quaternions[:-1]).sum(axis=-1).min() > 0
    rotations = roma.rotvec_to_rotmat(torch.from_numpy(poses).unflatten(-1, (24, 3)))
    np.testing.assert_allclose(roma.unitquat_to_rotmat(torch.from_numpy(quaternions)), rotations, atol=1e-12)


def test_joint_positions_are_smpls(tracks, assets, skinned):
    for track in tracks:
        _, expected = skinned(track, False)
        found = Rig(track, assets).joint_positions
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_rows_are_held_before_within_and_after_and_a_gap_gets_a_second_key():
    assert held_rows(np.array([2, 3, 6]), 9).tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    rows, frames = keyed_rows(np.array([2, 3, 6, 8, 9]))
    assert frames.tolist() == [2, 3, 5, 6, 7, 8, 9]
    assert rows.tolist() == [0, 1, 1, 2, 2, 3, 4]
