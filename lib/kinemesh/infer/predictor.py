"""Keypoints of a video -> tracks of bodies before its camera; what `infer_wild_mesh.py` does, as a library.

predictor = MeshPredictor.load("checkpoint/mesh/MB_ft_pw3d/best_epoch.bin", "configs/mesh/MB_ft_pw3d.yaml")
tracks = predictor.predict("alphapose-results.json", image_size=(1920, 1080), fps=30)
"""

import itertools
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from kinemesh.body.assets import BodyAssets, load_body_assets
from kinemesh.body.kinematics import JointKinematics
from kinemesh.body.mirror import mirror_inputs, mirror_params
from kinemesh.body.params import axis_angle_from_rotations, params_from_axis_angle
from kinemesh.body.skeleton import BETA_COUNT, SMPL_JOINT_COUNT
from kinemesh.config import Config
from kinemesh.errors import UserError
from kinemesh.estimates.predictions import Predictions
from kinemesh.fit.landmarks import BodyPoints
from kinemesh.fit.standing.settle import Stand, StandingBody
from kinemesh.geometry.translation import checked_size, video_camera
from kinemesh.infer import released
from kinemesh.infer.doubts import warn_of_swaps, without_wild
from kinemesh.infer.estimates import (
    are_unrefined,
    estimate_arrays,
    one_shape_each,
    predicted_people,
    require_predictions,
)
from kinemesh.infer.people import Person, fill_gaps, find_people, network_inputs
from kinemesh.infer.placing import Filmed, between_seen, fit_people, misfit, place_person, stand_people
from kinemesh.infer.settings import Settings, check_rate
from kinemesh.infer.windows import batch_windows, blend_windows, cut_windows, fit_clip_len, window_weights
from kinemesh.keypoints import Detections, Reading, read_keypoints
from kinemesh.keypoints.arrays import detections_of_array
from kinemesh.machine.device import choose_device
from kinemesh.machine.progress import StageClock, progress
from kinemesh.model.opening import open_checkpoint
from kinemesh.structures import BodyParams, MeshInputs, MeshTrack, RefineInputs, Track, VideoCamera, World
from kinemesh.world.cameras import CameraPath
from kinemesh.world.finding import Setting

_DEFAULT_GAP_S = 0.5
# Frames that go through the network at once.
_FRAMES_AT_ONCE = 2048


@dataclass(frozen=True)
class Inference:
    """What was found in a video."""

    tracks: list[Track] | list[MeshTrack]  # the latter with windows "released"
    camera: VideoCamera
    people: dict[str, dict]  # by the track's name, what summary.json says of each
    seconds: dict[str, float]  # by stage
    clip_len: int | None  # frames of a window; None: no network
    detected: list[Person]  # who was found in the detections
    world: World | None = None  # how the camera stands; None: not known


class Tracks(list):
    """The tracks of a video, a list of `Track`, and what is needed to write them."""

    def __init__(self, inference: Inference, fps: float, predictor: "MeshPredictor"):
        super().__init__(inference.tracks)
        self.camera, self.world, self.fps = inference.camera, inference.world, fps
        self.assets, self.device = predictor.assets, predictor.device


class MeshPredictor:
    """A trained model and its body, ready for any number of videos."""

    def __init__(
        self, model: nn.Module | None, assets: BodyAssets, config: Config | None, device: torch.device, kind: str
    ):
        self.model = None if model is None else model.to(device).eval()
        self.assets = assets
        self.config = config
        self.device = device
        self.kind = kind  # "regressor", "refiner", or "none": bodies are predictions as they are
        self.kinematics = JointKinematics(assets).to(device)
        self._fitted: dict[tuple[str, ...], tuple[BodyPoints, StandingBody]] = {}

    def fitted_by(self, names: tuple[str, ...]) -> tuple[BodyPoints, StandingBody]:
        """What bodies are fitted by where these joints are shown, and what lets them stand; made when first wanted."""
        if names not in self._fitted:
            made = BodyPoints(self.assets, names), StandingBody(self.assets, names)
            self._fitted[names] = tuple(body.to(self.device) for body in made)
        return self._fitted[names]

    @classmethod
    def load(
        cls,
        checkpoint: Path | str,
        config: Config | Path | str | None = None,
        device: str = "auto",
        assets: BodyAssets | None = None,
    ) -> "MeshPredictor":
        """Read a checkpoint, ours or a released one, and the body model of the config's `data_root`.

        `config` may be left out where the checkpoint holds its own, as ours do; `assets` is another body than the
        config's. Raises UserError for whatever is missing or does not fit.
        """
        opened = open_checkpoint(checkpoint, config)
        assets = load_body_assets(opened.config.data_root) if assets is None else assets
        return cls(opened.build_model(assets), assets, opened.config, choose_device(device), opened.kind)

    @classmethod
    def without_network(cls, assets: BodyAssets, device: str = "auto") -> "MeshPredictor":
        """One that takes another estimator's bodies as they are: what there is to place and to fit."""
        return cls(None, assets, None, choose_device(device), "none")

    @property
    def default_clip_len(self) -> int:
        """243 frames, as released; but a backbone trained from scratch knows no place after its own clips' last."""
        return min(released.CLIP_LEN if self.config.finetune else self.config.clip_len, self.config.maxlen)

    def predict(
        self, keypoints: Path | str | np.ndarray, *, image_size: tuple[int, int], fps: float = 30.0, **settings
    ) -> Tracks:
        """Tracks of everybody in a file of docs/keypoints.md, or an array (F, 17, 2 or 3) or (people, F, 17, 2 or 3), H36M-17.

        `settings` are those of `Settings`. Raises UserError for files and values that cannot be used.
        """
        reading = Reading(image_size=checked_size(image_size))
        is_array = isinstance(keypoints, np.ndarray)
        detections = detections_of_array(keypoints, reading) if is_array else read_keypoints(keypoints, reading)
        return Tracks(self.infer(detections, image_size=image_size, fps=fps, settings=Settings(**settings)), fps, self)

    def infer(
        self,
        detections: Detections,
        *,
        image_size: tuple[int, int],
        fps: float,
        settings: Settings | None = None,
        focus: str | None = None,
        predictions: Predictions | None = None,
        video_names: tuple[str, ...] = (),
        reference: np.ndarray | None = None,
        path: CameraPath | None = None,
    ) -> Inference:
        """Everything: people, bodies, places, and what there is to say of them.

        Args:
            focus: name of the only person wanted.
            predictions: the bodies that a refiner refines, or that stand without a network, of the video called one of
                `video_names`.
            reference: (F, 17, 3) 3D motion of one person, whose root's path is taken (`solve_from_reference`).
            path: how the camera moves; None: it stands.
        """
        settings = settings or Settings()
        is_released = settings.windows == "released"
        if is_released:
            given = {"smooth_s": settings.smooth_s or None, "longest_gap": settings.longest_gap}
            released.refuse_others(self.kind, **given, predictions=predictions, reference=reference)
        require_predictions(self.kind, predictions)
        check_rate(fps)
        camera = video_camera(image_size, settings.focal_px)
        clock = StageClock()
        with clock("people"):
            people = detected = find_people(detections, fps, focus, settings.is_relinked)
            warn_of_swaps(people)
        if is_released:
            tracks, facts, clip_len = released.infer_people(self, people, camera, fps, settings, clock)
            return Inference(tracks, camera, facts, clock.seconds, clip_len, detected)
        with clock("people"):
            if reference is not None and len(people) > 1:
                raise UserError(
                    f"--ref_3d_motion_path is of one person, but there are {len(people)}. Give --focus, whose it is."
                )
            if predictions is not None:
                how_badly = partial(misfit, self.kinematics, camera)
                people, predicted, predictions = predicted_people(predictions, video_names, people, how_badly, fps)
            gap = round(_DEFAULT_GAP_S * fps) if settings.longest_gap is None else settings.longest_gap
            segments = fill_gaps(people, gap)
            lengths = [len(segment.keypoints_px) for segment in segments]
        with clock("network"):
            estimate = None if predictions is None else estimate_arrays(predictions, predicted, segments)
            if self.model is None:
                clip_len, (poses, betas) = None, one_shape_each(*estimate, segments)
            else:
                clip_len = fit_clip_len(settings.clip_len, self.default_clip_len, self.config.maxlen, max(lengths))
                poses, betas = self.predict_arrays(
                    # A model that crops for itself reads the box's place in the picture, too.
                    network_inputs(segments, image_size, settings.is_pixel or self.config.crop_input),
                    lengths,
                    [segment.person for segment in segments],
                    estimate,
                    clip_len=clip_len,
                    is_flip_tested=settings.is_flip_tested,
                )
        if not (np.isfinite(poses).all() and np.isfinite(betas).all()):
            raise UserError("the model's output is not finite. Give another checkpoint, as of an earlier epoch.")
        tracks, facts = [], {}
        filmed = Filmed(self.kinematics, camera, fps)
        with clock("placing"):
            cuts = np.cumsum(lengths)[:-1]
            poses_of, given_of = np.split(poses, cuts), np.split(estimate[0] if estimate else poses, cuts)
            if self.kind == "regressor":
                poses_of = [between_seen(*one) for one in zip(poses_of, segments, strict=True)]
            for number, places in itertools.groupby(range(len(segments)), lambda place: segments[place].person):
                person, own = people[number], list(places)
                track, facts[person.name] = place_person(
                    person.name,
                    [segments[place] for place in own],
                    [poses_of[place] for place in own],
                    betas[number],
                    filmed,
                    smoothing_radius=settings.smoothing_radius(fps),
                    reference=reference,
                )
                tracks.append(track)
                if self.kind == "refiner":
                    same = (are_unrefined(poses_of[place], given_of[place]) for place in own)
                    facts[person.name]["frames_unrefined"] = sum(int(part.sum()) for part in same)
        points, standing = self.fitted_by(detections.shown_names)
        # Separate pictures have a camera each.
        stand = None if detections.are_images else Stand(standing, Setting(settings.up, path))
        settled = world = None
        # A reference's path is to be kept, a fit would leave it.
        if settings.fit != "none" and reference is None:
            with clock("fit"):
                tracks, settled = fit_people(
                    points, filmed, tracks, facts, segments, are_lifted=self.kind == "regressor", stand=stand
                )
        if focus is None:
            tracks = without_wild(tracks, facts)
        if stand is not None:
            with clock("world"):
                tracks, world = stand_people(stand, tracks, self.assets, fps, settled)
        return Inference(tracks, camera, facts, clock.seconds, clip_len, detected, world)

    @torch.inference_mode()
    def predict_arrays(
        self,
        keypoints: np.ndarray,
        segment_lengths: list[int],
        owners: list[int],
        estimate: tuple[np.ndarray, np.ndarray] | None = None,
        *,
        clip_len: int,
        is_flip_tested: bool = True,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Poses (R, 72) and betas (people, 10) of network keypoints (R, K, 3): segments laid one after another.

        Args:
            segment_lengths: frames of each segment, R together.
            owners: the number of each segment's person.
            estimate: a refiner's poses (R, 72) and betas (R, 10).

        Memory beyond arguments and results does not grow with R.
        """
        batches = batch_windows(cut_windows(segment_lengths, clip_len), _FRAMES_AT_ONCE)
        owner_of_row = torch.from_numpy(np.repeat(owners, segment_lengths))
        columns = [torch.from_numpy(array) for array in (keypoints, *(estimate or ()))]
        # A window's shape counts by the confidence of what it was seen in.
        shapes = torch.zeros(max(owners) + 1, BETA_COUNT + 1, dtype=torch.float64)

        def predict(batch) -> Tensor:
            length = batch[0].length
            firsts = torch.tensor([window.first for window in batch])
            rows = firsts[:, None] + torch.arange(length)
            given = [column[rows].to(self.device) for column in columns]
            inputs = RefineInputs(given[0], params_from_axis_angle(*given[1:])) if estimate else MeshInputs(given[0])
            body = self.model(*inputs)
            if is_flip_tested:
                mirrored = mirror_params(self.model(*mirror_inputs(inputs)))
                body = BodyParams(body.rotations + mirrored.rotations, (body.betas + mirrored.betas) / 2)
            weights = (given[0][..., 2].mean(dim=-1) + 1e-6) * window_weights(length, self.device)
            weighted = torch.cat((body.betas, torch.ones_like(body.betas[..., :1])), dim=-1) * weights[..., None]
            shapes.index_add_(0, owner_of_row[firsts], weighted.sum(dim=1).double().cpu())
            return body.rotations

        poses = np.empty((len(keypoints), SMPL_JOINT_COUNT * 3), dtype=np.float32)
        for first, rotations in progress(
            blend_windows(batches, predict), len(batches), "network, batches of windows", every=50
        ):
            poses[first : first + len(rotations)] = axis_angle_from_rotations(rotations).cpu().numpy()
        return poses, (shapes[:, :BETA_COUNT] / shapes[:, BETA_COUNT:]).float().numpy()
