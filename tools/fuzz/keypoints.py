"""Keypoint files of several programs, small and valid, and what a run does with one."""

import io
import json
from pathlib import Path

import numpy as np

from kinemesh.infer.people import find_people
from kinemesh.keypoints import Reading, read_keypoints

_FRAMES = 5


def keypoint_files() -> list[bytes]:
    """JSON of AlphaPose, MMPose's two, COCO, AlphaPose's form by image, and MediaPipe."""
    points = np.random.default_rng(0).uniform(1, 500, (_FRAMES, 17, 2))
    scored = np.concatenate((points, np.full((_FRAMES, 17, 1), 0.5)), axis=-1).round(1)
    flat = [
        {"image_id": f"{number}.jpg", "keypoints": one.ravel().tolist(), "idx": number % 2, "score": 0.9}
        for number, one in enumerate(scored)
    ]
    frames = [
        {"frame_id": number, "instances": [{"keypoints": one.tolist(), "keypoint_scores": [0.5] * 17, "track_id": 1}]}
        for number, one in enumerate(points.round(1))
    ]
    coco = {
        "images": [
            {"id": number, "file_name": f"{number:06d}.jpg", "width": 640, "height": 480} for number in range(_FRAMES)
        ],
        "annotations": [{"image_id": row["idx"], "keypoints": row["keypoints"]} for row in flat],
    }
    joints = np.concatenate((scored[0], scored[1, :1])).ravel().tolist()
    by_image = {f"{number}.jpg": {"bodies": [{"joints": joints}]} for number in range(_FRAMES)}
    landmarks = [{"x": 0.02 * number, "y": 0.2, "visibility": 0.9} for number in range(33)]
    listed = {"meta_info": {"dataset_name": "coco"}, "instance_info": frames}
    vitpose = {"keypoints": [{"0": one.tolist()} for one in scored], "skeleton": {"0": "nose"}}
    x, y, visible = scored[0].T.tolist()
    ultralytics = [[{"confidence": 0.9, "track_id": 1, "keypoints": {"x": x, "y": y, "visible": visible}}]] * 3
    contents = (flat, frames, listed, coco, by_image, [{"pose_landmarks": landmarks}] * 2, vitpose, ultralytics)
    return [json.dumps(content).encode() for content in contents]


def keypoint_arrays() -> list[bytes]:
    """Our npz, and VideoPose3D's two with their object arrays."""
    points = np.random.default_rng(0).uniform(1, 500, (2, _FRAMES, 17, 3)).astype("f4")
    videos = {"walk": {"custom": [points[0, ..., :2]]}}
    metadata = np.array({"layout_name": "coco"}, dtype=object)
    ours, theirs = io.BytesIO(), io.BytesIO()
    np.savez(ours, keypoints=points)
    np.savez_compressed(theirs, positions_2d=np.array(videos, dtype=object), metadata=metadata)
    detected, frames, boxes = io.BytesIO(), np.empty((_FRAMES, 2), dtype=object), np.empty((_FRAMES, 2), dtype=object)
    for frame, one in enumerate(points[0]):
        frames[frame] = [[], np.stack((*one[:, :2].T, 0 * one[:, 2], one[:, 2] / 500))[None]]
        boxes[frame] = [[], np.full((1, 5), 0.9)]
    size = np.array({"w": 640, "h": 480}, dtype=object)
    np.savez_compressed(detected, keypoints=frames, boxes=boxes, segments=np.full(_FRAMES, None), metadata=size)
    return [ours.getvalue(), theirs.getvalue(), detected.getvalue()]


def read(path: Path) -> None:
    """What a run does with such a file, up to its people."""
    find_people(read_keypoints(path, Reading(image_size=(640, 480))), 30.0)
