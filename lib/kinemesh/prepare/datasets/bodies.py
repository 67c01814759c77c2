"""Bodies of published data sets as the neutral SMPL body in camera axes: the camera's turn, and whose shape it is."""

from typing import NamedTuple

import numpy as np
import torch

from kinemesh.body.params import axis_angle_from_rotations, params_from_axis_angle, rotations_from_axis_angle
from kinemesh.body.skeleton import MM_PER_M
from kinemesh.body.smpl import PosedBody
from kinemesh.prepare.datasets.sequences import Workplace
from kinemesh.prepare.motions.sequences import IGNORE, checked, turned
from kinemesh.prepare.refit import BodyFitter

_FRAMES_AT_ONCE = 128
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
