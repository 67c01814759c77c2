import dataclasses

import numpy as np
import pytest
import torch

from kinemesh.body.skeleton import H36M_MIRROR_ORDER
from kinemesh.program.check.projection import body_height_mm, fit_projection


def changed(split, keypoints_px):
    return dataclasses.replace(split, keypoints_px=keypoints_px)


def test_the_demo_data_fit(small_dataset, kinematics):
    fit = fit_projection(small_dataset.train, kinematics)
    assert fit.residual < 0.03
    assert fit.swapped_residual > 2 * fit.residual
    assert fit.swapped_share < 0.05


def test_swapped_left_and_right_show(small_dataset, kinematics):
    split = small_dataset.train
    straight = fit_projection(split, kinematics)
    order = list(H36M_MIRROR_ORDER)
    swapped = dataclasses.replace(
        split, keypoints_px=split.keypoints_px[:, order], confidence=split.confidence[:, order]
    )
    fit = fit_projection(swapped, kinematics)
    assert fit.swapped_share > 0.95
    assert fit.swapped_residual == pytest.approx(straight.residual)


def test_no_camera_is_needed(small_dataset, kinematics):
    """Any scale and shift of the picture gives the same residual."""
    split = small_dataset.test
    moved = changed(split, split.keypoints_px * 0.37 + torch.tensor([120.0, -45.0]))
    assert fit_projection(moved, kinematics).residual == pytest.approx(
        fit_projection(split, kinematics).residual, rel=1e-3
    )


def test_keypoints_of_another_body_do_not_fit(small_dataset, kinematics):
    split = small_dataset.train
    shuffled = changed(split, split.keypoints_px[np.random.default_rng(0).permutation(split.frame_count)])
    upside_down = changed(split, -split.keypoints_px)
    for wrong in (shuffled, upside_down):
        assert fit_projection(wrong, kinematics).residual > 0.1


def test_height(kinematics):
    assert body_height_mm(kinematics, torch.zeros(1, 10)).item() == pytest.approx(1600, abs=250)
