import dataclasses

import numpy as np
import pytest
import torch

from kinemesh.body.skeleton import H36M_MIRROR_ORDER
from kinemesh.program.check.projection import body_height_mm, fit_projection


def changed(split, keypoints_px):
    return dataclasses.replace(split, keypoints_px=keypoints_px)


def test_the_demo_data_fit_and_swapped_left_and_right_show(small_dataset, kinematics):
    split, order = small_dataset.train, list(H36M_MIRROR_ORDER)
    straight = fit_projection(split, kinematics)
    assert straight.residual < 0.03
    assert straight.swapped_residual > 2 * straight.residual
    assert straight.swapped_share < 0.05
    changes = {"keypoints_px": split.keypoints_px[:, order], "confidence": split.confidence[:, order]}
    swapped = fit_projection(dataclasses.replace(split, **changes), kinematics)
    assert swapped.swapped_share > 0.95
    assert swapped.swapped_residual == pytest.approx(straight.residual)


def test_no_camera_is_needed(small_dataset, kinematics):
    """Any scale and shift of the picture gives the same residual."""
    split = small_dataset.test
    moved = changed(split, split.keypoints_px * 0.37 + torch.tensor([120.0, -45.0]))
    residuals = [fit_projection(each, kinematics).residual for each in (moved, split)]
    assert residuals[0] == pytest.approx(residuals[1], rel=1e-3)


def test_keypoints_of_another_body_do_not_fit_and_the_height_is_a_bodys(small_dataset, kinematics):
    split = small_dataset.train
    shuffled = changed(split, split.keypoints_px[np.random.default_rng(0).permutation(split.frame_count)])
    upside_down = changed(split, -split.keypoints_px)
    for wrong in (shuffled, upside_down):
        assert fit_projection(wrong, kinematics).residual > 0.1
    assert body_height_mm(kinematics, torch.zeros(1, 10)).item() == pytest.approx(1600, abs=250)
