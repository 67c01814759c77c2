"""SMPL parameters of Human3.6M by MoSh (Loper et al., SIGGRAPH Asia 2014), for those who have them: they are no longer given out.

`neutrSMPL_H3.6/S1/Directions 1_cam0_aligned.pkl`: `new_poses` (N, 72) of every fifth frame, the root before the camera but upside
down, `betas` (10,) of the neutral body; cameras from 0. As mmhuman3d's `data_converters/h36m.py` reads them, and as HMR's authors say
in its issues 50 and 75. They have no path: bodies are put where the joints were measured. What has no `cam` in its name is of the
world at 200 frames a second, not in step with the video, and is left alone.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from kinemesh.body.params import axis_angle_from_rotations, rotations_from_axis_angle
from kinemesh.body.skeleton import BETA_COUNT
from kinemesh.data.reading import CAMERA_IMAGE_SIZES
from kinemesh.errors import UserError
from kinemesh.files.pickles import load_pickle
from kinemesh.prepare.datasets.bodies import camera_body
from kinemesh.prepare.datasets.keypoints import joints_m
from kinemesh.prepare.datasets.sequences import Item, PreparedSequence, Workplace, numbers
from kinemesh.prepare.human36m.recordings import (
    CAMERAS,
    WHERE,
    WITHOUT_LENS,
    Recording,
    camera_matrix,
    joints_of,
    require_before_camera,
    with_keypoints,
    without_lens,
)
from kinemesh.prepare.motions.sequences import POSE_COUNT

_NAME = re.compile(r"(?P<name>.+)_cam(?P<camera>[0-3])_aligned\.pkl")
_EVERY = 5  # frames of the video


def find_mosh(raw: Path, subject: int, recordings: list[Recording]) -> list[Item]:
    """A part for each file of a subject. Raises UserError where the recording that one is of is missing."""
    known = {(each.name, each.camera): each for each in recordings if each.subject == subject}
    items = []
    for path in sorted(raw.rglob(f"S{subject}/*_aligned.pkl")):
        named = _NAME.fullmatch(path.name)
        if named is None:
            continue
        key = (named["name"], CAMERAS[int(named["camera"])])
        if key not in known or known[key].keypoints is None:
            lacking = "D3_Positions_mono" if key not in known else "D2_Positions"
            raise UserError(
                f"--raw {raw}: {path.name} of S{subject} is there, {lacking}/{'.'.join(key)}.cdf is missing. Expected {WHERE}."
            )
        items.append(Item(f"S{subject}/{path.name}", (path, *known[key].paths), known[key]))
    return items


def read_mosh(item: Item, place: Workplace, split: str) -> Iterator[PreparedSequence]:
    """A recording before a camera."""
    path, recording = item.paths[0], item.key
    content = load_pickle(path, what="SMPL parameters of MoSh", encoding="latin1")
    poses = numbers(path, content, "new_poses", (None, POSE_COUNT))
    measured, keypoints = (values[::_EVERY] for values in with_keypoints(recording, joints_of(recording)))
    count = min(len(poses), len(measured))
    measured, keypoints, poses = measured[:count], keypoints[:count], poses[:count]
    if not count:
        return
    require_before_camera(recording, measured)
    upside_down = np.diag([1.0, -1.0, -1.0])
    root = rotations_from_axis_angle(torch.from_numpy(poses))[:, 0].numpy() @ upside_down
    poses[:, :3] = axis_angle_from_rotations(torch.from_numpy(root[:, None])).numpy()
    betas = numbers(path, content, "betas", (None,))
    body = camera_body(place, "neutral", poses, np.zeros((count, 3)), betas)
    K = camera_matrix(measured, keypoints)
    sequence = PreparedSequence(
        f"S{recording.subject}_{recording.name.replace(' ', '_')}.{recording.camera}", _EVERY * np.arange(count),
        np.array(CAMERA_IMAGE_SIZES[recording.camera]), K, body.poses, body.betas[:BETA_COUNT],
        body.trans_m, split, without_lens(measured, keypoints, K), "h36m17", measured, action=recording.action, camera=recording.camera, step=_EVERY,
        notes=("MoSh's bodies, put where the joints were measured; the camera's pinhole by least squares", WITHOUT_LENS),
    )  # fmt: skip
    apart = (measured - joints_m(sequence, place.kinematics)).mean(axis=1)
    yield sequence._replace(trans_m=sequence.trans_m + apart)
