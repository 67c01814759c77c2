"""Bodies of a test split's videos fitted to the dataset's keypoints, and scored beside the bodies as they were.

A fit needs a whole video, but clips come by in batches: they are held until some thousand frames of whole videos are
there, so that memory does not grow with the split. docs/fit.md says what is assumed of the camera.
"""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from kinemesh.body.assets import BodyAssets
from kinemesh.body.kinematics import JointKinematics, regress_joints_m
from kinemesh.body.mirror import average_params
from kinemesh.body.params import axis_angle_from_rotations, params_from_axis_angle, poses_between
from kinemesh.body.smpl import PosedBody
from kinemesh.errors import UserError
from kinemesh.evaluation.paths.facts import Body, Facts, PathScorer, true_body
from kinemesh.evaluation.scoring import Prediction, Scoring
from kinemesh.fit.landmarks import BodyPoints
from kinemesh.fit.tracks import fit_tracks
from kinemesh.geometry.alignment import nearest_rotation
from kinemesh.geometry.keypoints import LEAST_KEYPOINTS
from kinemesh.geometry.translation import choose_camera, video_camera
from kinemesh.protocols import Protocol
from kinemesh.structures import Batch, BodyParams, Loader, Track, VideoCamera, map_tensors

# Enough to fit videos side by side, few enough to keep.
_FRAMES_HELD = 4096
# Whose errors exist at once.
_FRAMES_SCORED = 512
# Longer without a body or keypoints, and a track is fitted in two parts.
_LONGEST_GAP_S = 0.5
# A film's shorter side, in parts of its longer one.
_FILM = 9 / 16


class Fitting(NamedTuple):
    """What bodies are fitted by, on a device."""

    points: BodyPoints
    kinematics: JointKinematics
    paths: PathScorer
    are_lifted: bool  # the bodies were made from the very keypoints that they are fitted to

    @classmethod
    def of(cls, assets: BodyAssets, device: torch.device | str, *, are_lifted: bool = False) -> "Fitting":
        return cls(BodyPoints(assets).to(device), JointKinematics(assets).to(device), PathScorer(assets), are_lifted)


class _Clips(NamedTuple):
    """N clips of whole videos, or of such as may go on, in the order of their split."""

    frames: Tensor  # (N, T) int64 rows of the split's arrays
    videos: Tensor  # (N,) int64
    counted: Tensor  # (N, T) bool
    target: BodyParams
    starts: dict[tuple[str, bool], BodyParams]  # by side, and whether both halves of the flip test are in it
    is_known: dict[str, Tensor]  # by side, (N, T) bool, False where it has no body


class FittedSides:
    """Fits what it is given of some sides video by video, and scores that as further sides.

    `names` says what the fitted bodies of each side are called. A protocol that averages the halves of the flip test
    is given the fit of their mean on SO(3), any other that of the first half.
    """

    def __init__(
        self,
        fitting: Fitting,
        names: dict[str, str],
        protocols: Sequence[Protocol],
        loader: Loader,
        body: PosedBody,
        *,
        detailed: bool,
    ):
        """Raises UserError where the split has no keypoints."""
        self.fitting, self.names, self.split = fitting, names, loader.split
        if self.split.keypoints_px is None:
            raise UserError(
                f"--fit keypoints: {self.split.dataset} holds no keypoints. Leave out the flag or the dataset."
            )
        self.scorings: dict[bool, Scoring] = {}
        for is_averaged in dict.fromkeys(protocol.flip != "none" for protocol in protocols):
            own = [protocol for protocol in protocols if (protocol.flip != "none") == is_averaged]
            given = own, list(names.values()), self.split.video_lengths, body
            self.scorings[is_averaged] = Scoring(*given, device=loader.device, detailed=detailed)
        keys = [(side, is_averaged) for side in names for is_averaged in self.scorings]
        self._facts = {key: torch.zeros(len(Facts._fields), dtype=torch.float64, device=loader.device) for key in keys}
        self._held: list[_Clips] = []

    @property
    def sums(self) -> list[Tensor]:
        """What processes that saw other videos are to add up."""
        accumulators = [each for scoring in self.scorings.values() for each in scoring.accumulators.values()]
        return [*(each.sums for each in accumulators), *self._facts.values()]

    def add(self, batch: Batch, predictions: dict[str, Prediction], is_known: dict[str, Tensor] | None = None) -> None:
        """The next clips in the order of their split; `is_known` (B, T) is False where a side has no body."""
        starts, known = {}, {}
        for side in self.names:
            params, mirrored = predictions[side]
            for is_averaged in self.scorings:
                is_mean = is_averaged and mirrored is not None
                starts[side, is_averaged] = average_params(params, mirrored) if is_mean else params
            known[side] = torch.ones_like(batch.counted) if is_known is None else is_known[side]
        self._held.append(_Clips(batch.frames, batch.videos, batch.counted, batch.target, starts, known))
        is_enough = sum(clips.frames.numel() for clips in self._held) >= _FRAMES_HELD
        if is_enough and batch.videos[-1] != self._held[0].videos[0]:
            held = map_tensors(lambda *parts: torch.cat(parts), *self._held)
            # The last video may go on in the next batch.
            goes_on = held.videos == held.videos[-1]
            self._held = [map_tensors(lambda part: part[goes_on], held)]
            self._score(map_tensors(lambda part: part[~goes_on], held))

    def finish(self) -> None:
        """Fit and score what is held still."""
        if self._held:
            self._score(map_tensors(lambda *parts: torch.cat(parts), *self._held))
        self._held = []

    def facts(self) -> Iterator[tuple[Scoring, str, dict[str, float]]]:
        """Each scoring, side by side, and what is to be said of the fit beside its errors."""
        for (side, is_averaged), sums in self._facts.items():
            yield self.scorings[is_averaged], self.names[side], Facts(*sums.tolist()).means()

    def _score(self, clips: _Clips) -> None:
        at_once = max(1, _FRAMES_SCORED // clips.frames.shape[1])
        for is_averaged, scoring in self.scorings.items():
            bodies = {}
            for side, name in self.names.items():
                start = clips.starts[side, is_averaged]
                tracks = _tracks(self.fitting, self.split, clips, start, clips.is_known[side])
                bodies[name] = _fitted(
                    self.fitting, self.split, tracks, clips.frames, start, self._facts[side, is_averaged]
                )
            for first in range(0, len(clips.frames), at_once):
                some = slice(first, first + at_once)
                part, chosen = (map_tensors(lambda each, some=some: each[some], tree) for tree in (clips, bodies))
                batch = Batch(None, part.target, part.frames, part.videos, part.counted)
                scoring.add(batch, {name: Prediction(body) for name, body in chosen.items()})


class _Given(NamedTuple):
    """One video's bodies and what they are fitted to."""

    track: Track
    keypoints_px: np.ndarray  # (F, K, 3)
    cameras: list[VideoCamera]  # that may have seen them
    rows: np.ndarray  # (F,) int64 of the split's arrays
    fps: float
    camera: VideoCamera | None = None


def _tracks(fitting: Fitting, split: Any, clips: _Clips, start: BodyParams, is_known: Tensor) -> list[_Given]:
    """The videos of some clips, each frame once: what several clips show alike counts as its mean.

    Frames between others that no clip shows, of which no body is known, or a lifted one of no keypoints, begin between these.
    """
    is_known = is_known & start.rotations.isfinite().all(dim=(-3, -2, -1)) & start.betas.isfinite().all(dim=-1)
    known, counted, frames = (part.flatten().cpu().numpy() for part in (is_known, clips.counted, clips.frames))
    used = known & counted
    # What is padding or another clip's to count stands in for frames that no clip counts.
    used |= known & ~np.isin(frames, frames[used])
    shown, place = np.unique(frames[used], return_inverse=True)
    if not len(shown):
        return []
    where = torch.from_numpy(place.reshape(-1)).to(start.betas.device)
    chosen = torch.from_numpy(used).to(start.betas.device)
    count = torch.bincount(where, minlength=len(shown))
    rotations, betas = (
        part.new_zeros(len(shown), *part.shape[1:]).index_add_(0, where, part[chosen])
        for part in (start.rotations.flatten(0, 1), start.betas.flatten(0, 1))
    )
    poses = axis_angle_from_rotations(nearest_rotation(rotations)).cpu().numpy()
    betas = (betas / count[:, None]).cpu().numpy()
    fps = split.fps / split.sample_stride or 1.0  # of an image nothing depends on it
    found = []
    video = split.video_of(shown)
    changes = (np.flatnonzero(np.diff(video)) + 1).tolist()
    for first, stop in itertools.pairwise([0, *changes, len(video)]):
        own = slice(first, stop)
        given = _track(fitting, split, str(video[first]), shown[own], poses[own], betas[own], fps)
        if given is not None:
            found.append(_placed(fitting.kinematics, given))
    return found


def _track(
    fitting: Fitting, split: Any, name: str, shown: np.ndarray, poses: np.ndarray, betas: np.ndarray, fps: float
) -> _Given | None:
    """One video, not yet placed, of poses (N, 72) and betas (N, 10) of the rows `shown` (N,); None: no keypoint is seen."""
    keypoints = _keypoints_px(split, np.arange(shown[0], shown[-1] + 1))
    is_seen = (keypoints[..., 2] > 0).sum(axis=1) >= LEAST_KEYPOINTS
    keypoints[~is_seen, :, 2] = 0
    usable = shown[is_seen[shown - shown[0]]]
    if not len(usable):
        return None
    breaks = np.flatnonzero(np.diff(usable) > _LONGEST_GAP_S * fps + 1) + 1
    rows = np.concatenate([np.arange(part[0], part[-1] + 1) for part in np.split(usable, breaks)])
    keypoints, is_seen = keypoints[rows - shown[0]], is_seen[rows - shown[0]]
    place = np.searchsorted(shown, rows, side="right") - 1
    weights = keypoints[..., 2].mean(axis=1)
    known = usable if fitting.are_lifted else shown
    track = Track(
        name=name,
        frame_ids=rows - rows[0],
        poses=poses_between(poses[np.searchsorted(shown, known)], known, rows),
        betas=np.average(betas[place], axis=0, weights=weights).astype(np.float32),
        trans_m=np.zeros((len(rows), 3), dtype=np.float32),
        confidence=weights,
        interpolated=~is_seen,
    )
    return _Given(track, keypoints, _cameras(split, int(rows[0])), rows, fps)


def _placed(kinematics: JointKinematics, given: _Given) -> _Given:
    """The track where its bodies' joints lie nearest to the keypoints, in the picture in which they lie nearest."""
    track = given.track
    joints_m = regress_joints_m(kinematics, track.poses, track.betas)
    breaks = np.flatnonzero(np.diff(track.frame_ids) > 1) + 1
    segments = (np.split(part, breaks) for part in (joints_m, given.keypoints_px))
    camera, trans_m = choose_camera(*segments, given.cameras, given.fps)
    return given._replace(track=track._replace(trans_m=trans_m.astype(np.float32)), camera=camera)


def _cameras(split: Any, row: int) -> list[VideoCamera]:
    """The cameras that may have seen a row's picture: the dataset's own, or one that looks through the middle.

    Its focal length is the picture's diagonal. A square for the whole dataset is what pictures were padded to at their end, as 3DPW's: film held across or upright,
    which the file does not tell.
    """
    is_padded = split.image_size.ndim == 1
    width, height = map(round, (split.image_size if is_padded else split.image_size[row]).tolist())
    if split.camera_matrix is not None:
        (fx, _, cx), (_, fy, cy), _ = split.camera_matrix.expand(split.frame_count, 3, 3)[row].tolist()
        return [VideoCamera((fx + fy) / 2, (cx, cy), (width, height))]
    if not is_padded or width != height:
        return [video_camera((width, height))]
    across = video_camera((width, round(width * _FILM)))
    upright = (round(width * _FILM), width)
    return [video_camera(size, across.focal_px) for size in ((width, width), across.image_size, upright)]


def _keypoints_px(split: Any, rows: np.ndarray) -> np.ndarray:
    """(F, K, 3) x, y and confidence in [0, 1] of the dataset."""
    chosen = torch.from_numpy(rows).to(split.keypoints_px.device)
    points, confidence = split.weighed_detection(chosen)
    return torch.cat((points, confidence[..., None]), dim=-1).cpu().numpy()


def _fitted(
    fitting: Fitting, split: Any, given: list[_Given], frames: Tensor, start: BodyParams, sums: Tensor
) -> BodyParams:
    """The bodies (N, T) of `start` fitted; where they were not, they stay. Adds to `sums` of `Facts`."""
    wanted = frames.flatten().cpu().numpy()
    rows, poses, betas = [np.zeros(0, np.int64)], [np.zeros((0, 72))], [np.zeros((0, 10))]
    for camera in dict.fromkeys(each.camera for each in given):
        own = [each for each in given if each.camera == camera]
        inputs = [each.track for each in own], [each.keypoints_px for each in own]
        tracks, found = fit_tracks(fitting.points, *inputs, camera, own[0].fps, are_lifted=fitting.are_lifted)
        for each, track, fact in zip(own, tracks, found, strict=True):
            count = len(each.rows)
            errors = count * fact.reprojection_error_before_px, count * fact.reprojection_error_after_px
            rows.append(each.rows)
            poses.append(track.poses)
            betas.append(np.broadcast_to(track.betas, (count, len(track.betas))))
            sums += sums.new_tensor(Facts(0, fact.frames_kept, count, *errors))
            true = true_body(split, each.rows)
            if true is not None:
                sums += sums.new_tensor(
                    fitting.paths.score(Body(track.poses, track.betas, track.trans_m), true, each.fps)
                )
    rows, poses, betas = map(np.concatenate, (rows, poses, betas))
    sums += sums.new_tensor(Facts(len(np.unique(wanted)), len(np.setdiff1d(wanted, rows))))
    if not len(rows):
        return start
    order = np.argsort(rows)
    place = order[np.searchsorted(rows, wanted, sorter=order).clip(max=len(rows) - 1)]
    is_fitted = torch.from_numpy(rows[place] == wanted).view(frames.shape).to(start.betas.device)
    body = params_from_axis_angle(*(torch.from_numpy(part[place]).to(start.betas) for part in (poses, betas)))
    rotations, shapes = (part.unflatten(0, frames.shape) for part in body)
    return BodyParams(
        torch.where(is_fitted[..., None, None, None], rotations, start.rotations),
        torch.where(is_fitted[..., None], shapes, start.betas),
    )
