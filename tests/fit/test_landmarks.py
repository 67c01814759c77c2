"""Landmarks are the posed body's, and move as its derivatives say."""

import numpy as np
import pytest
import torch

from kinemesh.body.skeleton import BETA_COUNT, H36M_JOINT_NAMES, SMPL_JOINT_NAMES, VERTEX_LANDMARKS
from kinemesh.body.smpl import PosedBody
from kinemesh.fit.landmarks import BodyPoints, landmark_regressor, turned_joints
from kinemesh.fit.reprojection import Camera, jacobian, project
from kinemesh.geometry.rotation import axis_angle_to_matrix
from kinemesh.structures import BodyParams

NAMES = (*H36M_JOINT_NAMES, *VERTEX_LANDMARKS)


@pytest.fixture(scope="module")
def pose() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    rotations = axis_angle_to_matrix(0.5 * torch.randn(4, 24, 3, dtype=torch.float64))
    return rotations, torch.randn(4, BETA_COUNT, dtype=torch.float64)


def test_landmarks_lie_on_the_posed_body(assets, pose):
    rotations, betas = pose
    mesh = PosedBody(assets, torch.float64)(BodyParams(rotations, betas))
    expected = torch.from_numpy(landmark_regressor(assets, NAMES)) @ mesh.vertices_mm / 1000
    torch.testing.assert_close(BodyPoints(assets, NAMES, torch.float64)(rotations, betas).places, expected)
    vertex = mesh.vertices_mm[:, VERTEX_LANDMARKS["left_heel"]] / 1000
    torch.testing.assert_close(expected[:, NAMES.index("left_heel")], vertex)
    middle = BodyPoints(assets, (*NAMES, "left_hip+right_hip"), torch.float64)(rotations, betas).places[:, -1]
    hips = [NAMES.index(f"{side}_hip") for side in ("left", "right")]
    torch.testing.assert_close(middle, expected[:, hips].mean(dim=1))


def test_landmark_vertices_lie_where_their_names_say(assets):
    places = {name: assets.v_template[vertex] for name, vertex in VERTEX_LANDMARKS.items()}
    for name, (x, _, _) in places.items():
        if name.startswith(("left", "right")):
            assert (x > 0) == name.startswith("left"), name
    for side in ("left", "right"):
        assert places[f"{side}_big_toe"][2] > places[f"{side}_heel"][2] + 0.1
        assert abs(places[f"{side}_small_toe"][0]) > abs(places[f"{side}_big_toe"][0])


def test_feet_are_turned_only_where_they_are_seen():
    names = [SMPL_JOINT_NAMES[joint] for joint in turned_joints((*H36M_JOINT_NAMES, "left_heel"))]
    assert "left_ankle" in names and "right_ankle" not in names
    assert "left_ankle" not in [SMPL_JOINT_NAMES[joint] for joint in turned_joints(H36M_JOINT_NAMES)]


def test_derivatives_are_those_of_autograd(assets, pose):
    """All but the pose blend shapes' own, which the solver leaves out: without them the two agree to rounding."""
    rotations, betas = pose
    still = type(assets)(**{**vars(assets), "posedirs": np.zeros_like(assets.posedirs)})
    body = BodyPoints(still, NAMES, torch.float64)
    camera = Camera(1000.0, torch.tensor([500.0, 400.0], dtype=torch.float64))
    trans = torch.tensor([[0.2, -0.1, 4.0]], dtype=torch.float64).expand(4, -1)

    def seen(unknowns: torch.Tensor) -> torch.Tensor:
        turns, moved, shaped = unknowns.split([3 * len(body.joints), 3, BETA_COUNT], dim=1)
        turned = rotations.clone()
        turned[:, body.joints] = axis_angle_to_matrix(turns.unflatten(1, (-1, 3))) @ rotations[:, body.joints]
        places = body(turned, betas + shaped).places + (trans + moved)[:, None]
        return project(places, camera).mT.flatten(1)

    zeros = torch.zeros(4, 3 * len(body.joints) + 3 + BETA_COUNT, dtype=torch.float64)
    whole = torch.autograd.functional.jacobian(seen, zeros)  # (4, 2 K, 4, n)
    expected = torch.stack([whole[frame, :, frame] for frame in range(4)])
    by_frame, by_shape = jacobian(body(rotations, betas), trans, camera)
    torch.testing.assert_close(torch.cat((by_frame, by_shape), dim=2), expected, rtol=1e-6, atol=1e-5)


def test_the_size_is_what_proportions_leave_alone(body, stand_in):
    turned = body.proportions.T.double().numpy() @ body.growth.double().numpy()
    np.testing.assert_allclose(turned, 0.0, atol=1e-6)
    grown = stand_in.shaped_rest_joints_m(0.05 * body.growth.double().numpy()[None])[0]
    spread = [np.sqrt(((joints - joints.mean(0)) ** 2).sum()) for joints in (stand_in.rest_joints_m, grown)]
    assert spread[1] / spread[0] == pytest.approx(1.05, abs=0.004)
