"""Estimates made from the truth: of every quality, the same for a batch whatever number of processes share it."""

import torch

from kinemesh.body.chain import global_rotations
from kinemesh.body.params import params_from_axis_angle
from kinemesh.body.skeleton import SMPL_JOINT_COUNT
from kinemesh.estimates.errors import draw_errors, err, estimate_anew, turn_in_camera
from kinemesh.geometry.rotation import axis_angle_to_matrix, rotation_angle
from kinemesh.machine.seeds import set_step_seed
from kinemesh.structures import Batch, BatchPart, RefineInputs

CLIPS, FRAMES = 64, 8


def bodies(scale: float):
    return params_from_axis_angle(
        scale * torch.randn(CLIPS, FRAMES, 72), torch.randn(CLIPS, 1, 10).expand(-1, FRAMES, -1)
    )


def test_estimates_are_of_every_quality_from_the_truth_itself_on():
    torch.manual_seed(0)
    truth = bodies(0.3)
    file = params_from_axis_angle(0.3 * torch.randn(CLIPS, FRAMES, 72), torch.zeros(CLIPS, FRAMES, 10))
    errors = draw_errors(CLIPS, FRAMES, torch.device("cpu"))
    made = err(truth, file, torch.ones(CLIPS, FRAMES, 17), errors)
    angles = rotation_angle(made.rotations @ truth.rotations.mT).rad2deg().mean(dim=(1, 2))
    own = errors.keeps_own
    assert 0.2 < own.float().mean() < 0.6
    assert angles[~own].min() < 1.5
    assert 6 < angles[~own].max() < 25
    # Beside the file's estimate, error goes by the scale, up to one and a half times.
    usual = rotation_angle(file.rotations @ truth.rotations.mT).rad2deg().mean(dim=(1, 2))
    near = own & (errors.scales < 1)
    torch.testing.assert_close(angles[near], (errors.scales * usual)[near], atol=0.3, rtol=0.02)
    none = errors._replace(scales=torch.zeros(CLIPS))
    same = err(truth, file, torch.ones(CLIPS, FRAMES, 17), none)
    torch.testing.assert_close(same.rotations, truth.rotations, atol=1e-5, rtol=0)
    torch.testing.assert_close(same.betas, truth.betas)


def test_each_bone_turns_about_the_cameras_axes():
    torch.manual_seed(0)
    rotations = bodies(0.5).rotations[0, :1].double()
    turns = torch.eye(3, dtype=torch.float64).repeat(1, SMPL_JOINT_COUNT, 1, 1)
    turns[:, 18] = axis_angle_to_matrix(torch.tensor([0.0, 0.0, 0.3], dtype=torch.float64))
    before, after = (
        torch.from_numpy(global_rotations(each.numpy())) for each in (rotations, turn_in_camera(rotations, turns))
    )
    torch.testing.assert_close(after[:, 18], turns[:, 18] @ before[:, 18], atol=1e-5, rtol=0)
    torch.testing.assert_close(after[:, 17], before[:, 17], atol=1e-5, rtol=0)


def test_parts_of_a_batch_get_what_the_whole_would():
    torch.manual_seed(0)
    truth, file = bodies(0.3), bodies(0.3)
    inputs = RefineInputs(torch.rand(CLIPS, FRAMES, 17, 3), file)
    frames = torch.zeros(CLIPS, FRAMES, dtype=torch.int64)
    whole = Batch(inputs, truth, frames, frames[:, 0], frames == 0, BatchPart(0, 0, CLIPS, 1.0, 1.0, True))

    def part(first: int, last: int) -> Batch:
        chosen = slice(first, last)
        body = [type(truth)(*(column[chosen] for column in each)) for each in (truth, file)]
        places = frames[chosen], frames[chosen, 0], frames[chosen] == 0
        return Batch(
            RefineInputs(inputs.keypoints[chosen], body[1]),
            body[0],
            *places,
            BatchPart(0, first, CLIPS, 0.5, 1.0, True),
        )

    found = []
    for batch in (whole, part(0, 24), part(24, CLIPS)):
        set_step_seed(3, 1, 2)
        found.append(estimate_anew(batch).inputs.estimate.rotations)
    torch.testing.assert_close(torch.cat(found[1:]), found[0], atol=1e-6, rtol=0)
