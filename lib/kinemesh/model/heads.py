"""The heads: backbone features -> an SMPL body, from the mean body (SMPLHead) or from an estimate (ResidualHead).

Source: behaviour contract section 3. Parameter names and their registration order are those of published checkpoints.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kinemesh.body.skeleton import BETA_COUNT, SMPL_JOINT_COUNT
from kinemesh.geometry.rotation import matrix_to_rotation_6d, matrix_to_rotation_6d_rows, rotation_6d_to_matrix
from kinemesh.structures import BodyParams

_POSE_DIM = SMPL_JOINT_COUNT * 6
_KERNEL_SIZE = 5  # frames that a temporal convolution sees


def _to_rotations(pose_6d: Tensor) -> Tensor:
    return rotation_6d_to_matrix(pose_6d.unflatten(-1, (SMPL_JOINT_COUNT, 6)))


class SMPLHead(nn.Module):
    """A pose for each frame and one shape for each clip, both as an offset from the mean body.

    `mean_pose_6d` (144,) and `mean_betas` (10,) are those of `smpl_mean_params.npz`; they are copied.
    """

    def __init__(
        self, dim_rep: int, num_joints: int, hidden_dim: int, dropout: float, mean_pose_6d: Tensor, mean_betas: Tensor
    ):
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.fc1 = nn.Linear(num_joints * dim_rep, hidden_dim)
        self.fc2 = nn.Linear(num_joints * dim_rep, hidden_dim)
        self.bn1 = nn.BatchNorm1d(hidden_dim)
        self.bn2 = nn.BatchNorm1d(hidden_dim)
        self.head_pose = nn.Linear(hidden_dim, _POSE_DIM)
        self.head_shape = nn.Linear(hidden_dim, BETA_COUNT)
        nn.init.xavier_uniform_(self.head_pose.weight, gain=0.01)
        nn.init.xavier_uniform_(self.head_shape.weight, gain=0.01)
        dtype = torch.get_default_dtype()
        self.register_buffer("init_pose", torch.as_tensor(mean_pose_6d, dtype=dtype).clone().reshape(1, _POSE_DIM))
        self.register_buffer("init_shape", torch.as_tensor(mean_betas, dtype=dtype).clone().reshape(1, BETA_COUNT))

    def matrix_parameters(self) -> list[nn.Parameter]:
        """The weights of the first layers, see `Backbone`."""
        return [self.fc1.weight, self.fc2.weight]

    def forward(self, features: Tensor) -> BodyParams:
        """Features (B, T, K, dim_rep) -> rotations (B, T, J, 3, 3) and betas (B, T, 10), the same in all T."""
        clips, frames = features.shape[:2]
        features = features.flatten(2)
        pose = self.fc1(self.dropout(features)).flatten(0, 1)
        pose_6d = self.head_pose(F.relu(self.bn1(pose))) + self.init_pose
        shape = self.fc2(self.dropout(features.mean(dim=1)))
        betas = self.head_shape(F.relu(self.bn2(shape))) + self.init_shape
        return BodyParams(_to_rotations(pose_6d.unflatten(0, (clips, frames))), betas[:, None].expand(-1, frames, -1))


class ResidualHead(nn.Module):
    """Another estimator's pose, corrected; its shape is kept.

    The correction is added to the estimate's 6D rotations. `refine_rotation` says how these are made:
    `columns`, which decoding inverts, so that a correction of zero, where training starts, is the estimate itself;
    or `rows`, the encoding of released checkpoints, which it does not (behaviour contract section 3). So many numbers a
    frame as `feedback_dim` are read beside the estimate.
    """

    def __init__(
        self,
        dim_rep: int,
        num_joints: int,
        hidden_dim: int,
        dropout: float,
        refine_rotation: Literal["columns", "rows"] = "columns",
        feedback_dim: int = 0,
    ):
        super().__init__()
        self.encode = {"columns": matrix_to_rotation_6d, "rows": matrix_to_rotation_6d_rows}[refine_rotation]
        self.dropout = nn.Dropout(dropout)
        self.fc1 = nn.Linear(num_joints * dim_rep, hidden_dim)
        self.fc2 = nn.Conv1d(_POSE_DIM + feedback_dim, hidden_dim, _KERNEL_SIZE, padding=_KERNEL_SIZE // 2)
        self.bn1 = nn.BatchNorm1d(hidden_dim)
        self.bn2 = nn.BatchNorm1d(hidden_dim)
        self.head_pose = nn.Conv1d(2 * hidden_dim, _POSE_DIM, _KERNEL_SIZE, padding=_KERNEL_SIZE // 2)
        if refine_rotation == "columns":
            nn.init.zeros_(self.head_pose.weight)
            nn.init.zeros_(self.head_pose.bias)

    def matrix_parameters(self) -> list[nn.Parameter]:
        """The weights of the first layer, see `Backbone`."""
        return [self.fc1.weight]

    def forward(self, features: Tensor, estimate: BodyParams, feedback: Tensor | None = None) -> BodyParams:
        """Features (B, T, K, dim_rep), an estimate (B, T, ...) and feedback (B, T, feedback_dim) -> the corrected body."""
        clips, frames = features.shape[:2]
        seen = F.relu(self.bn1(self.fc1(self.dropout(features.flatten(2))).flatten(0, 1)))
        seen = seen.unflatten(0, (clips, frames)).transpose(1, 2)  # (B, hidden, T)
        pose_6d = self.encode(estimate.rotations).flatten(2)  # (B, T, 144)
        told = pose_6d if feedback is None else torch.cat((pose_6d, feedback), dim=-1)
        given = F.relu(self.bn2(self.fc2(told.transpose(1, 2))))
        residual = self.head_pose(torch.cat((seen, given), dim=1)).transpose(1, 2)
        return BodyParams(_to_rotations(pose_6d + residual), estimate.betas)
