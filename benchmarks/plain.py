"""The baseline of the benchmarks and the reference of a test: the same model trained and scored as one would write it first.

Every item of the dataset poses its own body; predictions and targets are whole meshes from `smplx`; every loss term is
computed; one Procrustes problem a frame, in a loop; every vertex of the test set is kept until the end. Same weights, same
numbers. Formulas: behaviour contract sections 2 to 4; nothing here is shared with what it is compared with but the weights.
"""

import dataclasses

import numpy as np
import roma
import smplx
import torch
from smplx.utils import Struct
from torch import Tensor, nn
from torch.utils.data import Dataset

from kinemesh.body.assets import BodyAssets
from kinemesh.body.skeleton import EVALUATED_JOINTS, LIMB_ANGLE_PAIRS, LIMBS, MM_PER_M
from kinemesh.config import LAMBDA_OF_TERM, Config
from kinemesh.data.split import Split


def as_smplx_stores(assets: BodyAssets) -> BodyAssets:
    """The body as smplx holds it: whatever dtype it computes in, it stores arrays rounded to float32."""
    rounded = {
        name: np.float64(np.float32(value))
        for name, value in vars(assets).items()
        if isinstance(value, np.ndarray) and value.dtype == np.float64
    }
    return dataclasses.replace(assets, **rounded)


class PlainBody(nn.Module):
    """smplx with the regressor of the 17 joints behind it."""

    def __init__(self, assets: BodyAssets, dtype: torch.dtype = torch.float32):
        super().__init__()
        parents = np.array(assets.parents)
        data = Struct(
            v_template=assets.v_template,
            shapedirs=assets.shapedirs,
            posedirs=assets.posedirs,
            J_regressor=assets.J_regressor,
            weights=assets.skinning_weights,
            kintree_table=np.stack((parents, np.arange(len(parents)))),
            f=assets.faces,
        )
        self.layer = smplx.SMPL(model_path="", data_struct=data, create_transl=False, dtype=dtype)
        self.register_buffer("regressor", torch.tensor(assets.J_regressor_h36m, dtype=dtype))

    def forward(self, rotations: Tensor, betas: Tensor) -> tuple[Tensor, Tensor]:
        """Rotations (N, J, 3, 3), betas (N, 10) -> vertices (N, V, 3) and joints (N, K, 3), mm."""
        posed = self.layer(betas=betas, global_orient=rotations[:, :1], body_pose=rotations[:, 1:], pose2rot=False)
        vertices = posed.vertices * MM_PER_M
        return vertices, torch.matmul(self.regressor, vertices)


class PlainDataset(Dataset):
    """Clips of one split, each posed when it is asked for."""

    def __init__(self, split: Split, clip_frames: np.ndarray, body: PlainBody):
        self.split, self.clip_frames, self.body = split, clip_frames, body

    def __len__(self) -> int:
        return len(self.clip_frames)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        frames = self.clip_frames[index]
        width, height = self.split.image_size.tolist()
        xy = self.split.keypoints_px[frames].clone() / width * 2 - torch.tensor([1.0, height / width])
        confidence = self.split.confidence[frames].clone().clamp(0, 1)
        pose = self.split.smpl_pose[frames].clone().view(len(frames), 24, 3)
        betas = self.split.smpl_shape[frames].clone()
        rotations = roma.rotvec_to_rotmat(pose)
        with torch.no_grad():
            vertices, joints = self.body(rotations, betas)
        return {
            "keypoints": torch.cat((xy, confidence[..., None]), dim=-1),
            "rotations": rotations,
            "betas": betas,
            "vertices": vertices,
            "joints": joints,
        }


def plain_representation(backbone: nn.Module, keypoints: Tensor) -> Tensor:
    """The backbone's features by the textbook: one qkv projection, copies of it for every head, explicit softmax."""
    x = backbone.joints_embed(keypoints) + backbone.pos_embed + backbone.temp_embed[:, : keypoints.shape[1]]
    for layer, (block_st, block_ts) in enumerate(zip(backbone.blocks_st, backbone.blocks_ts, strict=True)):
        x_st = _temporal(block_st, _spatial(block_st, x))
        x_ts = _spatial(block_ts, _temporal(block_ts, x))
        if backbone.att_fuse:
            alpha = backbone.ts_attn[layer](torch.cat((x_st, x_ts), dim=-1)).softmax(dim=-1)
            x = x_st * alpha[..., :1] + x_ts * alpha[..., 1:]
        else:
            x = (x_st + x_ts) * 0.5
    return backbone.pre_logits(backbone.norm(x))


def _spatial(block: nn.Module, x: Tensor) -> Tensor:
    rows = x.flatten(0, 1)
    rows = rows + _attention(block.attn_s, block.norm1_s(rows))
    return (rows + block.mlp_s(block.norm2_s(rows))).view(x.shape)


def _temporal(block: nn.Module, x: Tensor) -> Tensor:
    clips, frames, joints, dim = x.shape
    rows = x.permute(0, 2, 1, 3).reshape(clips * joints, frames, dim)
    rows = rows + _attention(block.attn_t, block.norm1_t(rows))
    rows = rows + block.mlp_t(block.norm2_t(rows))
    return rows.view(clips, joints, frames, dim).permute(0, 2, 1, 3).contiguous()


def _attention(attention: nn.Module, x: Tensor) -> Tensor:
    rows, length, dim = x.shape
    heads = attention.num_heads
    query, key, value = attention.qkv(x).reshape(rows, length, 3, heads, dim // heads).permute(2, 0, 3, 1, 4)
    weights = ((query @ key.transpose(-2, -1)) * (dim // heads) ** -0.5).softmax(dim=-1)
    return attention.proj((weights @ value).transpose(1, 2).reshape(x.shape))


def plain_losses(
    pred: tuple[Tensor, Tensor], target: tuple[Tensor, Tensor], pred_mm: Tensor, target_mm: Tensor, config: Config
) -> tuple[Tensor, dict[str, Tensor]]:
    """The weighted sum and all ten terms. `pred`, `target`: rotations (B, T, J, 3, 3), betas (B, T, 10); joints mm."""
    pred_mm, target_mm = pred_mm - pred_mm[:, :, :1], target_mm - target_mm[:, :, :1]
    scale = (target_mm * pred_mm).sum(-1).mean(-1) / (pred_mm * pred_mm).sum(-1).mean(-1)
    pred_limbs, target_limbs = _limbs(pred_mm), _limbs(target_mm)
    pred_lengths, target_lengths = pred_limbs.norm(dim=-1), target_limbs.norm(dim=-1)
    pred_angles, target_angles = _angles(pred_limbs), _angles(target_limbs)
    theta = torch.cat((roma.rotmat_to_rotvec(pred[0]).flatten(-2), pred[1]), dim=-1)
    difference = torch.abs if config.loss_type == "L1" else torch.square
    terms = {
        "loss_3d_pos": (pred_mm - target_mm).norm(dim=-1).mean(),
        "loss_3d_scale": (scale[..., None, None] * pred_mm - target_mm).norm(dim=-1).mean(),
        "loss_3d_velocity": (_step(pred_mm) - _step(target_mm)).norm(dim=-1).mean(),
        "loss_lv": pred_lengths.var(dim=1).mean(),
        "loss_lg": (pred_lengths - target_lengths).abs().mean(),
        "loss_a": (pred_angles - target_angles).abs().mean(),
        "loss_av": (_step(pred_angles) - _step(target_angles)).abs().mean(),
        "loss_pose": difference(pred[0] - target[0]).mean(),
        "loss_shape": difference(pred[1] - target[1]).mean(),
        "loss_norm": theta.norm(dim=-1).mean(),
    }
    return sum(getattr(config, key) * terms[name] for name, key in LAMBDA_OF_TERM.items()), terms


def _step(values: Tensor) -> Tensor:
    return values[:, 1:] - values[:, :-1]


def _limbs(joints_mm: Tensor) -> Tensor:
    return joints_mm[:, :, [parent for parent, _ in LIMBS]] - joints_mm[:, :, [child for _, child in LIMBS]]


def _angles(limbs: Tensor) -> Tensor:
    first, second = (limbs[:, :, [pair[side] for pair in LIMB_ANGLE_PAIRS]] for side in (0, 1))
    cosine = torch.nn.functional.cosine_similarity(first, second, dim=-1)
    return cosine.clamp(-1 + 1e-7, 1 - 1e-7).acos()


def plain_step(
    model: nn.Module, body: PlainBody, batch: dict[str, Tensor], config: Config
) -> tuple[Tensor, dict[str, float]]:
    """Forward, losses and meters of a regressor; the loss to call `backward` on. `batch`: stacked items."""
    clips, frames = batch["keypoints"].shape[:2]
    pred = model.head(plain_representation(model.backbone, batch["keypoints"]))
    vertices, joints = body(pred.rotations.flatten(0, 1), pred.betas.flatten(0, 1))
    vertices, joints = vertices.unflatten(0, (clips, frames)), joints.unflatten(0, (clips, frames))
    target = batch["rotations"], batch["betas"]
    total, terms = plain_losses((pred.rotations, pred.betas), target, joints, batch["joints"], config)
    logged = {name: value.item() for name, value in terms.items()} | {"loss": total.item()}
    shift = joints[:, :, :1] - batch["joints"][:, :, :1]
    logged["mpjpe"] = (joints - batch["joints"] - shift).norm(dim=-1).mean().item()
    logged["mpve"] = (vertices - batch["vertices"] - shift).norm(dim=-1).mean().item()
    return total, logged


@torch.no_grad()
def plain_evaluate(model: nn.Module, body: PlainBody, loader) -> dict[str, float]:
    """MPJPE, PA-MPJPE and MPVE, mm, without the flip test: all meshes kept, then one frame after another."""
    kept: dict[str, list[np.ndarray]] = {"pred": [], "target": [], "pred_vertices": [], "target_vertices": []}
    model.eval()
    for batch in loader:
        pred = model.head(plain_representation(model.backbone, batch["keypoints"]))
        vertices, joints = body(pred.rotations.flatten(0, 1), pred.betas.flatten(0, 1))
        kept["pred"].append(joints.cpu().numpy())
        kept["pred_vertices"].append(vertices.cpu().numpy())
        kept["target"].append(batch["joints"].flatten(0, 1).cpu().numpy())
        kept["target_vertices"].append(batch["vertices"].flatten(0, 1).cpu().numpy())
    arrays = {name: np.concatenate(parts) for name, parts in kept.items()}
    pred, target = arrays["pred"], arrays["target"]
    pred_vertices = arrays["pred_vertices"] - pred[:, :1]
    target_vertices = arrays["target_vertices"] - target[:, :1]
    pred, target = ((joints - joints[:, :1])[:, list(EVALUATED_JOINTS)] for joints in (pred, target))
    aligned = np.stack([_procrustes(own, other) for own, other in zip(pred, target, strict=True)])
    return {
        "mpjpe": float(np.linalg.norm(pred - target, axis=-1).mean()),
        "pa_mpjpe": float(np.linalg.norm(aligned - target, axis=-1).mean()),
        "mpve": float(np.linalg.norm(pred_vertices - target_vertices, axis=-1).mean()),
    }


def _procrustes(pred: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Points (K, 3) moved onto others by the best similarity."""
    pred_mean, target_mean = pred.mean(axis=0), target.mean(axis=0)
    a, b = pred - pred_mean, target - target_mean
    left, stretch, right = np.linalg.svd(a.T @ b)
    signs = np.array([1.0, 1.0, np.sign(np.linalg.det(left @ right))])
    scale = (stretch * signs).sum() / (a * a).sum()
    return scale * a @ (left * signs) @ right + target_mean
