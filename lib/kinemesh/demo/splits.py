"""Makes one split of a synthetic dataset: people, motion, cameras, detections, estimates, as released arrays."""

import os
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch

from kinemesh.body.assets import BodyAssets
from kinemesh.body.kinematics import JointKinematics
from kinemesh.body.skeleton import BETA_COUNT, MM_PER_M, SMPL_JOINT_COUNT, SMPL_PARENTS
from kinemesh.demo.body import load_stand_in
from kinemesh.demo.camera import View, point_cameras, see
from kinemesh.demo.detector import detect
from kinemesh.demo.estimator import estimate
from kinemesh.motion.motion import make_motion
from kinemesh.motion.poses import HELD_OUT_KINDS, KINDS
from kinemesh.structures import BodyParams

STATURE_M = 1.7
_LARGEST_BETA = 2.5
# Enough for arrays to pay, few enough to stay in some hundred MB.
_FRAMES_AT_ONCE = 2000


class DemoSplit(NamedTuple):
    """How much of what one split holds."""

    video_count: int
    frame_count: int  # of each video
    weights: dict[str, float]  # how often a kind of motion comes; 1 for a kind not named
    held_out_count: int = 0  # videos, of the above, of kinds that no train split holds
    estimated_share: float = 1.0  # part of the videos, from the first on, that the simulated estimator sees


class DemoDataset(NamedTuple):
    """One dataset file."""

    name: str
    fps: float
    view: View
    image_hw: tuple[int, int]
    train: DemoSplit
    test: DemoSplit
    cameras: dict[str, tuple[int, int]] | None = None  # H36M: name and height, width


class StandIn:
    """The stand-in body in memory: joints of people of any shape, in rest and posed. Its mean pose is left at 0."""

    def __init__(self):
        body = load_stand_in()
        self.rest_joints_m = body["J_regressor"] @ body["v_template"]
        self.rest_joint_directions = np.einsum("jv,vdk->jdk", body["J_regressor"], body["shapedirs"])
        names = ("v_template", "shapedirs", "posedirs", "J_regressor", "skinning_weights", "faces", "J_regressor_h36m")
        self.assets = BodyAssets(
            **{name: body[name] for name in names},
            parents=SMPL_PARENTS,
            mean_pose_6d=np.zeros(6 * SMPL_JOINT_COUNT),
            mean_betas=np.zeros(BETA_COUNT),
        )
        # In float64 the rounding to float32 files hides what differs between machines' matrix libraries.
        self._kinematics = JointKinematics(self.assets, dtype=torch.float64)

    def shaped_rest_joints_m(self, betas: np.ndarray) -> np.ndarray:
        """Betas (videos, 10) -> rest joints (videos, 24, 3) in metres."""
        return self.rest_joints_m + np.einsum("jdk,nk->njd", self.rest_joint_directions, betas)

    def regressed_joints_m(self, rotations: np.ndarray, betas: np.ndarray) -> np.ndarray:
        """Rotations (videos, frames, 24, 3, 3), betas (videos, 10) -> (videos, frames, 17, 3), the model's origin."""
        video_count, frame_count = rotations.shape[:2]
        repeated = torch.from_numpy(betas)[:, None].expand(video_count, frame_count, BETA_COUNT)
        with torch.no_grad():
            return self._kinematics(BodyParams(torch.from_numpy(rotations), repeated)).numpy() / MM_PER_M


def choose_kinds(rng: np.random.Generator, plan: DemoSplit) -> list[str]:
    """One kind of motion per video, shuffled; kinds held out only where the plan asks for them."""
    usual = [kind for kind in KINDS if kind not in HELD_OUT_KINDS]
    weights = np.array([plan.weights.get(kind, 1.0) for kind in usual])
    # Even coverage instead of independent draws: small test splits hold every common kind.
    count = plan.video_count - plan.held_out_count
    places = (np.arange(count) + rng.random()) / count
    kinds = [usual[i] for i in np.searchsorted(np.cumsum(weights) / weights.sum(), places)]
    kinds += [HELD_OUT_KINDS[i % len(HELD_OUT_KINDS)] for i in range(plan.held_out_count)]
    return [kinds[i] for i in rng.permutation(len(kinds))]


def make_split(seed: list[int], dataset: DemoDataset, split: str, body: StandIn) -> tuple[dict, dict[str, np.ndarray]]:
    """A split in the released layout, arrays float32, and `pred_smpl_pose`, `pred_smpl_shape` of what is estimated.

    Videos, bodies and cameras are drawn afresh for each seed, so no two splits share any.

    Args:
        seed: what names this split; the same seed makes the same split, whatever the number of processors.
        split: "train" or "test".
    """
    plan: DemoSplit = getattr(dataset, split)
    kinds = choose_kinds(np.random.default_rng([*seed, 0]), plan)
    estimated_count = round(plan.estimated_share * len(kinds))
    at_once = max(1, _FRAMES_AT_ONCE // plan.frame_count)

    def make(first: int) -> dict[str, np.ndarray]:
        rng = np.random.default_rng([*seed, 1, first])
        some = kinds[first : first + at_once]
        return _make_videos(rng, dataset, some, plan.frame_count, body, estimated=first < estimated_count)

    # NumPy lets go of the interpreter in its long operations, so threads use both processors without copies.
    with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
        parts = list(pool.map(make, range(0, len(kinds), at_once)))
    joined = {key: np.concatenate([part[key] for part in parts if key in part]) for key in parts[0]}
    keys = ("joint_2d", "confidence", "smpl_pose", "smpl_shape")
    # Only before a camera that stands is a place one in a world.
    is_still = split == "test" and plan.frame_count > 1 and not dataset.view.is_held
    content = {key: joined[key] for key in (*keys, *("trans_camera",) * is_still)}
    rows = plan.frame_count * estimated_count
    predictions = {key: joined[key][:rows] for key in joined if key.startswith("pred_")}
    return content | _labels(dataset, split, kinds, plan.frame_count), predictions


def _labels(dataset: DemoDataset, split: str, kinds: list[str], frame_count: int) -> dict[str, list]:
    """What names each frame: `source`, `action`, `img_hw`, for H36M also `camera_name`."""
    cameras = list((dataset.cameras or {}).items()) or [("", dataset.image_hw)]
    labels = {"source": [], "action": [], "img_hw": [], "camera_name": []}
    for number, kind in enumerate(kinds):
        camera, image_hw = cameras[number % len(cameras)]
        name = f"{dataset.name}_{split}_{kind}_{number:05d}" + (f".{camera}" if camera else "")
        for key, value in zip(labels, (name, kind, image_hw, camera), strict=True):
            labels[key] += [value] * frame_count
    if not dataset.cameras:
        del labels["camera_name"]
    return labels


def _make_videos(
    rng: np.random.Generator,
    dataset: DemoDataset,
    kinds: list[str],
    frame_count: int,
    body: StandIn,
    *,
    estimated: bool,
) -> dict[str, np.ndarray]:
    """Arrays (frames of one video after another, ...) of one video per kind."""
    fps = dataset.fps
    betas = np.clip(rng.standard_normal((len(kinds), BETA_COUNT)), -_LARGEST_BETA, _LARGEST_BETA)
    rest_joints = body.shaped_rest_joints_m(betas)
    motion = make_motion(rng, kinds, frame_count, fps, rest_joints)
    pelvis_rest = rest_joints[:, None, 0]
    camera = point_cameras(rng, dataset.view, motion.root_m + pelvis_rest, fps)

    rotations = motion.rotations.copy()
    rotations[:, :, 0] = camera.rotations @ rotations[:, :, 0]
    joints = body.regressed_joints_m(rotations, betas) + (camera.pelvis_m - pelvis_rest)[:, :, None]
    stature_px = camera.focal_px[:, None] * STATURE_M / camera.pelvis_m[..., 2]
    detection = detect(rng, see(joints, camera), stature_px, fps)
    arrays = {
        "joint_2d": detection.keypoints_px,
        "confidence": detection.confidence,
        "smpl_pose": axis_angles(rotations),
        "smpl_shape": np.repeat(betas[:, None], frame_count, axis=1),
        "trans_camera": camera.pelvis_m - pelvis_rest,
    }
    if estimated:
        guess = estimate(rng, rotations, betas, detection.confidence, fps)
        arrays |= {"pred_smpl_pose": axis_angles(guess.rotations), "pred_smpl_shape": guess.betas}
    return {key: array.reshape(-1, *array.shape[2:]).astype(np.float32) for key, array in arrays.items()}


def axis_angles(rotations: np.ndarray) -> np.ndarray:
    """(videos, frames, 24, 3, 3) -> (videos, frames, 72) radians, angles at most pi."""
    from scipy.spatial.transform import Rotation  # slow to import, and only making the data needs it

    vectors = Rotation.from_matrix(rotations.reshape(-1, 3, 3)).as_rotvec()
    return vectors.reshape(*rotations.shape[:2], 3 * SMPL_JOINT_COUNT)
