"""Are the numbers in the files what they should be? Body model and datasets, once they have been read."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from kinemesh.body.assets import BodyAssets
from kinemesh.body.kinematics import JointKinematics
from kinemesh.body.skeleton import H36M_ROOT
from kinemesh.config import Config
from kinemesh.data.sources import Dataset, UsedDataset
from kinemesh.data.split import Split
from kinemesh.program.check.findings import Finding, judged
from kinemesh.program.check.order import order_findings
from kinemesh.program.check.projection import fit_projection
from kinemesh.program.check.repeats import leak_findings, repeat_findings
from kinemesh.training.state import TrainedDataset

_STATURES_M = (0.9, 2.5)  # of the mean person of a body model
# Part of the body's height: what perspective and a detector's noise explain.
_LARGEST_RESIDUAL = 0.10
_LARGEST_ROW_FAULT = 0.05
_LARGEST_BETA = 10.0
_LARGEST_AT_CORNER = 0.005
_ROWS_AT_ONCE = 1 << 15
# Parts of a square's side: pictures of 4:3 end at 0.75 of it, those of 16:9 at 0.56.
_CORNER_MIDDLE, _CORNER_END = 0.40, 0.77
_FOCAL_SHARES = (0.3, 10.0)  # of a picture's larger side: a fisheye's, and a long telephoto lens's
_FEWEST_FRAMES, _MOST_FRAMES = 100, 100_000


def body_findings(assets: BodyAssets, where: str) -> Iterator[Finding]:
    """Size and sides of the mesh, row sums of the regressors and the skinning weights."""
    vertices, faces = assets.v_template, assets.faces
    height = np.ptp(vertices, axis=0).max()
    is_likely = _STATURES_M[0] <= height <= _STATURES_M[1]
    doubt = "" if is_likely else "no grown person is. Is it SMPL's own file, in metres?"
    yield judged("body size", where, f"{height:.3g} m tall", doubt)
    corners = vertices[faces.astype(np.int64)]
    volume = np.einsum("fi,fi->f", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])).sum() / 6
    found = f"{len(faces):,} faces"
    if volume < 0:
        advice = "all seen from inside: turn each around (faces[:, ::-1])."
        yield Finding("warning", "body faces", where, f"{found}, {advice}")
    else:
        yield Finding("ok", "body faces", where, f"{found}, seen from outside")
    weights = assets.skinning_weights
    worst = np.abs(weights.sum(axis=1) - 1).max()
    found = f"rows sum to 1 within {worst:.1e}, smallest weight {weights.min():.1e}"
    yield Finding("ok", "skinning weights", where, found)
    for what, regressor in (("joint regressor", assets.J_regressor), ("H36M regressor", assets.J_regressor_h36m)):
        worst = np.abs(regressor.sum(axis=1) - 1).max()
        doubt = "joints do not follow the body's translation. Is it the right file?"
        yield judged(what, where, f"rows sum to 1 within {worst:.1e}", doubt if worst > _LARGEST_ROW_FAULT else "")


def dataset_findings(
    dataset: Dataset, splits: Sequence[str], where: str, kinematics: JointKinematics | None
) -> Iterator[Finding]:
    """What can be said of these splits' arrays; without `kinematics` keypoints are not compared with bodies."""
    for name in splits:
        split: Split = getattr(dataset, name)
        if split.frame_count:
            yield from split_findings(split, where, kinematics)
    yield from leak_findings(dataset, where)


def use_findings(used: UsedDataset, trained: TrainedDataset, config: Config) -> Iterator[Finding]:
    """What would be trained on and tested on, how much."""
    for what, loader in (("train", trained.train), ("test", trained.test)):
        if loader is None:
            continue
        split = loader.split
        videos = f"{len(split.video_names):,} videos, " if split.video_names else ""
        found = f"{videos}{split.frame_count:,} frames, {loader.clip_count:,} clips in {len(loader):,} batches"
        if what == "train" and used.source.weight is not None:
            found += f": mixed with others by weight {used.source.weight:g}"
        elif what == "train":
            steps = -(-len(loader) // config.grad_accumulation)
            epochs = min(used.source.train_epochs, config.epochs)
            found += f": {steps:,} steps an epoch, in the first {epochs} of {config.epochs} epochs"
        yield Finding("note", f"{used.source.name} {what}", str(used.path), found)


def split_findings(split: Split, where: str, kinematics: JointKinematics | None) -> Iterator[Finding]:
    """Ranges of a split's arrays, repeats, and its keypoints against its ground truth."""
    name = f"{split.dataset} {split.name}"
    ranges = _ranges(split)
    if split.keypoints_px is None:
        yield Finding("note", f"{name} keypoints", where, "there are none ('joint_2d'): they are made on the fly")
    else:
        yield _pixels(split, ranges, name, where)
    if split.camera_matrix is not None:
        yield _camera(split, name, where)
    if split.confidence is not None:
        yield _confidence(ranges, name, where)
        yield from _missing(split, name, where)
    found = f"largest rotation {ranges.angle:.2f} rad, largest beta {ranges.beta:.2f}"
    doubt = "no body looks so. Are these betas of SMPL's neutral model?" * (ranges.beta > _LARGEST_BETA)
    yield judged(f"{name} poses", where, found, doubt)
    yield from repeat_findings(split, name, where)
    if kinematics is not None:
        if split.keypoints_px is not None:
            yield _projection(split, name, where, kinematics)
        yield from order_findings(split, name, where, kinematics)


class _Ranges(NamedTuple):
    """Extremes over all frames of a split, and shares of their keypoints."""

    first_px: np.ndarray  # (2,) smallest x and y
    last_px: np.ndarray  # (2,) largest
    outside: float  # of the picture
    confidence: tuple[float, float]
    unlikely: float  # confidence beyond 0 to 1
    angle: float  # rad
    beta: float


def _ranges(split: Split) -> _Ranges:
    first, last, confidences = np.full(2, np.inf), np.full(2, -np.inf), [np.inf, -np.inf]
    outside = unlikely = angle = beta = 0.0
    for start in range(0, split.frame_count, _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        part = len(split.smpl_pose[rows]) / split.frame_count
        if split.keypoints_px is not None:
            keypoints = split.keypoints_px[rows].flatten(1, -2)
            size = split.image_size if split.image_size.ndim == 1 else split.image_size[rows, None]
            outside += part * ((keypoints < 0) | (keypoints > size)).any(dim=-1).float().mean().item()
            first = np.minimum(first, keypoints.amin((0, 1)).numpy())
            last = np.maximum(last, keypoints.amax((0, 1)).numpy())
        if split.confidence is not None:
            confidence = split.confidence[rows]
            low, high = (bound.item() for bound in confidence.aminmax())
            confidences = [min(confidences[0], low), max(confidences[1], high)]
            unlikely += part * ((confidence < 0) | (confidence > 1)).float().mean().item()
        angle = max(angle, split.smpl_pose[rows].unflatten(-1, (-1, 3)).norm(dim=-1).max().item())
        beta = max(beta, split.smpl_shape[rows].abs().max().item())
    return _Ranges(first, last, outside, tuple(confidences), unlikely, angle, beta)


def _pixels(split: Split, ranges: _Ranges, name: str, where: str) -> Finding:
    (left, top), (right, bottom) = ranges.first_px, ranges.last_px
    width, height = split.image_size.reshape(-1, 2).amax(dim=0).tolist()
    found = (
        f"x {left:.0f} to {right:.0f}, y {top:.0f} to {bottom:.0f} in images of {width:.0f} x {height:.0f}, "
        f"{ranges.outside:.1%} of the keypoints outside"
    )
    doubt = ""
    if ranges.outside > 0.2:
        doubt = "are these the pixels of this dataset's images?"
    # Half of the image unused on both sides: pixels of smaller images, or crops.
    elif right < width / 2 and bottom < height / 2:
        doubt = "they fill a quarter only. Were the images scaled?"
    elif axis := _unpadded(split):
        doubt = (
            f"a square whose {axis} half stays empty. Pictures that are not square have to lie in its middle: move "
            "the keypoints there, or give the pictures' own img_hw."
        )
    return judged(f"{name} pixels", where, found, doubt)


def _unpadded(split: Split) -> str:
    """The half that stays empty where pictures of another shape look put into the corner of a square, or nothing.

    People stand in the middle of pictures, on the whole, and some near the border.
    """
    if split.image_size.ndim != 1 or split.image_size[0] != split.image_size[1] or split.frame_count < _FEWEST_FRAMES:
        return ""
    step = -(-split.frame_count // _MOST_FRAMES)
    keypoints, _ = split.first_detection(slice(None, None, step))
    share = (keypoints / split.image_size).numpy()
    middle = np.median(share[:, H36M_ROOT], axis=0)
    end = np.quantile(share, 0.999, axis=(0, 1))
    is_cornered = (middle < _CORNER_MIDDLE) & (end < _CORNER_END)
    return "lower" if is_cornered[1] else "right" if is_cornered[0] else ""


def _camera(split: Split, name: str, where: str) -> Finding:
    matrices = split.camera_matrix.reshape(-1, 3, 3)
    focal, centre = matrices[:, [0, 1], [0, 1]], matrices[:, :2, 2]
    share = focal / split.image_size.reshape(-1, 2).amax(dim=-1, keepdim=True)
    outside = ((centre < 0) | (centre > split.image_size)).any(dim=-1).float().mean().item()
    found = f"focal lengths {share.min():.2f} to {share.max():.2f} of the picture's larger side, {outside:.1%} centres outside"
    is_odd = outside > _LARGEST_ROW_FAULT or share.min() < _FOCAL_SHARES[0] or share.max() > _FOCAL_SHARES[1]
    return judged(f"{name} cameras", where, found, "is K in pixels of these pictures?" if is_odd else "")


def _confidence(ranges: _Ranges, name: str, where: str) -> Finding:
    lowest, highest = ranges.confidence
    found = f"{lowest:.2f} to {highest:.2f}"
    if ranges.unlikely:
        found += f", {ranges.unlikely:.1%} outside 0 to 1, which is clipped"
    is_odd = ranges.unlikely > 0.2 or highest <= 0
    return judged(f"{name} confidence", where, found, "are these confidences?" if is_odd else "")


def _missing(split: Split, name: str, where: str) -> Iterator[Finding]:
    """Keypoints that are not there, and were left in the picture's corner."""
    keypoints_px, confidence = split.first_detection(slice(None, None, -(-split.frame_count // _MOST_FRAMES)))
    is_left = (confidence == 0) & (keypoints_px == 0).all(dim=-1)
    share = is_left.float().mean().item()
    if share > _LARGEST_AT_CORNER:
        found = f"{share:.1%} of the keypoints missing, at (0, 0), which misleads a network: fill_missing: interpolate"
        yield Finding("warning", f"{name} keypoints", where, found)


def _projection(split: Split, name: str, where: str, kinematics: JointKinematics) -> Finding:
    fit = fit_projection(split, kinematics)
    found = (
        f"off the projected ground truth by {fit.residual:.1%} of the body's height ({fit.swapped_residual:.1%} with left "
        f"and right swapped, better so in {fit.swapped_share:.0%} of the frames)"
    )
    doubt = ""
    if fit.swapped_share > 0.5:
        doubt = "left and right look swapped."
    elif fit.residual > _LARGEST_RESIDUAL:
        doubt = "keypoints and poses do not show the same body."
    return judged(f"{name} keypoints", where, found, doubt)
