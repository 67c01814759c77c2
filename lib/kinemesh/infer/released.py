"""Inference as the released script does it: windows side by side, a shape each, and a mean of vertices.

What is carried over: a person's detections in a row, whatever frames lie between them, are cut into windows of
`clip_len`, the last one shorter; with the flip test, a frame's vertices are the mean of two bodies', the window's own and
its mirror image's mirrored back. That mean is no posed body, so both bodies are kept, and vertices made when wanted.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from kinemesh.body.kinematics import JointKinematics
from kinemesh.body.mirror import mirror_inputs, mirror_params
from kinemesh.body.skeleton import BETA_COUNT, MM_PER_M, SMPL_JOINT_COUNT
from kinemesh.errors import UserError
from kinemesh.geometry.keypoints import crop_scale, scale_by_shorter_side, scale_by_width
from kinemesh.infer.people import Person, fill_gaps
from kinemesh.infer.placing import place_joints
from kinemesh.infer.settings import Settings
from kinemesh.infer.windows import Window, batch_windows, fit_clip_len
from kinemesh.machine.progress import StageClock, progress
from kinemesh.structures import BodyParams, MeshInputs, MeshTrack, VideoCamera

CLIP_LEN = 243
# Frames that go through the network, or are posed, at once.
_FRAMES_AT_ONCE = 2048


def refuse_others(kind: str, **given: object) -> None:
    """Raises UserError if the model is not a regressor, or anything `given` by name is not None."""
    if kind != "regressor":
        found = "the checkpoint holds a refiner" if kind == "refiner" else "there is no network"
        raise UserError(f"windows 'released': {found}. Expected a regressor, or windows 'overlap'.")
    for name, value in given.items():
        if value is not None:
            raise UserError(f"{name} does not go with windows 'released'. Leave out one of them.")


def infer_people(
    predictor: Any, people: list[Person], camera: VideoCamera, fps: float, settings: Settings, clock: StageClock
) -> tuple[list[MeshTrack], dict[str, dict], int]:
    """Tracks, what `summary.json` says of each by its name, and the frames of a window, by a `MeshPredictor`."""
    config, longest = predictor.config, max(len(person.frames) for person in people)
    clip_len = fit_clip_len(settings.clip_len, CLIP_LEN, config.maxlen, longest)
    with clock("network"):
        given = camera.image_size, settings.is_pixel, config.crop_input
        inputs = [network_inputs(person, *given) for person in people]
        options = {"is_flip_tested": settings.is_flip_tested, "device": predictor.device}
        bodies = predict_side_by_side(predictor.model, inputs, clip_len=clip_len, **options)
    with clock("placing"):
        pairs = zip(people, bodies, strict=True)
        placed = [place_bodies(person, own, predictor.kinematics, camera, fps) for person, own in pairs]
    return [track for track, _ in placed], {track.name: facts for track, facts in placed}, clip_len


def network_inputs(person: Person, image_size: tuple[int, int], is_pixel: bool, crops_input: bool) -> np.ndarray:
    """(N, K, 3) what the network reads of a person's N detections.

    `crops_input`: the model crops for itself, which no released one does, and so is given training's coordinates.
    """
    if crops_input:
        return scale_by_width(person.keypoints_px, image_size)
    if is_pixel:
        return scale_by_shorter_side(person.keypoints_px, image_size)
    return crop_scale(person.keypoints_px.astype(np.float64)).astype(np.float32)


@torch.inference_mode()
def predict_side_by_side(
    model: nn.Module,
    inputs: Sequence[np.ndarray],
    *,
    clip_len: int,
    is_flip_tested: bool,
    device: torch.device,
) -> list[tuple[BodyParams, ...]]:
    """Of each person's network keypoints (N, K, 3) one body a frame on the CPU, or with the flip test two."""
    keypoints = torch.from_numpy(np.concatenate(inputs))
    windows, start = [], 0
    for one in inputs:
        stop = start + len(one)
        windows += [Window(first, min(clip_len, stop - first)) for first in range(start, stop, clip_len)]
        start = stop
    bodies = tuple(
        BodyParams(torch.empty(len(keypoints), SMPL_JOINT_COUNT, 3, 3), torch.empty(len(keypoints), BETA_COUNT))
        for _ in range(2 if is_flip_tested else 1)
    )
    batches = batch_windows(windows, _FRAMES_AT_ONCE)
    for batch in progress(batches, len(batches), "network, batches of windows", every=50):
        rows = slice(batch[0].first, batch[-1].first + batch[-1].length)  # side by side, so all in a row
        given = MeshInputs(keypoints[rows].unflatten(0, (len(batch), batch[0].length)).to(device))
        found = [model(*given)]
        if is_flip_tested:
            found.append(mirror_params(model(*mirror_inputs(given))))
        for body, params in zip(bodies, found, strict=True):
            for kept, values in zip(body, params, strict=True):
                kept[rows] = values.flatten(0, 1).cpu()
    lengths = [len(one) for one in inputs]
    parts = [zip(*(values.split(lengths) for values in body), strict=True) for body in bodies]
    return [tuple(BodyParams(*values) for values in of_person) for of_person in zip(*parts, strict=True)]


@torch.inference_mode()
def place_bodies(
    person: Person, bodies: tuple[BodyParams, ...], kinematics: JointKinematics, camera: VideoCamera, fps: float
) -> tuple[MeshTrack, dict]:
    """A track of one person's N detections, and what `summary.json` says of it."""
    device = kinematics.matrix.device
    joints = []
    for first in range(0, len(person.frames), _FRAMES_AT_ONCE):
        rows = slice(first, first + _FRAMES_AT_ONCE)
        joints.append(torch.stack([kinematics(_moved(body, rows, device)) for body in bodies]).mean(dim=0).cpu())
    joints_m = torch.cat(joints).double().numpy() / MM_PER_M
    segments = fill_gaps([person], 0)
    bounds = np.cumsum([len(segment.keypoints_px) for segment in segments])[:-1]
    trans_m, _, facts = place_joints(np.split(joints_m, bounds), segments, camera, fps)
    track = MeshTrack(
        name=person.name,
        frame_ids=person.frames,
        bodies=bodies,
        joints_m=joints_m.astype(np.float32),
        trans_m=trans_m,
        confidence=person.keypoints_px[..., 2].mean(axis=1),
    )
    ranges = [[int(segment.frame_ids[0]), int(segment.frame_ids[-1])] for segment in segments]
    return track, facts | {"frame_ranges": ranges}


def _moved(body: BodyParams, rows: slice, device: torch.device) -> BodyParams:
    return BodyParams(*(values[rows].to(device) for values in body))
