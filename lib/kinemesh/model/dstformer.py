"""DSTformer: the backbone that turns clips of 2D keypoints into one feature vector a joint and frame.

Source: Zhu et al., MotionBERT, ICCV 2023, section 3.2; behaviour contract section 2. Parameter names and their
registration order are those of published checkpoints and of their optimizer states, so neither may change.
"""

from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kinemesh.errors import UserError
from kinemesh.geometry.keypoints import PLACE_COUNT, crop_with_place
from kinemesh.model.attention import Attention

_INIT_STD = 0.02
_LAYER_NORM_EPS = 1e-6


class MLP(nn.Module):
    """Two linear layers with an exact GELU between."""

    def __init__(self, dim: int, hidden_dim: int):
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden_dim)
        self.fc2 = nn.Linear(hidden_dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """Map features (..., C) to the same shape."""
        return self.fc2(F.gelu(self.fc1(x)))


class Block(nn.Module):
    """A spatial (`_s`) and a temporal (`_t`) pre-norm transformer layer, run in either order."""

    def __init__(self, dim: int, num_heads: int, mlp_ratio: float, is_time_first: bool):
        super().__init__()
        self.is_time_first = is_time_first
        self.norm1_s = nn.LayerNorm(dim, eps=_LAYER_NORM_EPS)
        self.norm1_t = nn.LayerNorm(dim, eps=_LAYER_NORM_EPS)
        self.attn_s = Attention(dim, num_heads)
        self.attn_t = Attention(dim, num_heads)
        self.norm2_s = nn.LayerNorm(dim, eps=_LAYER_NORM_EPS)
        self.norm2_t = nn.LayerNorm(dim, eps=_LAYER_NORM_EPS)
        self.mlp_s = MLP(dim, int(dim * mlp_ratio))
        self.mlp_t = MLP(dim, int(dim * mlp_ratio))

    def _spatial(self, x: Tensor) -> Tensor:
        x = x + self.attn_s(self.norm1_s(x), over_time=False)
        return x + self.mlp_s(self.norm2_s(x))

    def _temporal(self, x: Tensor) -> Tensor:
        x = x + self.attn_t(self.norm1_t(x), over_time=True)
        return x + self.mlp_t(self.norm2_t(x))

    def forward(self, x: Tensor) -> Tensor:
        """Map features (B, T, K, C) to the same shape."""
        return self._spatial(self._temporal(x)) if self.is_time_first else self._temporal(self._spatial(x))


class DSTformer(nn.Module):
    """Dual-stream spatio-temporal transformer.

    `depth` pairs of blocks read the same features, one space first, one time first; a learned gate for each joint
    and frame mixes the two (`att_fuse`), or their mean is taken. Clips may have any length up to `maxlen`. With
    `crop_input`, each clip is read in the box around its person, and the box's place beside every keypoint.
    """

    def __init__(
        self,
        dim_in: int = 3,
        dim_out: int = 3,
        dim_feat: int = 256,
        dim_rep: int = 512,
        depth: int = 5,
        num_heads: int = 8,
        mlp_ratio: float = 2,
        maxlen: int = 243,
        num_joints: int = 17,
        att_fuse: bool = True,
        crop_input: bool = False,
    ):
        super().__init__()
        self.crop_input = crop_input
        self.att_fuse = att_fuse
        self.temp_embed = nn.Parameter(torch.zeros(1, maxlen, 1, dim_feat))
        self.pos_embed = nn.Parameter(torch.zeros(1, num_joints, dim_feat))
        self.joints_embed = nn.Linear(dim_in + (PLACE_COUNT if crop_input else 0), dim_feat)
        self.blocks_st = nn.ModuleList(Block(dim_feat, num_heads, mlp_ratio, False) for _ in range(depth))
        self.blocks_ts = nn.ModuleList(Block(dim_feat, num_heads, mlp_ratio, True) for _ in range(depth))
        self.norm = nn.LayerNorm(dim_feat, eps=_LAYER_NORM_EPS)
        self.pre_logits = nn.Sequential(OrderedDict(fc=nn.Linear(dim_feat, dim_rep), act=nn.Tanh()))
        self.head = nn.Linear(dim_rep, dim_out)
        if att_fuse:
            self.ts_attn = nn.ModuleList(nn.Linear(2 * dim_feat, 2) for _ in range(depth))
        self._init_weights()

    def _init_weights(self) -> None:
        nn.init.trunc_normal_(self.temp_embed, std=_INIT_STD)
        nn.init.trunc_normal_(self.pos_embed, std=_INIT_STD)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=_INIT_STD)
                nn.init.zeros_(module.bias)
        if self.att_fuse:
            for gate in self.ts_attn:
                nn.init.zeros_(gate.weight)
                nn.init.constant_(gate.bias, 0.5)

    def unused_parameters(self) -> list[nn.Parameter]:
        """The 3D pose head's, which is in every checkpoint and which `representation` does not reach."""
        return list(self.head.parameters())

    def matrix_parameters(self) -> list[nn.Parameter]:
        """The weights of attention and MLPs: maps between features of like scale."""
        blocks = (*self.blocks_st, *self.blocks_ts)
        return [parameter for block in blocks for parameter in block.parameters() if parameter.ndim == 2]

    def _fuse(self, layer: int, x_st: Tensor, x_ts: Tensor) -> Tensor:
        if not self.att_fuse:
            return (x_st + x_ts) * 0.5
        # A softmax over two is the sigmoid of their difference: half the products, and no concatenation.
        gate = self.ts_attn[layer]
        weight_st, weight_ts = (gate.weight[:1] - gate.weight[1:]).chunk(2, dim=1)
        logits = F.linear(x_st, weight_st, gate.bias[:1] - gate.bias[1:]) + F.linear(x_ts, weight_ts)
        return torch.lerp(x_ts, x_st, logits.sigmoid().to(x_st.dtype))

    def representation(self, keypoints: Tensor) -> Tensor:
        """Features (B, T, K, dim_rep) of keypoint clips (B, T, K, 3).

        Raises UserError where a clip is longer than `maxlen`.
        """
        frames, maxlen = keypoints.shape[1], self.temp_embed.shape[1]
        if frames > maxlen:
            raise UserError(
                f"clip_len: a clip of {frames} frames is longer than maxlen {maxlen}, the most that the backbone takes. "
                f"Set clip_len to {maxlen} or less, or raise maxlen (a pretrained backbone fixes it)."
            )
        if self.crop_input:
            keypoints = crop_with_place(keypoints)
        x = self.joints_embed(keypoints) + (self.pos_embed + self.temp_embed[0, :frames])
        for layer, (block_st, block_ts) in enumerate(zip(self.blocks_st, self.blocks_ts, strict=True)):
            x = self._fuse(layer, block_st(x), block_ts(x))
        return self.pre_logits(self.norm(x))

    def forward(self, keypoints: Tensor) -> Tensor:
        """3D pose (B, T, K, 3) of keypoint clips (B, T, K, 3); mesh recovery uses `representation` alone."""
        return self.head(self.representation(keypoints))
