"""A made-up video of two people who cross before a fixed camera: what inference is tried and tested on.

Motion, bodies and detector are those of the datasets; what is true is known to the last digit.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from kinemesh.body.skeleton import BETA_COUNT
from kinemesh.demo.detector import detect
from kinemesh.demo.splits import STATURE_M, StandIn, axis_angles
from kinemesh.geometry.camera import project
from kinemesh.motion.anatomy import rotation_matrices
from kinemesh.motion.motion import make_motion
from kinemesh.structures import VideoCamera

FPS = 30.0
CAMERA = VideoCamera(focal_px=1400.0, centre_px=(640.0, 360.0), image_size=(1280, 720))
_CAMERA_HEIGHT_M = 1.5
_PITCH = np.radians(6.0)
# As far as a detector looks: behind somebody nearer, nobody is found.
_HIDDEN_M = 0.3


class Actor(NamedTuple):
    """One person's part, in the middle of the video."""

    kind: str  # of motion, one of kinemesh.motion.poses.KINDS
    distance_m: float  # from the camera
    heading_deg: float | None = None  # 90 goes to the picture's right; None stays where it is and faces the camera
    aside_m: float = 0.0  # to the picture's right


TWO_WHO_CROSS = (Actor("walk", 5.4, 90.0), Actor("walk_carry", 6.6, -90.0))


class DemoVideo(NamedTuple):
    """P people, F frames, in camera axes."""

    camera: VideoCamera
    keypoints_px: np.ndarray  # (P, F, K, 3) float32 detected x, y, confidence; confidence 0 where hidden
    joints_m: np.ndarray  # (P, F, K, 3) the true regressed joints
    poses: np.ndarray  # (P, F, 72) axis-angle
    betas: np.ndarray  # (P, 10)
    trans_m: np.ndarray  # (P, F, 3)


def make_video(frame_count: int = 120, seed: int = 0, cast: Sequence[Actor] = TWO_WHO_CROSS) -> DemoVideo:
    """The same video for the same arguments; by default of two who meet in its middle, one behind the other."""
    rng = np.random.default_rng([seed, frame_count])
    body = StandIn()
    betas = np.clip(rng.standard_normal((len(cast), BETA_COUNT)), -2.0, 2.0)
    rest_joints = body.shaped_rest_joints_m(betas)
    motion = make_motion(rng, [actor.kind for actor in cast], frame_count, FPS, rest_joints)
    rotations, roots = motion.rotations.copy(), motion.root_m.copy()
    pelvis_rest = rest_joints[:, None, 0]
    for person, actor in enumerate(cast):
        if actor.heading_deg is not None:
            walked = roots[person, -1] - roots[person, 0]
            angle = np.radians(actor.heading_deg) - np.arctan2(walked[0], walked[2])
            turn = rotation_matrices(np.array([0.0, angle, 0.0]))
            rotations[person, :, 0] = turn @ rotations[person, :, 0]
            roots[person] = (turn @ (roots[person] + pelvis_rest[person])[..., None])[..., 0]
        # The camera looks along -z; the middle of the way lies before it.
        roots[person, :, ::2] -= roots[person, frame_count // 2, ::2] + (-actor.aside_m, actor.distance_m)
    to_camera = rotation_matrices(np.array([np.pi + _PITCH, 0.0, 0.0]))
    rotations[:, :, 0] = to_camera @ rotations[:, :, 0]
    pelvis = (to_camera @ (roots - (0.0, _CAMERA_HEIGHT_M, 0.0))[..., None])[..., 0]
    trans = pelvis - pelvis_rest
    joints = body.regressed_joints_m(rotations, betas) + trans[:, :, None]

    seen_px = project(joints, CAMERA.focal_px, CAMERA.centre_px)
    detection = detect(rng, seen_px, CAMERA.focal_px * STATURE_M / pelvis[..., 2], FPS)
    keypoints = np.concatenate((detection.keypoints_px, detection.confidence[..., None]), axis=-1)
    for person, actor in enumerate(cast):
        for nearer in [i for i, other in enumerate(cast) if other.distance_m < actor.distance_m]:
            slope = pelvis[person, :, 0] / pelvis[person, :, 2] - pelvis[nearer, :, 0] / pelvis[nearer, :, 2]
            keypoints[person, np.abs(slope) * pelvis[person, :, 2] < _HIDDEN_M, :, 2] = 0.0
    return DemoVideo(CAMERA, keypoints.astype(np.float32), joints, axis_angles(rotations), betas, trans)
