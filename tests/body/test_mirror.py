import pytest
import torch

from kinemesh.body.mirror import (
    mirror_axis_angle,
    mirror_inputs,
    mirror_keypoints,
    mirror_params,
    mirror_rotations,
    select_clips,
)
from kinemesh.geometry.rotation import axis_angle_to_matrix, matrix_to_axis_angle
from kinemesh.structures import BodyParams, MeshInputs, RefineInputs


@pytest.fixture
def vectors(reference):
    return {name: torch.tensor(array) for name, array in reference("geometry").items()}


@pytest.fixture
def refine_inputs():
    generator = torch.Generator().manual_seed(0)
    pose = torch.randn(2, 5, 24, 3, generator=generator)
    estimate = BodyParams(axis_angle_to_matrix(pose), torch.randn(2, 5, 10, generator=generator))
    return RefineInputs(torch.randn(2, 5, 17, 3, generator=generator), estimate)


def test_reference_vectors_and_rotations_that_mirror_as_axis_angles_do(vectors):
    torch.testing.assert_close(mirror_axis_angle(vectors["thetas"]), vectors["thetas_flipped"], atol=1e-5, rtol=0)
    torch.testing.assert_close(mirror_keypoints(vectors["keypoints"]), vectors["keypoints_flipped"], atol=1e-5, rtol=0)
    pose = vectors["thetas"].unflatten(-1, (24, 3)).double()
    expected = axis_angle_to_matrix(mirror_axis_angle(pose))
    torch.testing.assert_close(mirror_rotations(axis_angle_to_matrix(pose)), expected)


def test_each_is_its_own_inverse(refine_inputs):
    twice = mirror_inputs(mirror_inputs(refine_inputs))
    torch.testing.assert_close(twice, refine_inputs, atol=0, rtol=0)
    torch.testing.assert_close(mirror_axis_angle(mirror_axis_angle(torch.ones(3, 72))), torch.ones(3, 72))


def test_mirrored_body_is_the_mirror_image_of_the_joints(kinematics, refine_inputs):
    pose = 0.2 * matrix_to_axis_angle(refine_inputs.estimate.rotations)
    params = BodyParams(axis_angle_to_matrix(pose), refine_inputs.estimate.betas)
    joints = kinematics(params)
    mirrored = kinematics(mirror_params(params))
    root = joints[..., :1, :]
    image = mirror_keypoints(joints - root)
    # The stand-in body is symmetric within a millimetre at rest; a wrong joint pair is off by centimetres.
    assert ((mirrored - mirrored[..., :1, :]) - image).norm(dim=-1).mean() < 3.0


def test_clips_are_selected_whole_and_regressor_inputs_mirror_keypoints_only(refine_inputs):
    chosen = torch.tensor([True, False])
    mixed = select_clips(chosen, mirror_inputs(refine_inputs), refine_inputs)
    assert isinstance(mixed, RefineInputs)
    torch.testing.assert_close(mixed.keypoints[1], refine_inputs.keypoints[1])
    torch.testing.assert_close(mixed.keypoints[0], mirror_keypoints(refine_inputs.keypoints[0]))
    torch.testing.assert_close(mixed.estimate.rotations[0], mirror_rotations(refine_inputs.estimate.rotations[0]))
    keypoints = torch.rand(1, 2, 17, 3)
    torch.testing.assert_close(mirror_inputs(MeshInputs(keypoints)).keypoints, mirror_keypoints(keypoints))
