"""Are the numbers in the files what they should be? Body model and datasets, once they have been read."""

from collections.abc import Iterator

import numpy as np

from kinemesh.body.assets import BodyAssets
from kinemesh.body.kinematics import JointKinematics
from kinemesh.data.split import Split
from kinemesh.program.check.findings import Finding
from kinemesh.program.check.projection import fit_projection

# Part of the body's height: what perspective and a detector's noise explain.
_LARGEST_RESIDUAL = 0.10
_LARGEST_ROW_FAULT = 0.05
_LARGEST_BETA = 10.0


def body_findings(assets: BodyAssets, where: str) -> Iterator[Finding]:
    """Row sums of the regressors and the skinning weights."""
    weights = assets.skinning_weights
    worst = np.abs(weights.sum(axis=1) - 1).max()
    found = f"rows sum to 1 within {worst:.1e}, smallest weight {weights.min():.1e}"
    yield Finding("ok", "skinning weights", where, found)
    for what, regressor in (("joint regressor", assets.J_regressor), ("H36M regressor", assets.J_regressor_h36m)):
        worst = np.abs(regressor.sum(axis=1) - 1).max()
        found = f"rows sum to 1 within {worst:.1e}"
        if worst > _LARGEST_ROW_FAULT:
            yield Finding(
                "warning", what, where, f"{found}: joints do not follow the body's translation. Is it the right file?"
            )
        else:
            yield Finding("ok", what, where, found)


def split_findings(split: Split, where: str, kinematics: JointKinematics) -> Iterator[Finding]:
    """Ranges of a split's arrays, and its keypoints against its ground truth."""
    name = f"{split.dataset} {split.name}"
    yield _pixels(split, name, where)
    if split.confidence is not None:
        yield _confidence(split, name, where)
    angle = split.smpl_pose.unflatten(-1, (-1, 3)).norm(dim=-1).max().item()
    shape = split.smpl_shape.abs().max().item()
    found = f"largest rotation {angle:.2f} rad, largest beta {shape:.2f}"
    if shape > _LARGEST_BETA:
        yield Finding(
            "warning", f"{name} poses", where, f"{found}: no body looks so. Are these betas of SMPL's neutral model?"
        )
    else:
        yield Finding("ok", f"{name} poses", where, found)
    yield _projection(split, name, where, kinematics)


def _pixels(split: Split, name: str, where: str) -> Finding:
    (left, top), (right, bottom) = (split.keypoints_px.amin((0, 1)).tolist(), split.keypoints_px.amax((0, 1)).tolist())
    size = split.image_size if split.image_size.ndim == 1 else split.image_size[:, None]
    outside = ((split.keypoints_px < 0) | (split.keypoints_px > size)).any(dim=-1).float().mean().item()
    width, height = split.image_size.reshape(-1, 2).amax(dim=0).tolist()
    found = (
        f"x {left:.0f} to {right:.0f}, y {top:.0f} to {bottom:.0f} in images of {width:.0f} x {height:.0f}, "
        f"{outside:.1%} of the keypoints outside"
    )
    if outside > 0.2:
        return Finding("warning", f"{name} pixels", where, f"{found}: are these the pixels of this dataset's images?")
    # Half of the image unused on both sides: pixels of smaller images, or crops.
    if right < width / 2 and bottom < height / 2:
        return Finding(
            "warning", f"{name} pixels", where, f"{found}: they fill a quarter only. Were the images scaled?"
        )
    return Finding("ok", f"{name} pixels", where, found)


def _confidence(split: Split, name: str, where: str) -> Finding:
    lowest, highest = (bound.item() for bound in split.confidence.aminmax())
    beyond = ((split.confidence < 0) | (split.confidence > 1)).float().mean().item()
    found = f"{lowest:.2f} to {highest:.2f}"
    if beyond:
        found += f", {beyond:.1%} outside 0 to 1, which is clipped"
    if beyond > 0.2 or highest <= 0:
        return Finding("warning", f"{name} confidence", where, f"{found}: are these confidences?")
    return Finding("ok", f"{name} confidence", where, found)


def _projection(split: Split, name: str, where: str, kinematics: JointKinematics) -> Finding:
    fit = fit_projection(split, kinematics)
    found = (
        f"off the projected ground truth by {fit.residual:.1%} of the body's height ({fit.swapped_residual:.1%} with left "
        f"and right swapped, better so in {fit.swapped_share:.0%} of the frames)"
    )
    if fit.swapped_share > 0.5:
        return Finding("warning", f"{name} keypoints", where, f"{found}: left and right look swapped.")
    if fit.residual > _LARGEST_RESIDUAL:
        return Finding(
            "warning", f"{name} keypoints", where, f"{found}: keypoints and poses do not show the same body."
        )
    return Finding("ok", f"{name} keypoints", where, found)
