"""Regressed joints without vertices: the exact joints, a small fraction of the work.

A regressed joint is a fixed linear combination of skinned vertices,

    joint_j = sum_v Reg[j,v] sum_k w[v,k] (G_k v_rest(x) + t_k),      x = (1, betas, R_1..R_23 - I) in R^218,

with v_rest linear in x (template, shape and pose blend shapes) and t_k linear in the bone rotations G. Summing over
v beforehand leaves one constant matrix: joint_j = root_j(x) + sum_k G_k (N_jk x). Bone offsets are linear in betas,
so the translations fold into N as well and no joint positions need to be chained; see `fold_body`.
Source: Loper et al., SMPL, 2015, for the body; the folding is this project's.
"""

import numpy as np
import torch
from torch import Tensor, nn

from kinemesh.body.assets import BodyAssets
from kinemesh.body.chain import chain_along_tree, tree_levels
from kinemesh.body.params import params_from_axis_angle
from kinemesh.body.skeleton import BETA_COUNT, MM_PER_M, SMPL_JOINT_COUNT
from kinemesh.structures import BodyParams

_FEATURE_COUNT = 1 + BETA_COUNT + (SMPL_JOINT_COUNT - 1) * 9
# Frames whose features exist at once.
_FRAMES_AT_ONCE = 4096


class JointKinematics(nn.Module):
    """BodyParams -> the 17 regressed joints in mm; equal to `J_regressor_h36m @ vertices`.

    Differentiable in rotations and betas. `dtype` is float32, or float64 for checks.
    """

    def __init__(self, assets: BodyAssets, dtype: torch.dtype = torch.float32):
        super().__init__()
        folded, root = fold_body(assets, assets.J_regressor_h36m)
        self.levels = tree_levels(assets.parents, needed=np.abs(folded).max(axis=(0, 2, 3)) > 0)
        order = np.concatenate([joints for joints, _ in self.levels])
        self.joint_count = folded.shape[0]
        # Columns: for each bone in evaluation order its 3 x 17 block, then the root term.
        blocks = folded[:, order].transpose(3, 1, 2, 0).reshape(_FEATURE_COUNT, -1)
        matrix = np.concatenate((blocks, root.transpose(2, 1, 0).reshape(_FEATURE_COUNT, -1)), axis=1) * MM_PER_M
        self.register_buffer("matrix", torch.tensor(matrix, dtype=dtype), persistent=False)
        self.register_buffer("identity", torch.eye(3, dtype=dtype), persistent=False)

    def forward(self, params: BodyParams) -> Tensor:
        """Rotations (..., J, 3, 3) and betas (..., 10) -> joints_mm (..., K, 3)."""
        leading = params.betas.shape[:-1]
        rotations = params.rotations.reshape(-1, SMPL_JOINT_COUNT, 3, 3)
        betas = params.betas.reshape(-1, BETA_COUNT)
        pose_feature = (rotations[:, 1:] - self.identity).flatten(1)
        features = torch.cat((torch.ones_like(betas[:, :1]), betas, pose_feature), dim=1)
        rest = (features @ self.matrix).unflatten(1, (-1, self.joint_count))  # (N, 3 * bones + 3, K)
        bones = chain_along_tree(rotations, self.levels).transpose(1, 2).flatten(2)  # (N, 3, 3 * bones)
        joints = torch.baddbmm(rest[:, -3:], bones, rest[:, :-3])
        # x, y and z side by side: over numbers that lie apart, a CPU takes twenty times as long for each norm to come.
        return joints.transpose(1, 2).contiguous().view(*leading, self.joint_count, 3)


@torch.inference_mode()
def regress_joints_m(kinematics: JointKinematics, poses: np.ndarray, betas: np.ndarray) -> np.ndarray:
    """(F, K, 3) float64 joints of poses (F, 72) and betas (10,), relative to the body model's origin."""
    device = kinematics.matrix.device
    shape = torch.from_numpy(betas).to(device)
    joints = []
    for part in torch.from_numpy(poses).split(_FRAMES_AT_ONCE):
        joints.append(kinematics(params_from_axis_angle(part.to(device), shape)).cpu())
    return torch.cat(joints).double().numpy() / MM_PER_M


def fold_body(assets: BodyAssets, regressor: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The constants N (K, J, 3, 218) and root (K, 3, 218), in metres, of the points `regressor` (K, V) @ vertices."""
    parents, weights = assets.parents, assets.skinning_weights
    used = np.flatnonzero(np.abs(regressor).max(axis=0))
    pair_weights = regressor[:, None, used] * weights[used].T[None]  # (K, J, used vertices)
    blend = np.concatenate((assets.v_template[..., None], assets.shapedirs, assets.posedirs), axis=2)[used]
    folded = np.tensordot(pair_weights, blend, axes=1)  # (K, J, 3, 218)

    rest_joints = np.zeros((SMPL_JOINT_COUNT, 3, _FEATURE_COUNT))
    rest_joints[..., 0] = assets.J_regressor @ assets.v_template
    rest_joints[..., 1 : 1 + BETA_COUNT] = np.tensordot(assets.J_regressor, assets.shapedirs, axes=1)

    # A bone turns about its own rest joint: G_k (v - rest_k) + position_k.
    pair_totals = pair_weights.sum(axis=2)  # (K, J)
    folded -= pair_totals[..., None, None] * rest_joints
    # position_k = rest_0 + the offsets of the bones on its path, each turned by the bone's parent; so an offset
    # counts with the weight of everything below it.
    below = pair_totals.copy()
    for joint in range(SMPL_JOINT_COUNT - 1, 0, -1):
        below[:, parents[joint]] += below[:, joint]
        offset = rest_joints[joint] - rest_joints[parents[joint]]
        folded[:, parents[joint]] += below[:, joint, None, None] * offset
    return folded, below[:, 0, None, None] * rest_joints[0]
