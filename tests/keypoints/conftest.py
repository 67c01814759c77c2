"""A walking stick figure of known joints, in the joint order of every program, and files of it."""

import json
from pathlib import Path

import numpy as np
import pytest

from kinemesh.body.skeleton import H36M_JOINT_NAMES

NAMES = {
    "halpe26": "nose left_eye right_eye left_ear right_ear left_shoulder right_shoulder left_elbow right_elbow left_wrist "
    "right_wrist left_hip right_hip left_knee right_knee left_ankle right_ankle head_top thorax pelvis left_big_toe "
    "right_big_toe left_small_toe right_small_toe left_heel right_heel",
    "coco17": "nose left_eye right_eye left_ear right_ear left_shoulder right_shoulder left_elbow right_elbow left_wrist "
    "right_wrist left_hip right_hip left_knee right_knee left_ankle right_ankle",
    "body25": "nose thorax right_shoulder right_elbow right_wrist left_shoulder left_elbow left_wrist pelvis right_hip "
    "right_knee right_ankle left_hip left_knee left_ankle right_eye left_eye right_ear left_ear left_big_toe "
    "left_small_toe left_heel right_big_toe right_small_toe right_heel",
    "h36m17": " ".join(H36M_JOINT_NAMES),
    "coco18": "nose thorax right_shoulder right_elbow right_wrist left_shoulder left_elbow left_wrist right_hip right_knee "
    "right_ankle left_hip left_knee left_ankle right_eye left_eye right_ear left_ear",
    "body25b": "nose left_eye right_eye left_ear right_ear left_shoulder right_shoulder left_elbow right_elbow left_wrist "
    "right_wrist left_hip right_hip left_knee right_knee left_ankle right_ankle upper_neck head_top left_big_toe "
    "left_small_toe left_heel right_big_toe right_small_toe right_heel",
    "mpi15": "head_top thorax right_shoulder right_elbow right_wrist left_shoulder left_elbow left_wrist right_hip right_knee "
    "right_ankle left_hip left_knee left_ankle spine",
    "coco25": "nose left_eye right_eye left_ear right_ear thorax left_shoulder right_shoulder left_elbow right_elbow "
    "left_wrist right_wrist left_hip right_hip pelvis left_knee right_knee left_ankle right_ankle left_big_toe "
    "left_small_toe left_heel right_big_toe right_small_toe right_heel",
    "posetrack18": "nose thorax head_top left_ear right_ear left_shoulder right_shoulder left_elbow right_elbow left_wrist "
    "right_wrist left_hip right_hip left_knee right_knee left_ankle right_ankle",
    "mpii16": "right_ankle right_knee right_hip left_hip left_knee left_ankle pelvis thorax upper_neck head_top right_wrist "
    "right_elbow right_shoulder left_shoulder left_elbow left_wrist",
    "aic14": "right_shoulder right_elbow right_wrist left_shoulder left_elbow left_wrist right_hip right_knee right_ankle "
    "left_hip left_knee left_ankle head_top thorax",
    "crowdpose14": "left_shoulder right_shoulder left_elbow right_elbow left_wrist right_wrist left_hip right_hip left_knee "
    "right_knee left_ankle right_ankle head_top thorax",
    "mediapipe33": "nose left_eye_inner left_eye left_eye_outer right_eye_inner right_eye right_eye_outer left_ear right_ear "
    "mouth_left mouth_right left_shoulder right_shoulder left_elbow right_elbow left_wrist right_wrist left_pinky "
    "right_pinky left_index right_index left_thumb right_thumb left_hip right_hip left_knee right_knee left_ankle "
    "right_ankle left_heel right_heel left_foot_index right_foot_index",
}

# Where the joints of somebody who faces the camera are, in pixels from (x of the person, 0); y is down.
PLACES = {
    "nose": (0, 220), "left_eye": (10, 210), "left_ear": (24, 216), "left_shoulder": (50, 280), "left_elbow": (70, 360),
    "left_wrist": (76, 430), "left_hip": (30, 440), "left_knee": (34, 560), "left_ankle": (34, 680), "pelvis": (0, 440),
    "spine": (0, 360), "thorax": (0, 280), "upper_neck": (0, 260), "head_top": (0, 180), "left_big_toe": (40, 700),
    "left_small_toe": (46, 700), "left_heel": (32, 690), "left_eye_inner": (6, 210), "left_eye_outer": (14, 210),
    "left_pinky": (78, 440), "left_index": (76, 444), "left_thumb": (74, 436), "left_foot_index": (40, 700),
}  # fmt: skip
PLACES |= {name.replace("left_", "right_"): (-x, y) for name, (x, y) in PLACES.items() if name.startswith("left_")}
PLACES |= {"mouth_left": (5, 226), "mouth_right": (-5, 226)}


def person_x(frame: int, person: int = 0) -> float:
    """Person 0 walks right from 300, person 1 left from 800, 3 px a frame."""
    return 300.0 + 3 * frame if person == 0 else 800.0 - 3 * frame


@pytest.fixture(scope="session")
def joint_names() -> dict[str, list[str]]:
    return {order: text.split() for order, text in NAMES.items()}


@pytest.fixture(scope="session")
def figure(joint_names):
    """`figure(order, frame, person)`: (joints, 3) x, y, confidence 0.9 in that order."""

    def make(order: str, frame: int = 0, person: int = 0) -> np.ndarray:
        places = [PLACES[name] for name in joint_names[order]]
        return np.array([(person_x(frame, person) + x, y, 0.9) for x, y in places])

    return make


@pytest.fixture(scope="session")
def check_h36m():
    """Checks detections' H36M joints against where the figure's are, all but `apart` to a hundredth of a pixel."""

    def check(detections, people: int = 1, apart: tuple[str, ...] = ("head_top", "nose")) -> None:
        joints = [place for place, name in enumerate(H36M_JOINT_NAMES) if name not in apart]
        places = np.array([PLACES[H36M_JOINT_NAMES[joint]] for joint in joints])
        h36m = detections.as_h36m()
        for row, frame in enumerate(detections.frame.tolist()):
            options = [np.add(places, (person_x(frame, person), 0)) for person in range(people)]
            errors = [np.abs(h36m[row, joints, :2] - option).max() for option in options]
            assert min(errors) < 0.01, (row, frame, errors)

    return check


@pytest.fixture
def write_json(tmp_path):
    """Writes content as JSON and returns the path."""

    def write(content, name: str = "keypoints.json") -> Path:
        path = tmp_path / name
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    return write


@pytest.fixture
def flat_points():
    """`flat_points(count, seed)`: x, y, confidence of `count` joints as a flat list."""

    def make(count: int, seed: int = 0) -> list[float]:
        rng = np.random.default_rng(seed)
        xy, confidence = rng.uniform(10, 600, (count, 2)), rng.uniform(0.3, 1, (count, 1))
        return np.concatenate((xy, confidence), axis=1).ravel().tolist()

    return make
