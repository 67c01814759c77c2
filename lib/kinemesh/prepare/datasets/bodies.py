"""Bodies of published data sets as the neutral SMPL body in camera axes: the camera's turn, and whose shape it is."""

from typing import NamedTuple

import numpy as np
import torch

from kinemesh.body.chain import joint_positions
from kinemesh.body.kinematics import regress_joints_m
from kinemesh.body.params import axis_angle_from_rotations, params_from_axis_angle, rotations_from_axis_angle, turned
from kinemesh.body.refit import BodyFitter
from kinemesh.body.skeleton import BETA_COUNT, H36M_JOINT_COUNT, MM_PER_M
from kinemesh.body.smpl import PosedBody
from kinemesh.prepare.datasets.sequences import Workplace
from kinemesh.prepare.motions.sequences import IGNORE, POSE_COUNT, checked

_FRAMES_AT_ONCE = 128
_LEAST_DEPTH_M = 0.2
_PELVIS_M = 0.05  # expected between two models' pelvises
_SHARED_COUNT = 63
_ANY_RATE = 1.0  # which nothing here depends on


class CameraBody(NamedTuple):
    """F frames of one person, the neutral body, in camera axes."""

    poses: np.ndarray  # (F, 72)
    betas: np.ndarray  # (10,)
    trans_m: np.ndarray  # (F, 3)
    notes: tuple[str, ...]


def camera_body(
    place: Workplace,
    gender: str,
    poses: np.ndarray,
    trans_m: np.ndarray,
    betas: np.ndarray,
    world_to_camera: np.ndarray | None = None,
) -> CameraBody:
    """The neutral body of somebody's SMPL parameters.

    SMPL turns about its pelvis j0, which is not its origin: before a camera of R and T, trans becomes
    R (trans + j0) + T - j0 (I2L-MeshNet, GVHMR and Multi-HMR have the same). The pelvis of a neutral body whose betas
    are not refitted is put where that of the gendered body is.

    Args:
        gender: of the body that the parameters are for; the neutral body's are taken as they are.
        poses, trans_m, betas: (F, 72), (F, 3) and (10 or more,), in the world's axes.
        world_to_camera: (4, 4) or (F, 4, 4), metres; None: they are in camera axes.

    Raises UserError for what is no body, BodyMissingError where a gendered body's file is needed and not there.
    """
    poses, trans_m, betas = checked(poses, trans_m, betas, _ANY_RATE)
    turn, shift = np.eye(3), 0.0
    if world_to_camera is not None:
        turn, shift = world_to_camera[..., :3, :3], world_to_camera[..., :3, 3]
    neutral = place.bodies.neutral.rest_joints_m(betas)[0]
    if gender == "neutral" or place.betas == IGNORE:
        # Whose pelvis the path was made for is known only where the gendered body is there.
        own = neutral if gender == "neutral" else place.bodies.rest_pelvis_m(gender, betas, instead=neutral)
        poses, trans_m = turned(poses, trans_m, turn, own, neutral)
        said = () if gender == "neutral" else ("betas of gendered bodies taken as the neutral body's",)
        return CameraBody(poses, betas, trans_m + shift, said)
    pelvis = place.bodies.of(gender).rest_joints_m(betas)[0]
    poses, trans_m = turned(poses, trans_m, turn, pelvis, pelvis)
    return _refitted(place, gender, poses, trans_m + shift, betas)


def _refitted(place: Workplace, gender: str, poses: np.ndarray, trans_m: np.ndarray, betas: np.ndarray) -> CameraBody:
    """The neutral body nearest to the vertices of a gendered one."""
    body = PosedBody(place.bodies.assets_of(gender))
    fitter = BodyFitter(place.bodies.assets)
    start_betas = torch.from_numpy(place.bodies.refitted(gender, betas))
    pose, shape = torch.from_numpy(poses), torch.from_numpy(betas)
    vertices = [
        body(params_from_axis_angle(part.float(), shape.float())).vertices_mm[:, :: BodyFitter.stride] / MM_PER_M
        for part in pose.split(_FRAMES_AT_ONCE)
    ]
    fit = fitter.fit(torch.cat(vertices), rotations_from_axis_angle(pose), start_betas)
    place.refit_mm.append((len(poses), float(fit.error_m.mean()) * MM_PER_M))
    fitted = axis_angle_from_rotations(fit.rotations).numpy()
    said = ("gendered bodies refitted: neutral shape and pose by least squares to their vertices",)
    return CameraBody(fitted, fit.betas.numpy(), fit.trans_m.numpy() + trans_m, said)


def shaped_by_pixels(
    place: Workplace, poses: np.ndarray, trans_m: np.ndarray, K: np.ndarray, joints_px: np.ndarray
) -> CameraBody:
    """SMPL's body for somebody whose shape is another model's, such as SMPL-X: the betas whose joints are seen where his are.

    Rotations carry over, betas do not. With them, joints are linear in SMPL's betas, and so is a pinhole's equation of
    each: (u - cx) Z = f X. What keeps people of both models from standing in one place is that their pelvises lie
    elsewhere at rest, one constant for a person, which is solved for too. A body of unit spread and a pelvis within 5 cm
    are expected, as much as one pixel of one joint.

    Args:
        poses, trans_m: (F, 72) and (F, 3) in camera axes, trans of the other model.
        K: (3, 3) or (F, 3, 3).
        joints_px: (F, 24, 3) x, y of SMPL's joints and their weight, 0 for those that are not known; or of H36M's, (F, 17, 3).
    """
    at_zero, by_shape = _linear_joints_m(place, poses, joints_px.shape[1])
    slopes = np.concatenate((by_shape, np.broadcast_to(np.eye(3), (*at_zero.shape, 3))), axis=-1)
    focal, centre = K[..., [0, 1], [0, 1]], K[..., :2, 2]
    focal, centre = (part[:, None] if K.ndim == 3 else part for part in (focal, centre))
    rays = (joints_px[..., :2] - centre) / focal
    start = at_zero + trans_m[:, None]
    weights = joints_px[..., 2:] * focal / np.maximum(start[..., 2:], _LEAST_DEPTH_M)
    left = weights[..., None] * (slopes[..., :2, :] - rays[..., None] * slopes[..., 2:, :])
    right = weights * (rays * start[..., 2:] - start[..., :2])
    left, right = left.reshape(-1, BETA_COUNT + 3), right.reshape(-1)
    prior = np.diag([1.0] * BETA_COUNT + [_PELVIS_M**-2] * 3)
    solved = np.linalg.solve(left.T @ left + prior, left.T @ right)
    said = ("another model's rotations; betas by where SMPL's joints are seen",)
    return CameraBody(poses, solved[:BETA_COUNT], trans_m + solved[BETA_COUNT:], said)


def _linear_joints_m(place: Workplace, poses: np.ndarray, joint_count: int) -> tuple[np.ndarray, np.ndarray]:
    """Joints (F, n, 3) of the mean shape, and what each beta adds to them, (F, n, 3, 10): SMPL's own 24, or H36M's 17."""
    if joint_count == H36M_JOINT_COUNT:
        at_zero, *others = (regress_joints_m(place.kinematics, poses, shape) for shape in np.eye(1 + BETA_COUNT)[:, 1:])
        return at_zero, np.stack([joints - at_zero for joints in others], axis=-1)
    rotations = rotations_from_axis_angle(torch.from_numpy(poses)).numpy()
    neutral = place.bodies.neutral
    rests = np.concatenate((neutral.joints_m[None], neutral.by_shape_m.transpose(2, 0, 1)))
    at_zero, *by_shape = (joint_positions(rotations, rest)[0] for rest in rests)
    return at_zero, np.stack(by_shape, axis=-1)


def smpl_poses(root: np.ndarray, body: np.ndarray) -> np.ndarray:
    """(F, 72) of a root (F, 3) and the 21 body joints (F, 63 or more) that SMPL, SMPL-H and SMPL-X share; straight hands."""
    poses = np.zeros((len(root), POSE_COUNT))
    poses[:, :3] = root
    count = body.shape[1] if body.shape[1] == POSE_COUNT - 3 else _SHARED_COUNT
    poses[:, 3 : 3 + count] = body[:, :count]
    return poses
