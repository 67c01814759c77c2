"""Bodies that were fitted to their keypoints -> the same, standing: feet that rest stay, nothing is below the floor.

The same least squares goes on with more terms (`Anchors`), over what carries a body: its place, its pelvis and its legs. All
else is turned as it was, and all keypoints still count.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from kinemesh.body.assets import BodyAssets
from kinemesh.body.params import rotations_from_axis_angle
from kinemesh.body.skeleton import SMPL_JOINT_NAMES
from kinemesh.fit.landmarks import BodyPoints
from kinemesh.fit.reprojection import Camera
from kinemesh.fit.solve import Fitted, Motion, Task, scales_of
from kinemesh.fit.standing.anchors import Anchors, find_anchors
from kinemesh.fit.standing.cost import Held
from kinemesh.fit.stretches import group_stretches
from kinemesh.structures import Track
from kinemesh.world.contacts import rests_of
from kinemesh.world.figures import POINT_NAMES, Figure, clearances_m
from kinemesh.world.finding import Setting, Surroundings, contacts_of, find_surroundings

_CARRYING = ("pelvis", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle")
# Iterations: by how much (of the logarithm of their odds) contacts are believed in each, and how far translation may be from the
# smoothed, as `fit_motion` has it. Bodies still slide by their fit's own noise in the first, which holds whatever may rest; what then does is held.
_BELIEFS, _MOVING_SPREADS = (1.0, 0.0), (0.004, 0.002)


class Settled(NamedTuple):
    """What came out."""

    motion: Motion  # of all people
    found: Surroundings
    contacts: dict[str, np.ndarray]  # by the track's name (F, C) float32


class StandingBody(nn.Module):
    """A body by the keypoints of these names, and by what may rest on a floor."""

    def __init__(self, assets: BodyAssets, names: tuple[str, ...]):
        super().__init__()
        carrying = tuple(map(SMPL_JOINT_NAMES.index, _CARRYING))
        # By number, since keypoints and floor may both know a toe.
        self.fitted = BodyPoints(assets, (*names, *POINT_NAMES), joints=carrying)
        self.resting = BodyPoints(assets, POINT_NAMES, joints=())
        self.clearances_m = clearances_m(assets)

    def points_m(self, motion: Motion, owner: Tensor) -> np.ndarray:
        """(R, P, 3) float64 in camera axes."""
        places = self.resting.places(motion.rotations, motion.betas[owner]) + motion.trans_m[:, None]
        return places.double().cpu().numpy()


class Stand(NamedTuple):
    """What a fit needs beside keypoints to let bodies stand."""

    body: StandingBody
    setting: Setting = Setting()


def settle(stand: Stand, start: Motion, fitted: Fitted, camera: Camera, fps: float, tracks: list[Track]) -> Settled:
    """Go on from a fit (`fit_motion`) of all of a video's people, whose `tracks` say which frames they are of."""
    evidence, motion = fitted.evidence, fitted.motion
    body, owner = stand.body, evidence.owner
    found = _look_around(stand, body.points_m(motion, owner), fps, tracks)
    if found.is_sure:
        motion = _grown(body.fitted, motion, found.ground.growth, owner)
        scales = *scales_of(start, owner, camera), fitted.strength
        groups = list(group_stretches(evidence.segment_lengths, fps, owner.device))
        for belief, spread in zip(_BELIEFS, _MOVING_SPREADS, strict=True):
            figures = _figures(found, body.points_m(motion, owner), tracks)
            held = _held(found, figures, body.clearances_m, fps, motion.trans_m, belief)
            task = Task(body.fitted, start, motion, evidence, camera, fps, *scales, spread, held=held)
            rotations, trans_m = motion.rotations.clone(), motion.trans_m.clone()
            for group in groups:
                task.step(group, rotations, trans_m, None)
            motion = Motion(rotations, trans_m, motion.betas)
    return Settled(motion, found, _contacts(found, body.points_m(motion, owner), body.clearances_m, fps, tracks))


@torch.inference_mode()
def look_around(stand: Stand, tracks: list[Track], fps: float) -> Settled:
    """The world around bodies that are to stay as they are."""
    like = stand.body.resting.matrix
    owner = torch.repeat_interleave(torch.tensor([len(track.poses) for track in tracks])).to(like.device)
    poses, trans_m = (np.concatenate([getattr(track, name) for track in tracks]) for name in ("poses", "trans_m"))
    betas = np.stack([track.betas for track in tracks])
    poses, trans_m, betas = (torch.from_numpy(np.asarray(part)).to(like) for part in (poses, trans_m, betas))
    motion = Motion(rotations_from_axis_angle(poses), trans_m, betas)
    points_m = stand.body.points_m(motion, owner)
    found = _look_around(stand, points_m, fps, tracks)
    return Settled(motion, found, _contacts(found, points_m, stand.body.clearances_m, fps, tracks))


def _look_around(stand: Stand, points_m: np.ndarray, fps: float, tracks: list[Track]) -> Surroundings:
    columns = zip(*_columns(points_m, tracks), strict=True)
    return find_surroundings(*map(list, columns), stand.body.clearances_m, fps, stand.setting)


def _columns(points_m: np.ndarray, tracks: list[Track]) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Of each track its frames, points (F, P, 3) in camera axes, and which frames are no guess."""
    ends = np.cumsum([len(track.frame_ids) for track in tracks])[:-1]
    pairs = zip(tracks, np.split(points_m, ends), strict=True)
    return [(track.frame_ids, points, ~track.interpolated) for track, points in pairs]


def _figures(found: Surroundings, points_m: np.ndarray, tracks: list[Track]) -> list[Figure]:
    return [found.figure(*column) for column in _columns(points_m, tracks)]


def _contacts(
    found: Surroundings, points_m: np.ndarray, clearances: np.ndarray, fps: float, tracks: list[Track]
) -> dict[str, np.ndarray]:
    figures = zip(tracks, _figures(found, points_m, tracks), strict=True)
    return {track.name: contacts_of(found, figure, clearances, fps) for track, figure in figures}


def _grown(body: BodyPoints, motion: Motion, growth: np.ndarray, owner: Tensor) -> Motion:
    """Larger and farther away by the same part, which is seen the same."""
    more = torch.from_numpy(growth).to(motion.betas)
    return Motion(
        motion.rotations, motion.trans_m * (1 + more)[owner, None], motion.betas + more[:, None] * body.growth
    )


def _held(
    found: Surroundings, figures: list[Figure], clearances: np.ndarray, fps: float, like: Tensor, belief: float
) -> Held:
    """Where points are held that rest as bodies are now; `belief` is added to the logarithm of a contact's odds."""
    ground, each = found.ground, []
    for figure in figures:
        contacts = contacts_of(found, figure, clearances, fps)
        more = np.exp(belief) * contacts
        contacts = more / (more + 1 - contacts)
        each.append(find_anchors(figure, ground, rests_of(figure, contacts, fps), contacts, clearances, fps))
    anchors = Anchors(*map(np.concatenate, zip(*each, strict=True)))
    frames = np.concatenate([figure.frame_ids for figure in figures])
    up = np.broadcast_to(ground.up, (len(frames), 3))
    places, heights = anchors.places_m, anchors.heights_m
    if found.path is not None:
        turn, moved = found.path.rotations[frames], found.path.trans[frames]
        places = places @ turn.transpose(0, 2, 1) + moved[:, None]
        up = turn @ ground.up
        heights = heights + (up * moved).sum(axis=1)[:, None]
    arrays = (places, anchors.held, heights, anchors.level, anchors.below, up)
    return Held(*(torch.from_numpy(np.ascontiguousarray(array)).to(like) for array in arrays))
