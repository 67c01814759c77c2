"""Figures of whole tracks, summed over videos: how near they lie to their keypoints, and to the true path."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from kinemesh.body.assets import BodyAssets
from kinemesh.body.chain import joint_positions
from kinemesh.body.params import rotations_from_axis_angle
from kinemesh.body.skeleton import MM_PER_M
from kinemesh.body.smpl import PosedBody
from kinemesh.evaluation.paths.floor import TOUCHING_M, Floor, find_floor, find_soles
from kinemesh.fit.landmarks import BodyPoints
from kinemesh.structures import BodyParams
from kinemesh.world import metrics

# Meshes of this many frames exist at once.
_FRAMES_POSED = 256
# A plane that true bodies with a foot at rest touch less often, or that they are further below in the mean, is no floor.
_LEAST_TOUCHING, _MOST_BELOW_MM = 0.5, 10.0
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
    # Of tracks whose true bodies tell the floor.
    floored: float = 0.0
    penetration: float = 0.0
    touching: float = 0.0
    floating: float = 0.0

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
            ("penetration_mm", self.penetration, self.floored),
            ("float_mm", self.floating, self.touching),
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
        self.body = PosedBody(assets)
        self.soles = find_soles(assets)
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
        each |= self._off_floor(pred, target, feet[1], joints[1][:, 0])
        each["rte"] = each["rte"][each["rte"].isfinite()]
        sums = {name: float(values.sum()) for name, values in each.items()}
        counts = {name: len(values) for name, values in each.items()}
        return Facts(
            placed=counts["placed"], wa_mpjpe=sums["placed"], w_mpjpe=sums["w"], travelled=counts["rte"], rte=sums["rte"],
            contacts=counts["sliding"], sliding=sums["sliding"], jerks=counts["jitter"], jitter=sums["jitter"],
            floored=counts["penetration"], penetration=sums["penetration"], touching=counts["float"], floating=sums["float"],
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

    def _off_floor(self, pred: Body, target: Body, feet: Tensor, roots: Tensor) -> dict[str, Tensor]:
        """How far bodies are below and above the floor that the true ones, feet (F, 4, 3) and roots (F, 3), stand on."""
        is_still = torch.nn.functional.pad(metrics.are_still(feet), (0, 0, 1, 0))
        are_resting = is_still.unflatten(1, (2, 2)).any(dim=2)
        soles = [vertices[:, self.soles] for vertices in self._vertices_m(target)]
        floor = find_floor(torch.cat(soles), are_resting, roots)
        if floor is not None:
            true = self._lowest_m(target, floor)
            is_touching = true.abs() < TOUCHING_M
            is_touched = is_touching[are_resting.any(dim=1)].double().mean() > _LEAST_TOUCHING
            if is_touched and metrics.penetration_mm(true).mean() < _MOST_BELOW_MM:
                lowest = self._lowest_m(pred, floor)
                return {"penetration": metrics.penetration_mm(lowest), "float": metrics.float_mm(lowest[is_touching])}
        return dict.fromkeys(("penetration", "float"), roots.new_empty(0))

    def _lowest_m(self, body: Body, floor: Floor) -> Tensor:
        """(F,) how high each body's lowest vertex is above the floor."""
        return torch.cat([(part @ floor.up).amin(dim=1) for part in self._vertices_m(body)]) - floor.height_m

    @torch.inference_mode()
    def _vertices_m(self, body: Body) -> Iterator[Tensor]:
        """Some frames' (F, V, 3) float64 at a time."""
        rotations, shape, moved = (part.split(_FRAMES_POSED) for part in self._tensors(body))
        for params in zip(rotations, shape, moved, strict=True):
            yield self.body(BodyParams(*params[:2])).vertices_mm.double() / MM_PER_M + params[2][:, None]

    def _tensors(self, body: Body) -> tuple[Tensor, Tensor, Tensor]:
        """Rotations (F, 24, 3, 3), the mean shape (F, 10), and places (F, 3) float64."""
        rotations = rotations_from_axis_angle(torch.from_numpy(np.asarray(body.poses, dtype=np.float32)))
        betas = np.asarray(body.betas, dtype=np.float64).reshape(-1, self.spread.shape[2]).mean(axis=0)
        moved = torch.from_numpy(np.asarray(body.trans_m, dtype=np.float64))
        return rotations, torch.from_numpy(betas).float().expand(len(rotations), -1), moved

    @torch.inference_mode()
    def _points(self, body: Body) -> tuple[Tensor, Tensor]:
        """SMPL's joints (F, 24, 3) and the feet (F, 4, 3), m."""
        rotations, shape, moved = self._tensors(body)
        rest_m = self.rest_m + self.spread @ shape[0].double().numpy()
        joints, _ = joint_positions(rotations.double().numpy(), rest_m)
        return torch.from_numpy(joints) + moved[:, None], self.feet.places(rotations, shape) + moved[:, None]
