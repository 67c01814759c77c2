"""Left/right mirror images; every mirroring is its own inverse (behaviour contract, section 4).

The mirror plane is x = 0. A mirrored rotation M R M with M = diag(-1, 1, 1) keeps its axis-angle x and negates y
and z; limbs change names.
"""

import torch
from torch import Tensor

from kinemesh.body.skeleton import H36M_MIRROR_ORDER, SMPL_JOINT_COUNT, SMPL_MIRROR_ORDER
from kinemesh.geometry.constants import constant_tensor
from kinemesh.geometry.rotation import mean_rotation
from kinemesh.structures import Batch, BodyMesh, BodyParams, MeshInputs, RefineInputs


def mirror_keypoints(keypoints: Tensor) -> Tensor:
    """(..., K, C) keypoints whose first channel is x around an image centre of 0; other channels are kept."""
    signs = constant_tensor((-1.0, *[1.0] * (keypoints.shape[-1] - 1)), keypoints.device, keypoints.dtype)
    return keypoints[..., _order(H36M_MIRROR_ORDER, keypoints), :] * signs


def mirror_axis_angle(pose: Tensor) -> Tensor:
    """(..., J, 3) or (..., 72) axis-angle."""
    joints = pose.reshape(*pose.shape[:-1], SMPL_JOINT_COUNT, 3) if pose.shape[-1] == SMPL_JOINT_COUNT * 3 else pose
    signs = constant_tensor((1.0, -1.0, -1.0), joints.device, joints.dtype)
    mirrored = joints[..., _order(SMPL_MIRROR_ORDER, joints), :] * signs
    return mirrored.reshape(pose.shape)


def mirror_rotations(rotations: Tensor) -> Tensor:
    """(..., J, 3, 3) rotation matrices."""
    # M R M changes the sign of exactly the entries that mix x with y or z.
    signs = constant_tensor(((1.0, -1.0, -1.0), (-1.0, 1.0, 1.0), (-1.0, 1.0, 1.0)), rotations.device, rotations.dtype)
    return rotations[..., _order(SMPL_MIRROR_ORDER, rotations), :, :] * signs


def mirror_params(params: BodyParams) -> BodyParams:
    """Mirror a body; shape is symmetric."""
    return BodyParams(mirror_rotations(params.rotations), params.betas)


def mirror_inputs(inputs: MeshInputs | RefineInputs) -> MeshInputs | RefineInputs:
    """Mirror everything that a model is given: keypoints, and the other estimator's body where there is one."""
    if isinstance(inputs, RefineInputs):
        return RefineInputs(mirror_keypoints(inputs.keypoints), mirror_params(inputs.estimate))
    return MeshInputs(mirror_keypoints(inputs.keypoints))


def select_clips(chosen: Tensor, when_true: tuple, when_false: tuple) -> tuple:
    """Pick, clip by clip, from two nested named tuples of tensors; `chosen` is (B,) bool."""
    picked = []
    for true_part, false_part in zip(when_true, when_false, strict=True):
        if isinstance(true_part, Tensor):
            mask = chosen.view(-1, *[1] * (true_part.ndim - 1))
            picked.append(torch.where(mask, true_part, false_part))
        else:
            picked.append(select_clips(chosen, true_part, false_part))
    return type(when_true)(*picked)


def mirror_some(batch: Batch) -> Batch:
    """Mirror each clip, input and target alike, with probability one half."""
    chosen = batch.own(torch.rand(batch.whole, device=batch.frames.device)) < 0.5
    inputs = select_clips(chosen, mirror_inputs(batch.inputs), batch.inputs)
    return batch._replace(inputs=inputs, target=select_clips(chosen, mirror_params(batch.target), batch.target))


def average_mesh(first: BodyMesh, second: BodyMesh) -> BodyMesh:
    """The released flip test's mean of two bodies, vertex by vertex; not itself a posed body."""
    return BodyMesh(
        *(None if one is None else torch.lerp(one, other, 0.5) for one, other in zip(first, second, strict=True))
    )


def average_params(first: BodyParams, second: BodyParams) -> BodyParams:
    """The body half-way between two: rotations meet on SO(3), shapes at their mean."""
    return BodyParams(mean_rotation(first.rotations, second.rotations), (first.betas + second.betas) / 2)


def _order(order: tuple[int, ...], like: Tensor) -> Tensor:
    return constant_tensor(order, like.device, torch.int64)
