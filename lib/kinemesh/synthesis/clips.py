"""Motion in, training clips out: another speed and shape, a camera, and what a detector sees."""

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from kinemesh.body.assets import BodyAssets
from kinemesh.body.chain import chain_along_tree, tree_levels
from kinemesh.body.kinematics import JointKinematics
from kinemesh.body.skeleton import H36M_JOINT_COUNT, MM_PER_M, SMPL_JOINT_COUNT
from kinemesh.geometry.camera import project
from kinemesh.geometry.constants import constant_tensor
from kinemesh.geometry.keypoints import fill_missing, network_keypoints
from kinemesh.geometry.rotation import axis_angle_to_quaternion, nearer_sign, quaternion_to_matrix
from kinemesh.machine.seeds import Draws, draw_keys
from kinemesh.structures import BodyParams, Motion
from kinemesh.synthesis.camera import Cameras, place_cameras
from kinemesh.synthesis.definitions import DETECTORS, joint_definitions
from kinemesh.synthesis.detector import Detected, detect
from kinemesh.synthesis.recipe import Recipe
from kinemesh.synthesis.signals import log_uniform, within

# About x: from a level camera's axes to a world's with y up.
_HALF_TURN = ((1.0,), (-1.0,), (-1.0,))


class Synthesized(NamedTuple):
    """B clips of T frames as a camera and a detector would have seen them."""

    keypoints_px: Tensor  # (B, T, 17, 2); 0 where dropped
    confidence: Tensor  # (B, T, 17); 0 where dropped
    image_size: Tensor  # (B, 2) width and height
    target: BodyParams  # rotations (B, T, 24, 3, 3) in camera axes, betas (B, T, 10)
    cameras: Cameras
    detected: Detected
    detectors: Tensor  # (B,) place in `kinemesh.synthesis.definitions.DETECTORS` of whose joints these are
    joints_m: Tensor  # (B, T, 17, 3) true ones in camera axes
    true_px: Tensor  # (B, T, 17, 2) where the camera sees them

    @property
    def keypoints(self) -> Tensor:
        """(B, T, 17, 3) as the network reads them."""
        frames = self.keypoints_px.shape[1]
        return network_keypoints(self.keypoints_px, self.image_size[:, None].expand(-1, frames, 2), self.confidence)


class Synthesizer(nn.Module):
    """Makes clips of a body's motion, on the device that it is on; `is_filled`: keypoints that are lost get a place."""

    def __init__(self, assets: BodyAssets, recipe: Recipe, is_filled: bool = False):
        super().__init__()
        self.recipe, self.is_filled = recipe, is_filled
        self.kinematics = JointKinematics(assets)
        definitions = joint_definitions(assets)
        self.register_buffer("offsets_m", definitions.offsets_m, persistent=False)
        is_used = np.isin(np.arange(SMPL_JOINT_COUNT), definitions.bones)
        self.levels = tree_levels(assets.parents, needed=is_used)
        order = [joint for joints, _ in self.levels for joint in joints]
        self.bone_places = [order.index(bone) for bone in definitions.bones]

    def source_frames(self, frames: int) -> int:
        """How many frames of motion a clip of so many may need, at the highest speed."""
        return math.ceil((frames - 1) * self.recipe.speed[1] - 1e-9) + 1

    @torch.no_grad()
    def clips(self, motion: Motion, frames: int, fps: float) -> tuple[Tensor, BodyParams]:
        """Keypoints (B, T, K, 3) as the network reads them, and the bodies; see `kinemesh.structures.Synthesis`.

        Motion without a path stands on the spot, before a camera that was taken to be level.
        """
        draws = Draws(draw_keys(*motion.takes.unbind(-1)))
        root_m = motion.poses.new_zeros(*motion.poses.shape[:2], 3) if motion.root_m is None else motion.root_m
        rotations, root_m = change_speed(draws, self.recipe, motion.poses, root_m, motion.there, frames)
        if motion.root_m is None:
            rotations[:, :, 0] *= constant_tensor(_HALF_TURN, rotations.device, rotations.dtype)
        made = self(draws, rotations, motion.betas, root_m, fps)
        keypoints = made.keypoints
        if self.is_filled:
            clip_lengths = np.full(len(keypoints), frames)
            keypoints = fill_missing(keypoints.flatten(0, 1), clip_lengths).view_as(keypoints)
        return keypoints, made.target

    @torch.no_grad()
    def forward(self, draws: Draws, rotations: Tensor, betas: Tensor, root_m: Tensor, fps: float) -> Synthesized:
        """Rotations (B, T, 24, 3, 3), y up, betas (B, 10), and the model's origin (B, T, 3) at so many frames a second."""
        recipe = self.recipe
        betas = (betas + recipe.betas_std * draws.normal(betas.shape[1]))[:, None].expand(-1, rotations.shape[1], -1)
        joints_m = self.kinematics(BodyParams(rotations, betas)) / MM_PER_M + root_m[:, :, None]
        cameras = place_cameras(draws, recipe.camera, joints_m, fps)
        offsets_m, detectors = self._definition(draws, rotations)
        # From here on in float64, since pixels of a large picture take more digits than float32 has to spare.
        focal_px, centre_px = cameras.focal_px.double()[:, None, None, None], cameras.centre_px.double()[:, None, None]
        seen_m = cameras.seen(joints_m).double()
        true_px = project(seen_m, focal_px, centre_px)
        defined_px = project(seen_m + (offsets_m @ cameras.rotations.mT).double(), focal_px, centre_px)
        px_per_m = (focal_px / seen_m[..., 2:].clamp(min=recipe.camera.nearest_m))[..., 0].float()
        detected = detect(draws, recipe.noise, defined_px.float(), px_per_m, cameras.image_size, fps)
        turned = torch.cat((cameras.rotations[:, :, None] @ rotations[:, :, :1], rotations[:, :, 1:]), dim=2)
        return Synthesized(
            detected.keypoints_px, detected.confidence, cameras.image_size, BodyParams(turned, betas), cameras,
            detected, detectors, seen_m.float(), true_px.float(),
        )  # fmt: skip

    def _definition(self, draws: Draws, rotations: Tensor) -> tuple[Tensor, Tensor]:
        """How far a detector's joints are from ours (B, T, 17, 3), world axes, and which detector it is (B,)."""
        noise = self.recipe.noise
        detectors = (draws.uniform() * len(DETECTORS)).long()
        offsets = within(draws, noise.definition_share, 1, 1) * self.offsets_m[detectors]
        offsets = offsets + noise.definition_std_m * draws.normal(H36M_JOINT_COUNT, 3)
        bones = chain_along_tree(rotations.flatten(0, 1), self.levels)[:, self.bone_places]
        turned = bones.unflatten(0, rotations.shape[:2]) @ offsets[:, None, :, :, None]
        return turned[..., 0], detectors


def change_speed(
    draws: Draws, recipe: Recipe, poses: Tensor, root_m: Tensor, there: Tensor, frames: int
) -> tuple[Tensor, Tensor]:
    """Rotations (B, T, 24, 3, 3) and root (B, T, 3) of `frames` frames from some part of the motion, slower or faster.

    Axis-angle poses (B, S, 72) and root (B, S, 3), of which the first `there` (B,) belong to the motion: no speed
    needs more. Between two frames quaternions are interpolated, the shorter way.
    """
    if frames == 1:
        speed = torch.ones_like(root_m[:, 0, 0])
    else:
        speed = torch.minimum(log_uniform(draws, recipe.speed), (there - 1) / (frames - 1))
    spare = (there - 1 - speed * (frames - 1)).clamp(min=0.0)
    place = (draws.uniform() * spare)[:, None] + speed[:, None] * torch.arange(frames, device=poses.device)
    place = torch.minimum(place, there[:, None] - 1.0)
    before = place.floor().long()
    after = torch.minimum(before + 1, there[:, None] - 1)
    part = place - before
    root_m = torch.lerp(_frames_of(root_m, before), _frames_of(root_m, after), part[..., None])
    quaternions = axis_angle_to_quaternion(poses.unflatten(2, (-1, 3))).flatten(2)
    one, other = (_frames_of(quaternions, rows).unflatten(2, (-1, 4)) for rows in (before, after))
    between = torch.nn.functional.normalize(torch.lerp(one, nearer_sign(one, other), part[..., None, None]), dim=-1)
    return quaternion_to_matrix(between), root_m


def _frames_of(values: Tensor, rows: Tensor) -> Tensor:
    """(B, S, n) and (B, T) -> (B, T, n)."""
    return values.gather(1, rows[..., None].expand(-1, -1, values.shape[2]))
