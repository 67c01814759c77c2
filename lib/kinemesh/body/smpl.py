"""A posed body with its vertices."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from kinemesh.body.assets import BodyAssets
from kinemesh.body.chain import chain_along_tree, tree_levels
from kinemesh.body.kinematics import JointKinematics
from kinemesh.body.skeleton import BETA_COUNT, MM_PER_M, SMPL_JOINT_COUNT, VERTEX_COUNT
from kinemesh.geometry.constants import constant_tensor
from kinemesh.structures import BodyMesh, BodyParams

# So many frames share one reading of the blend shapes, which take 18 MB.
_BLENDED_AT_ONCE = 256
# A frame's skinning matrices take a third of a megabyte; so few frames stay in a CPU's cache until they are used.
_SKINNED_AT_ONCE_ON_CPU = 8


class PosedBody(nn.Module):
    """BodyParams -> BodyMesh in mm, in the model's own axes and origin; any leading shape. Not differentiable.

    Shape and pose blend shapes are one matrix product, the bones' blended transforms another, with coordinates as
    planes (N, 3, V): everything else is then arithmetic on contiguous rows. The vertices returned are a transposed
    view of those planes. Source: Loper et al., SMPL, 2015. `dtype` is float32, or float64 for checks.
    """

    def __init__(self, assets: BodyAssets, dtype: torch.dtype = torch.float32):
        super().__init__()
        self.levels = tree_levels(assets.parents, needed=np.ones(SMPL_JOINT_COUNT, dtype=bool))
        order = [joint for joints, _ in self.levels for joint in joints]
        blend = np.concatenate((assets.v_template[..., None], assets.shapedirs, assets.posedirs), axis=2)
        rest_joints = np.tensordot(assets.J_regressor, blend[..., : 1 + BETA_COUNT], axes=1)  # (J, 3, 11)
        offsets = rest_joints.copy()
        offsets[1:] -= rest_joints[list(assets.parents[1:])]
        for name, array in (
            ("blend", blend.transpose(2, 1, 0).reshape(blend.shape[2], -1) * MM_PER_M),  # (218, 3 * V)
            ("rest_joints", rest_joints[order] * MM_PER_M),
            ("offsets", offsets * MM_PER_M),
            ("skinning_weights", assets.skinning_weights.T[order]),  # (J, V)
            # The 17 joints, and as a last column joint 0 by SMPL's own regressor: (V, K + 1).
            ("regressors", np.concatenate((assets.J_regressor_h36m, assets.J_regressor[:1])).T),
        ):
            self.register_buffer(name, torch.tensor(np.ascontiguousarray(array), dtype=dtype), persistent=False)
        self.place_of_joint = tuple(order.index(joint) for joint in range(SMPL_JOINT_COUNT))
        self.register_buffer("identity", torch.eye(3, dtype=dtype), persistent=False)

    @torch.no_grad()
    def forward(self, params: BodyParams) -> BodyMesh:
        """Rotations (..., J, 3, 3) and betas (..., 10) -> vertices (..., V, 3) and every kind of joints."""
        leading = params.betas.shape[:-1]
        rotations = params.rotations.reshape(-1, SMPL_JOINT_COUNT, 3, 3)
        betas = params.betas.reshape(-1, BETA_COUNT)
        shape_feature = torch.cat((torch.ones_like(betas[:, :1]), betas), dim=1)
        feature = torch.cat((shape_feature, (rotations[:, 1:] - self.identity).flatten(1)), dim=1)
        world, bones = self._bone_transforms(rotations, shape_feature)
        bones = bones.permute(0, 2, 3, 1)  # (N, 3, 4, bones)
        planes = betas.new_empty(len(betas), 3, VERTEX_COUNT)
        regressed = betas.new_empty(len(betas), 3, self.regressors.shape[1])
        for first in range(0, len(betas), _BLENDED_AT_ONCE):
            chosen = slice(first, first + _BLENDED_AT_ONCE)
            rest = (feature[chosen] @ self.blend).unflatten(1, (3, VERTEX_COUNT))
            at_once = _SKINNED_AT_ONCE_ON_CPU if rest.device.type == "cpu" else _BLENDED_AT_ONCE
            parts = (part.split(at_once) for part in (rest, bones[chosen], planes[chosen], regressed[chosen]))
            for some_rest, some_bones, some_planes, some_regressed in zip(*parts, strict=True):
                self._skin(some_rest, some_bones, out=some_planes)
                torch.matmul(some_planes, self.regressors, out=some_regressed)
        regressed = regressed.transpose(1, 2)
        places = constant_tensor(self.place_of_joint, betas.device, torch.int64)
        parts = (planes.transpose(1, 2), regressed[:, :-1], world[..., 3].index_select(1, places), regressed[:, -1:])
        return BodyMesh(*(part.unflatten(0, leading) if leading else part[0] for part in parts))

    def _skin(self, rest: Tensor, bones: Tensor, out: Tensor) -> None:
        """Planes at rest (N, 3, V) and bone transforms (N, 3, 4, bones) -> planes of the posed body (N, 3, V)."""
        blended = (bones.reshape(-1, SMPL_JOINT_COUNT) @ self.skinning_weights).view(len(rest), 3, 4, -1)
        x, y, z = rest[:, None].unbind(2)
        torch.addcmul(blended[:, :, 3], blended[:, :, 0], x, out=out)
        out.addcmul_(blended[:, :, 1], y).addcmul_(blended[:, :, 2], z)

    def _bone_transforms(self, rotations: Tensor, shape_feature: Tensor) -> tuple[Tensor, Tensor]:
        """Where each bone is, [G | position], and what it does to a point at rest, [G | position - G rest_joint].

        Both (N, bones, 3, 4), in level order.
        """
        local = rotations.new_zeros(len(rotations), SMPL_JOINT_COUNT, 4, 4)
        local[..., :3, :3] = rotations
        local[..., :3, 3] = torch.einsum("jdk,nk->njd", self.offsets, shape_feature)
        local[..., 3, 3] = 1.0
        world = chain_along_tree(local, self.levels)[..., :3, :]
        rest_joints = torch.einsum("jdk,nk->njd", self.rest_joints, shape_feature)
        moved = world[..., 3:] - world[..., :3] @ rest_joints[..., None]
        return world, torch.cat((world[..., :3], moved), dim=-1)


@dataclass(frozen=True)
class Body:
    """A body model on a device: its joints alone, which is fast and has gradients, and its whole mesh."""

    assets: BodyAssets
    joints: JointKinematics  # BodyParams -> (..., K, 3) mm
    mesh: PosedBody  # BodyParams -> BodyMesh

    @classmethod
    def of(cls, assets: BodyAssets, device: torch.device | str = "cpu") -> "Body":
        """Both on a device."""
        return cls(assets, JointKinematics(assets).to(device), PosedBody(assets).to(device))
