"""Clips follow from seed and number alone, and what they show is what their bodies look like."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation, Slerp

from kinemesh.body.kinematics import JointKinematics
from kinemesh.body.skeleton import H36M_JOINT_NAMES, MM_PER_M
from kinemesh.geometry.camera import project
from kinemesh.geometry.rotation import axis_angle_to_matrix
from kinemesh.machine.seeds import Draws, draw_keys
from kinemesh.structures import BodyParams
from kinemesh.synthesis.clips import Synthesizer, change_speed
from kinemesh.synthesis.recipe import DEFAULT, SCORED
from tests.synthesis.conftest import FPS


@pytest.fixture(scope="module")
def make(assets, people):
    """Clips of the people of these numbers."""

    def synthesize(recipe, numbers=None, seed=0, device="cpu"):
        numbers = torch.arange(len(people.betas)) if numbers is None else torch.tensor(numbers)
        parts = (people.rotations[numbers], people.betas[numbers], people.root_m[numbers])
        draws = Draws(draw_keys(numbers, seed).to(device))
        return Synthesizer(assets, recipe).to(device)(draws, *(part.to(device) for part in parts), FPS)

    return synthesize


def test_a_clip_is_the_same_in_any_batch_and_another_for_another_seed(make):
    whole, part, again = make(DEFAULT), make(DEFAULT, [7, 3]), make(DEFAULT)
    for values, few, same in zip(whole[:3], part[:3], again[:3], strict=True):
        assert torch.equal(values, same)
        torch.testing.assert_close(values[[7, 3]], few, atol=2e-3, rtol=1e-5)
    assert (whole.detected.is_dropped[[7, 3]] == part.detected.is_dropped).all()
    other = make(DEFAULT, seed=1)
    assert (whole.image_size != other.image_size).any(dim=1).float().mean() > 0.95
    assert (whole.cameras.focal_px == other.cameras.focal_px).float().mean() < 0.05


def test_projections_are_those_of_the_camera_within_a_ten_thousandth_of_a_pixel(make, exact, assets):
    clips = make(exact)
    focal, centre = clips.cameras.focal_px.double().numpy(), clips.cameras.centre_px.double().numpy()
    expected = project(clips.joints_m.double().numpy(), focal[:, None, None, None], centre[:, None, None])
    is_inside = ((expected >= 0) & (expected <= clips.image_size.numpy()[:, None, None])).all(axis=-1)
    assert np.abs(clips.true_px.numpy() - expected)[is_inside].max() < 1e-4
    assert is_inside.mean() > 0.8 and (is_inside == (clips.confidence.numpy() > 0)).mean() > 0.9999
    is_seen = clips.confidence > 0
    assert (clips.keypoints_px - clips.true_px)[is_seen].abs().max() < 1e-4
    # The body in camera axes is the one that is seen.
    joints = JointKinematics(assets, torch.float64)(BodyParams(*(part.double() for part in clips.target))) / MM_PER_M
    apart = (joints - joints[:, :, :1]) - (clips.joints_m - clips.joints_m[:, :, :1]).double()
    assert apart.abs().max() < 1e-5


def test_the_network_reads_pixels_by_the_pictures_width(make, exact):
    clips = make(exact, [0, 1, 2])
    width, height = clips.image_size[1]
    is_seen = clips.confidence[1] > 0
    pixels = (clips.keypoints[1, ..., :2] + torch.stack((torch.ones(()), height / width))) * width / 2
    assert (pixels - clips.true_px[1])[is_seen].abs().max() < 1e-3 and is_seen.any()
    assert torch.equal(clips.keypoints[..., 2], clips.confidence)


def test_detectors_have_joints_of_their_own(make, exact, perfect_noise):
    recipe = exact._replace(noise=perfect_noise(definition_share=(1.0, 1.0)))
    clips = make(recipe)
    assert clips.detectors.bincount(minlength=4).min() > 0.15 * len(clips.detectors)
    depth = clips.joints_m[..., 2:]
    off_m = (clips.keypoints_px - clips.true_px) / clips.cameras.focal_px[:, None, None, None] * depth
    head = H36M_JOINT_NAMES.index("head_top")
    is_seen = clips.confidence[..., head] > 0
    by_detector = [off_m[..., head, :].norm(dim=-1)[is_seen & (clips.detectors == n)[:, None]].mean() for n in range(4)]
    # Eyes instead of a head top, but for Halpe.
    assert by_detector[1] < 1e-3 and min(by_detector[0], by_detector[2], by_detector[3]) > 0.05


def test_speed_changes_within_its_range_and_interpolates_on_the_shorter_way(draws, assets):
    frames, clips = 16, 400
    varied, scored = (Synthesizer(assets, recipe) for recipe in (DEFAULT, SCORED))
    sources = varied.source_frames(frames)
    assert sources == 24 and scored.source_frames(frames) == frames and varied.source_frames(1) == 1
    turn = torch.linspace(2.5, 3.6, sources)  # past half a turn
    poses = torch.zeros(clips, sources, 24, 3)
    poses[..., 5, 1] = turn
    poses = torch.from_numpy(Rotation.from_rotvec(poses.numpy().reshape(-1, 3)).as_rotvec()).float()
    poses = poses.view(clips, sources, 72)
    root = torch.arange(sources).float()[:, None].expand(clips, -1, 3)
    there = torch.full((clips,), sources)
    rotations, moved = change_speed(draws(clips), DEFAULT, poses, root, there, frames)
    speed = moved[:, 1, 0] - moved[:, 0, 0]
    torch.testing.assert_close(moved.diff(dim=1), speed[:, None, None].expand(-1, frames - 1, 3), atol=1e-5, rtol=0)
    assert 0.66 < speed.min() < 0.7 and 1.4 < speed.max() < 1.51
    assert moved.min() >= 0 and moved.max() <= sources - 1 and moved[:, 0, 0].max() > 3
    slerp = Slerp(np.arange(sources), Rotation.from_rotvec(poses[0].view(sources, 24, 3)[:, 5].numpy()))
    expected = slerp(moved[0, :, 0].numpy()).as_matrix()
    np.testing.assert_allclose(rotations[0, :, 5], expected, atol=1e-3)


def test_scored_frames_are_themselves_and_shapes_stay_for_the_clip(draws, people, make):
    poses, root = people.poses[:, :16], people.root_m[:, :16]
    there = torch.full((len(poses),), 16)
    rotations, moved = change_speed(draws(len(poses)), SCORED, poses, root, there, 16)
    torch.testing.assert_close(moved, root)
    torch.testing.assert_close(rotations, axis_angle_to_matrix(poses.unflatten(2, (24, 3))), atol=2e-6, rtol=0)
    betas = make(DEFAULT).target.betas
    assert (betas == betas[:, :1]).all()
    change = betas[:, 0] - people.betas
    assert change.std().item() == pytest.approx(DEFAULT.betas_std, rel=0.1)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_cuda_device_draws_what_a_cpu_draws(make):
    here, there = make(DEFAULT), make(DEFAULT, device="cuda")
    assert torch.equal(here.detectors, there.detectors.cpu())
    assert torch.equal(here.image_size, there.image_size.cpu())
    torch.testing.assert_close(here.confidence, there.confidence.cpu(), atol=1e-3, rtol=0)
