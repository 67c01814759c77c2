"""Figures of whole tracks, summed over videos: how near they lie to their keypoints, and to the true path."""

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from kinemesh.body.assets import BodyAssets
from kinemesh.body.chain import joint_positions
from kinemesh.body.params import rotations_from_axis_angle
from kinemesh.fit.landmarks import BodyPoints
from kinemesh.world import metrics

_FOOT_NAMES = ("left_big_toe", "left_heel", "right_big_toe", "right_heel")


class Facts(NamedTuple):
    """What is to be said of fits, summed over frames."""

    frames: float = 0.0
    kept: float = 0.0  # whose body is the unfitted one
    fitted: float = 0.0  # of tracks that were fitted
    error_before_px: float = 0.0
    error_after_px: float = 0.0
    # Of tracks whose true place is known, in axes that stand still, with what they are divided by.
    placed: float = 0.0
    wa_mpjpe: float = 0.0
    w_mpjpe: float = 0.0
    travelled: float = 0.0
    rte: float = 0.0
    contacts: float = 0.0
    sliding: float = 0.0
    jerks: float = 0.0
    jitter: float = 0.0

    def means(self) -> dict[str, float]:
        """The share of frames whose body stays unfitted, and means of what there was anything of."""
        found = {"share_kept": self.kept / max(self.frames, 1)}
        if self.fitted:
            found["reprojection_error_before_px"] = self.error_before_px / self.fitted
            found["reprojection_error_after_px"] = self.error_after_px / self.fitted
        return found | self.means_of_paths()

    def means_of_paths(self) -> dict[str, float]:
        """Of the paths alone, what there was anything of."""
        found = {}
        for name, total, number in (
            ("wa_mpjpe_100", self.wa_mpjpe, self.placed),
            ("w_mpjpe_100", self.w_mpjpe, self.placed),
            ("rte_percent", self.rte, self.travelled),
            ("foot_sliding_mm", self.sliding, self.contacts),
            ("jitter_10_m_s3", self.jitter, self.jerks),
        ):
            if number:
                found[name] = total / number
        return found


class Body(NamedTuple):
    """A track's bodies, placed: poses (F, 72), betas (10,) or (F, 10), of which the mean counts, and places (F, 3), m."""

    poses: np.ndarray
    betas: np.ndarray
    trans_m: np.ndarray


def true_body(split: Any, rows: np.ndarray) -> Body | None:
    """The truth of rows (F,) of a split (`kinemesh.data.split`); None where it does not say where bodies are."""
    if split.still_trans_m is None:
        return None
    return Body(*(part[rows].numpy() for part in (split.smpl_pose, split.smpl_shape, split.still_trans_m)))


class PathScorer:
    """Joints and feet of tracks, and their errors against the truth's."""

    def __init__(self, assets: BodyAssets):
        self.feet = BodyPoints(assets, _FOOT_NAMES, joints=())
        self.rest_m = assets.J_regressor @ assets.v_template
        self.spread = np.einsum("jv,vdk->jdk", assets.J_regressor, assets.shapedirs)

    def score(self, pred: Body, target: Body, fps: float) -> Facts:
        """`Facts` of one video, those of paths alone."""
        joints, feet = zip(*map(self._points, (pred, target)), strict=True)
        roots = (points[:, 0] for points in joints)
        each = {
            "placed": metrics.wa_mpjpe_mm(*joints),
            "w": metrics.w_mpjpe_mm(*joints),
            "rte": metrics.rte_percent(*roots),
            "sliding": metrics.foot_sliding_mm(*feet),
            "jitter": metrics.jitter_10_m_s3(joints[0], fps),
        }
        each["rte"] = each["rte"][each["rte"].isfinite()]
        sums = {name: float(values.sum()) for name, values in each.items()}
        counts = {name: len(values) for name, values in each.items()}
        return Facts(
            placed=counts["placed"], wa_mpjpe=sums["placed"], w_mpjpe=sums["w"], travelled=counts["rte"], rte=sums["rte"],
            contacts=counts["sliding"], sliding=sums["sliding"], jerks=counts["jitter"], jitter=sums["jitter"],
        )  # fmt: skip

    def score_file(self, bodies: Body, split: Any, rows: np.ndarray, fps: float) -> dict[str, float]:
        """Means of the paths of bodies (F, ...), which are those of a split's rows (F,), rising; none where neither says a place.

        Frames of one video in a row are a path: what is missing between them is no movement.
        """
        is_told = np.isfinite(bodies.trans_m).all(axis=1)
        bodies, rows = Body(*(part[is_told] for part in bodies)), rows[is_told]
        cuts = np.flatnonzero((np.diff(rows) > 1) | (np.diff(split.video_of(rows)) != 0)) + 1
        sums = np.zeros(len(Facts._fields))
        for own in np.split(np.arange(len(rows)), cuts) if len(rows) and split.still_trans_m is not None else ():
            sums += self.score(Body(*(part[own] for part in bodies)), true_body(split, rows[own]), fps)
        return Facts(*sums).means_of_paths()

    @torch.inference_mode()
    def _points(self, body: Body) -> tuple[Tensor, Tensor]:
        """SMPL's joints (F, 24, 3) and the feet (F, 4, 3), m."""
        rotations = rotations_from_axis_angle(torch.from_numpy(np.asarray(body.poses, dtype=np.float32)))
        betas = np.asarray(body.betas, dtype=np.float64).reshape(-1, self.spread.shape[2]).mean(axis=0)
        joints, _ = joint_positions(rotations.double().numpy(), self.rest_m + self.spread @ betas)
        shape = torch.from_numpy(betas).float().expand(len(rotations), -1)
        moved = torch.from_numpy(np.asarray(body.trans_m, dtype=np.float64))[:, None]
        return torch.from_numpy(joints) + moved, self.feet.places(rotations, shape) + moved
