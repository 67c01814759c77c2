"""Where a posed body stands before a pinhole camera, from its keypoints: linear in the translation.

With a = (u - cx) / f and b = (v - cy) / f, a joint (X, Y, Z) moved by t is seen at (u, v) where

    t_x - a t_z = a Z - X,      t_y - b t_z = b Z - Y:

two linear equations a keypoint. Divided by the depth they are reprojection errors, so a few rounds with the depth of
the round before come close to the least reprojection error, without a start value and without local minima. All frames
are solved together: accelerations cost what they would cost as noise of that size, which leaves one banded system.
"""

from collections.abc import Sequence
from numbers import Real
from typing import NamedTuple

import numpy as np

from kinemesh.errors import UserError
from kinemesh.geometry.camera import project
from kinemesh.geometry.neighbours import rows_between
from kinemesh.structures import VideoCamera

# People speed up and slow down by about this much, m/s^2: in the picture, where a camera in somebody's hand shakes too, and
# in depth, which keypoints tell worst.
_ACCELERATIONS = (20.0, 20.0, 4.0)
_ROUNDS = 3
_LEAST_DEPTH_M = 0.2
# Keeps frames whose keypoints all lie in one place solvable; far below what one keypoint weighs.
_RIDGE = 1e-8


class _Equations(NamedTuple):
    """Normal equations of each frame: matrix (F, 3, 3) t = right (F, 3)."""

    matrix: np.ndarray
    right: np.ndarray


def default_focal_px(image_size: tuple[int, int]) -> float:
    """The image's diagonal: a horizontal view of about 47 degrees at 16:9, between a phone's and a film camera's."""
    return float(np.hypot(*image_size))


def video_camera(image_size: tuple[int, int], focal_px: float | None = None) -> VideoCamera:
    """A camera that looks through the image's middle; `focal_px` is `default_focal_px` where it is None.

    Raises UserError for an image without a size.
    """
    width, height = checked_size(image_size)
    focal_px = default_focal_px(image_size) if focal_px is None else focal_px
    return VideoCamera(focal_px, (width / 2, height / 2), (width, height))


def checked_size(image_size: object) -> tuple[int, int]:
    """Width and height; raises UserError for whatever is not two numbers above 0."""
    sides = image_size if isinstance(image_size, Sequence | np.ndarray) else ()
    if len(sides) != 2 or not all(isinstance(side, Real) and 0 < side < np.inf for side in sides):
        raise UserError(
            f"image_size {image_size!r}: expected the picture's width and height in pixels, as (1280, 720)."
        )
    return tuple(sides)


def solve_translation(
    joints_m: np.ndarray, keypoints_px: np.ndarray, camera: VideoCamera, fps: float
) -> tuple[np.ndarray, np.ndarray]:
    """Translations (F, 3) m of one segment: of each frame alone, and of all together.

    Args:
        joints_m: (F, K, 3) regressed joints of the posed body at translation 0.
        keypoints_px: (F, K, 3) x, y, confidence; a frame whose confidences are all 0 takes its place from the frames
            around it. The first and the last must not be such.
    """
    alone = _solve_alone(joints_m, keypoints_px, camera)
    together = alone
    for _ in range(_ROUNDS):
        equations = _equations(
            joints_m, keypoints_px, camera, _residual_weights(joints_m, keypoints_px, camera, together)
        )
        together = _solve_together(equations, together, fps)
    return alone, together


def choose_camera(
    joints_m: list[np.ndarray], keypoints_px: list[np.ndarray], cameras: list[VideoCamera], fps: float
) -> tuple[VideoCamera, np.ndarray]:
    """The camera before which a track's segments (F, K, 3) lie nearest to their keypoints, and all their translations there."""
    found = []
    points = np.concatenate(keypoints_px)
    for camera in cameras:
        pairs = zip(joints_m, keypoints_px, strict=True)
        trans_m = np.concatenate([solve_translation(*pair, camera, fps)[1] for pair in pairs])
        error_px = reprojection_errors_px(np.concatenate(joints_m) + trans_m[:, None], points, camera)
        found.append((float(np.average(error_px, weights=points[..., 2])), camera, trans_m))
    return min(found, key=lambda each: each[0])[1:]


def solve_from_reference(
    joints_m: np.ndarray, keypoints_px: np.ndarray, camera: VideoCamera, reference: np.ndarray
) -> tuple[np.ndarray, float]:
    """Translations (F, 3) m along a reference's root, joint 0, and the reference's scale in m.

    The released script's use of `reference` (F, K, 3): its pose relative to joint 0, scaled and shifted, is fitted to
    the body's, and its root times that scale is the root's path. One scale and one shift are linear, so the least
    squares have a closed form. One more constant, which the released script leaves at 0, moves the whole path to where
    the body fits its keypoints.
    """
    ours, theirs = (points - points[:, :1] for points in (joints_m, reference))
    ours, theirs = (points.reshape(-1, 3) - points.mean(axis=(0, 1)) for points in (ours, theirs))
    scale = float((ours * theirs).sum() / np.maximum((theirs**2).sum(), 1e-12))
    path = reference[:, 0] * scale - joints_m[:, 0]
    start = _solve_alone(joints_m, keypoints_px, camera)
    equations = _equations(joints_m, keypoints_px, camera, _residual_weights(joints_m, keypoints_px, camera, start))
    right = (equations.right - (equations.matrix @ path[..., None])[..., 0]).sum(axis=0)
    return path + np.linalg.solve(equations.matrix.sum(axis=0), right), scale


def reprojection_errors_px(joints_m: np.ndarray, keypoints_px: np.ndarray, camera: VideoCamera) -> np.ndarray:
    """(F, K) distances between keypoints and where joints in camera axes are seen."""
    return np.linalg.norm(project(joints_m, camera.focal_px, camera.centre_px) - keypoints_px[..., :2], axis=-1)


def misfit_of_frames(joints_m: np.ndarray, keypoints_px: np.ndarray, camera: VideoCamera) -> float:
    """How badly bodies (F, K, 3) fit keypoints (F, K, 3) wherever they stand: median error in parts of their size."""
    error = reprojection_errors_px(
        joints_m + _solve_alone(joints_m, keypoints_px, camera)[:, None], keypoints_px, camera
    )
    size = np.maximum(np.ptp(keypoints_px[..., :2], axis=1).max(axis=1), 1.0)
    return float(np.median((error / size[:, None])[keypoints_px[..., 2] > 0]))


def _solve_alone(joints_m: np.ndarray, keypoints_px: np.ndarray, camera: VideoCamera) -> np.ndarray:
    """Each frame by itself; a frame without keypoints lies on the line between the frames around it."""
    confidence = keypoints_px[..., 2].astype(np.float64)
    equations = _equations(joints_m, keypoints_px, camera, confidence)
    by_size = _by_size(joints_m, keypoints_px, camera)
    ridge = _RIDGE * np.maximum(confidence.sum(axis=1), 1e-6)
    matrix = equations.matrix + ridge[:, None, None] * np.eye(3)
    alone = np.linalg.solve(matrix, (equations.right + ridge[:, None] * by_size)[..., None])[..., 0]
    # Keypoints that do not look like the body at all can put it behind the camera.
    is_behind = (joints_m[..., 2] + alone[:, None, 2]).min(axis=1) < _LEAST_DEPTH_M
    alone[is_behind] = by_size[is_behind]
    known = np.flatnonzero(confidence.sum(axis=1) > 0)
    return rows_between(alone[known], known, np.arange(len(alone)))


def _by_size(joints_m: np.ndarray, keypoints_px: np.ndarray, camera: VideoCamera) -> np.ndarray:
    """(F, 3) translations from the size of the keypoints' cloud and its middle: coarse, but never behind the camera."""
    weights = keypoints_px[..., 2:] / np.maximum(keypoints_px[..., 2:].sum(axis=1, keepdims=True), 1e-6)
    middles = [(points * weights).sum(axis=1, keepdims=True) for points in (joints_m[..., :2], keypoints_px[..., :2])]
    clouds = zip((joints_m[..., :2], keypoints_px[..., :2]), middles, strict=True)
    sizes = [np.sqrt(((points - middle) ** 2 * weights).sum(axis=(1, 2))) for points, middle in clouds]
    depth = camera.focal_px * sizes[0] / np.maximum(sizes[1], 1.0)
    depth = np.maximum(depth, _LEAST_DEPTH_M - joints_m[..., 2].min(axis=1))
    place = (middles[1][:, 0] - camera.centre_px) / camera.focal_px * depth[:, None] - middles[0][:, 0]
    return np.concatenate((place, depth[:, None]), axis=1)


def _equations(joints_m: np.ndarray, keypoints_px: np.ndarray, camera: VideoCamera, weights: np.ndarray) -> _Equations:
    """Each keypoint's two equations with weight (F, K), summed over a frame."""
    rays = (keypoints_px[..., :2].astype(np.float64) - camera.centre_px) / camera.focal_px
    wanted = rays * joints_m[..., 2:] - joints_m[..., :2]
    weighted_rays = rays * weights[..., None]
    matrix = np.zeros((len(rays), 3, 3))
    matrix[:, 0, 0] = matrix[:, 1, 1] = weights.sum(axis=1)
    matrix[:, :2, 2] = matrix[:, 2, :2] = -weighted_rays.sum(axis=1)
    matrix[:, 2, 2] = (weighted_rays * rays).sum(axis=(1, 2))
    right = np.empty((len(rays), 3))
    right[:, :2] = (wanted * weights[..., None]).sum(axis=1)
    right[:, 2] = -(wanted * weighted_rays).sum(axis=(1, 2))
    return _Equations(matrix, right)


def _residual_weights(
    joints_m: np.ndarray, keypoints_px: np.ndarray, camera: VideoCamera, trans_m: np.ndarray
) -> np.ndarray:
    """(F, K) weights that make the equations reprojection errors in units of their own spread, outliers less.

    The outliers' rule is Geman and McClure's, with the spread as the median says it.
    """
    moved = joints_m + trans_m[:, None]
    error = reprojection_errors_px(moved, keypoints_px, camera)
    confidence = keypoints_px[..., 2].astype(np.float64)
    spread = max(1.4826 * float(np.median(error[confidence > 0])), 1.0)
    per_metre = camera.focal_px / np.maximum(moved[..., 2], _LEAST_DEPTH_M) / spread
    return (confidence * per_metre / (1 + (error / (3 * spread)) ** 2)) ** 2


def _solve_together(equations: _Equations, near: np.ndarray, fps: float) -> np.ndarray:
    """(F, 3) that minimise the equations' errors and accelerations; `near` decides what nothing else does."""
    frames = len(near)
    matrix = equations.matrix + _RIDGE * np.eye(3)
    right = equations.right + _RIDGE * near
    # Lower diagonals of a matrix over (frame, coordinate): a frame's own block, then frames one and two further on.
    bands = np.zeros((7, frames, 3))
    for offset in range(3):
        for column in range(3 - offset):
            bands[offset, :, column] = matrix[:, column + offset, column]
    cost = (fps**2 / np.array(_ACCELERATIONS)) ** 2
    for place, factors in ((0, (1.0, 4.0, 1.0)), (3, (-2.0, -2.0)), (6, (1.0,))):
        for shift, factor in enumerate(factors):
            bands[place, shift : max(shift, frames - 2 + shift)] += cost * factor
    from scipy.linalg import solveh_banded  # slow to import, and only a video needs it

    solved = solveh_banded(bands.reshape(7, -1), right.reshape(-1), lower=True, check_finite=False)
    return solved.reshape(frames, 3)
