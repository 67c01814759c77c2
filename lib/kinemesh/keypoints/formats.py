"""Joint orders of detectors, and by one table what H36M-17 is made of in each.

Sources: behaviour contract section 7 for Halpe-26, whose means and choices the other rows follow; AlphaPose's, MMPose's
(`configs/_base_/datasets`), OpenPose's (`doc/02_output.md`, experimental models for BODY_25B and BODY_135), MediaPipe's
and easy_ViTPose's own lists of joints for the numbers.
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from kinemesh.body.skeleton import H36M_JOINT_COUNT, H36M_JOINT_NAMES, H36M_MIRROR_PAIRS, LIMBS
from kinemesh.errors import UserError

_HEAD = H36M_JOINT_NAMES.index("head_top")
_HIPS, _SHOULDERS = "left_hip+right_hip", "left_shoulder+right_shoulder"
_TRUNK = ("pelvis", "spine", "thorax")


class KeypointFormat(NamedTuple):
    """A detector's joints. `sources` names for each H36M joint those whose mean it is."""

    title: str
    joint_counts: tuple[int, ...]  # of the body alone, then of larger sets that begin with it
    sources: tuple[tuple[int, ...], ...]
    # What the head is made of where its sources are not all seen, the first of these that is: in profile an eye is not.
    head_instead: tuple[tuple[int, ...], ...] = ()
    # Names of `kinemesh.body.skeleton.VERTEX_LANDMARKS` that it has beside these, where the set is large enough.
    landmarks: tuple[tuple[str, int], ...] = ()
    # H36M joints whose one source is itself the middle of others: OpenPose's neck is that of the shoulders.
    middles: tuple[tuple[str, str], ...] = ()


def _face(left_eye: int, right_eye: int, left_ear: int, right_ear: int) -> tuple[tuple[str, int], ...]:
    return ("left_eye", left_eye), ("right_eye", right_eye), ("left_ear", left_ear), ("right_ear", right_ear)


def _feet(left: tuple[int, int, int], right: tuple[int, int, int]) -> tuple[tuple[str, int], ...]:
    """Of each side the big toe, the small toe and the heel."""
    parts = ("big_toe", "small_toe", "heel")
    sides = (("left", left), ("right", right))
    return tuple((f"{side}_{part}", joint) for side, joints in sides for part, joint in zip(parts, joints, strict=True))


def _head_of(eyes: tuple[int, int], ears: tuple[int, int], nose: int) -> tuple[tuple[int, ...], ...]:
    return (ears, *((joint,) for joint in (*eyes, *ears, nose)))


FORMATS = {
    "halpe26": KeypointFormat(
        "Halpe-26",
        (26, 68, 94, 136),
        ((19,), (12,), (14,), (16,), (11,), (13,), (15,), (18, 19), (18,), (0,), (17,), (5,), (7,), (9,), (6,), (8,), (10,)),
        landmarks=(*_face(1, 2, 3, 4), *_feet((20, 22, 24), (21, 23, 25))),
    ),
    # No pelvis, neck or head top: middles of hips and shoulders, and the eyes for the head.
    "coco17": KeypointFormat(
        "COCO-17",
        (17, 133),
        ((11, 12), (12,), (14,), (16,), (11,), (13,), (15,), (5, 6, 11, 12), (5, 6), (0,), (1, 2), (5,), (7,), (9,), (6,), (8,), (10,)),
        _head_of((1, 2), (3, 4), 0),
        landmarks=(*_face(1, 2, 3, 4), *_feet((17, 18, 19), (20, 21, 22))),
    ),
    "body25": KeypointFormat(
        "OpenPose BODY_25",
        (25,),
        ((8,), (9,), (10,), (11,), (12,), (13,), (14,), (1, 8), (1,), (0,), (15, 16), (5,), (6,), (7,), (2,), (3,), (4,)),
        _head_of((15, 16), (17, 18), 0),
        landmarks=(*_face(16, 15, 18, 17), *_feet((19, 20, 21), (22, 23, 24))),
        middles=(("pelvis", _HIPS), ("thorax", _SHOULDERS)),
    ),
    "h36m17": KeypointFormat("H36M-17", (17,), tuple((joint,) for joint in range(H36M_JOINT_COUNT))),
    "coco18": KeypointFormat(
        "OpenPose COCO-18",
        (18,),
        ((8, 11), (8,), (9,), (10,), (11,), (12,), (13,), (1, 1, 8, 11), (1,), (0,), (14, 15), (5,), (6,), (7,), (2,), (3,), (4,)),
        _head_of((14, 15), (16, 17), 0),
        landmarks=_face(15, 14, 17, 16),
        middles=(("thorax", _SHOULDERS),),
    ),
    # Joint 17 lies at the skull's base, above H36M's thorax.
    "body25b": KeypointFormat(
        "OpenPose BODY_25B",
        (25, 135),
        ((11, 12), (12,), (14,), (16,), (11,), (13,), (15,), (5, 6, 11, 12), (5, 6), (0,), (18,), (5,), (7,), (9,), (6,), (8,), (10,)),
        ((1, 2), *_head_of((1, 2), (3, 4), 0)),
        landmarks=(*_face(1, 2, 3, 4), *_feet((19, 20, 21), (22, 23, 24))),
    ),
    "mpi15": KeypointFormat(
        "OpenPose MPI-15",
        (15,),
        ((8, 11), (8,), (9,), (10,), (11,), (12,), (13,), (14,), (1,), (0, 1), (0,), (5,), (6,), (7,), (2,), (3,), (4,)),
        middles=(("spine", f"thorax+thorax+{_HIPS}"),),
    ),
    "coco25": KeypointFormat(
        "ViTPose COCO-25",
        (25,),
        ((14,), (13,), (16,), (18,), (12,), (15,), (17,), (5, 14), (5,), (0,), (1, 2), (6,), (8,), (10,), (7,), (9,), (11,)),
        _head_of((1, 2), (3, 4), 0),
        landmarks=(*_face(1, 2, 3, 4), *_feet((19, 20, 21), (22, 23, 24))),
        middles=(("pelvis", _HIPS), ("thorax", _SHOULDERS)),
    ),
    "posetrack18": KeypointFormat(
        "PoseTrack18",
        (17,),
        ((11, 12), (12,), (14,), (16,), (11,), (13,), (15,), (1, 1, 11, 12), (1,), (0,), (2,), (5,), (7,), (9,), (6,), (8,), (10,)),
        ((3, 4), (0,)),
        landmarks=(("left_ear", 3), ("right_ear", 4)),
    ),
    # These three have no nose: the middle of neck and head top is the face's.
    "mpii16": KeypointFormat(
        "MPII-16",
        (16,),
        ((6,), (2,), (1,), (0,), (3,), (4,), (5,), (6, 7), (7,), (8, 9), (9,), (13,), (14,), (15,), (12,), (11,), (10,)),
    ),
    "aic14": KeypointFormat(
        "AIC-14",
        (14,),
        ((6, 9), (6,), (7,), (8,), (9,), (10,), (11,), (6, 9, 13, 13), (13,), (12, 13), (12,), (3,), (4,), (5,), (0,), (1,), (2,)),
    ),
    "crowdpose14": KeypointFormat(
        "CrowdPose-14",
        (14,),
        ((6, 7), (7,), (9,), (11,), (6,), (8,), (10,), (6, 7, 13, 13), (13,), (12, 13), (12,), (0,), (2,), (4,), (1,), (3,), (5,)),
    ),
    "mediapipe33": KeypointFormat(
        "MediaPipe-33",
        (33,),
        ((23, 24), (24,), (26,), (28,), (23,), (25,), (27,), (11, 12, 23, 24), (11, 12), (0,), (2, 5), (11,), (13,), (15,), (12,), (14,), (16,)),
        _head_of((2, 5), (7, 8), 0),
        landmarks=(*_face(2, 5, 7, 8), ("left_big_toe", 31), ("right_big_toe", 32), ("left_heel", 29), ("right_heel", 30)),
    ),
}  # fmt: skip
# MMPose's `dataset_name`, and our name of its joint order.
MMPOSE_ORDERS = {
    "coco": "coco17", "coco_wholebody": "coco17", "ochuman": "coco17", "humanart": "coco17", "ubody2d": "coco17",
    "halpe26": "halpe26", "halpe": "halpe26", "h36m": "h36m17", "posetrack18": "posetrack18", "mpii": "mpii16",
    "aic": "aic14", "crowdpose": "crowdpose14", "coco_openpose": "coco18",
}  # fmt: skip
# COCO's `categories` name the joints; the first two tell orders apart.
_NAMED_FIRST = {
    ("nose", "left_eye"): "coco17", ("nose", "head_bottom"): "posetrack18", ("left_shoulder", "right_shoulder"): "crowdpose14",
    ("right_shoulder", "right_elbow"): "aic14", ("right_ankle", "right_knee"): "mpii16",
}  # fmt: skip
COCO_NAMES = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow", "right_elbow",
    "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle",
)  # fmt: skip
# What a number of joints means where nothing else says it; several are told apart by how they lie (`shortest_order`).
BY_COUNT = {count: name for name, row in reversed(FORMATS.items()) for count in row.joint_counts}
ORDERS_TOLD_APART = {25: ("body25", "body25b", "coco25"), 14: ("aic14", "crowdpose14")}
# By how much, for one joint order to be believed rather than another: joints in the right order make short limbs.
_CLEARLY_SHORTER = 0.9


def formats_of_count(joint_count: int) -> tuple[str, ...]:
    """All of FORMATS that can have this many joints, the most usual first."""
    return tuple(name for name, row in FORMATS.items() if joint_count in row.joint_counts)


def joint_order_said(path: Path, content: Any) -> str | None:
    """The joint order that MMPose's `meta_info` or COCO's `categories` name; None if they are not there.

    Raises UserError for a data set of MMPose's whose joints are no body of these: animals', hands', others'.
    """
    if not isinstance(content, dict):
        return None
    meta, categories = content.get("meta_info"), content.get("categories")
    name = meta.get("dataset_name") if isinstance(meta, dict) else None
    if isinstance(name, str) and name:
        if name not in MMPOSE_ORDERS:
            raise UserError(
                f"{path}: 'dataset_name' is {name[:40]!r}, whose joints are not read. Expected one of "
                f"{', '.join(MMPOSE_ORDERS)}; if they are in another's order, say which: --keypoint_format NAME."
            )
        return MMPOSE_ORDERS[name]
    first = categories[0] if isinstance(categories, list) and categories else None
    names = first.get("keypoints") if isinstance(first, dict) else None
    if not isinstance(names, list) or not all(isinstance(joint, str) for joint in names):
        return None
    order = _NAMED_FIRST.get(tuple(joint.lower() for joint in names[:2]))
    return order if order and len(names) in FORMATS[order].joint_counts else None


def to_h36m(keypoints: np.ndarray, format_name: str) -> np.ndarray:
    """Keypoints (..., joints, 3) x, y, confidence of one of FORMATS -> (..., K, 3).

    A mean's confidence is the mean too, but 0 where one of its joints has confidence 0: detectors put joints that
    they do not find anywhere, most often at (0, 0). The head then falls back to what is seen of it.
    """
    row = FORMATS[format_name]
    mapped = np.empty((*keypoints.shape[:-2], H36M_JOINT_COUNT, 3), dtype=keypoints.dtype)
    for place, joints in enumerate(row.sources):
        mapped[..., place, :] = _mean_of_seen(keypoints, joints)
    for joints in row.head_instead:
        is_lost = mapped[..., _HEAD, 2] == 0
        if not is_lost.any():
            break
        mapped[..., _HEAD, :] = np.where(is_lost[..., None], _mean_of_seen(keypoints, joints), mapped[..., _HEAD, :])
    return mapped


def shown_joints(format_name: str, joint_count: int) -> dict[str, tuple[int, ...]]:
    """What a detector itself shows of a body, by the joints whose mean it is: H36M's own and VERTEX_LANDMARKS.

    What this format lets the middle of others stand for is named so: "left_hip+right_hip" for a pelvis. Of heads that
    are made of a face the parts are there alone.
    """
    row = FORMATS[format_name]
    sources = dict(zip(H36M_JOINT_NAMES, row.sources, strict=True))
    single = {joints[0]: name for name, joints in sources.items() if len(joints) == 1}
    middles = dict(row.middles)
    shown = {middles.get(name, name): joints for name, joints in sources.items() if len(joints) == 1}
    for name in _TRUNK:
        parts = [middles.get(single[joint], single[joint]) for joint in sources[name] if joint in single]
        # A middle of a middle and of single joints would need weights.
        if len(parts) == len(sources[name]) > 1 and len({part.count("+") for part in parts}) == 1:
            shown["+".join(parts)] = sources[name]
    return shown | {name: (joint,) for name, joint in row.landmarks if joint < joint_count}


def to_shown(keypoints: np.ndarray, format_name: str) -> np.ndarray:
    """Keypoints (..., joints, 3) of one of FORMATS -> (..., S, 3) in the order of `shown_joints`."""
    shown = shown_joints(format_name, keypoints.shape[-2]).values()
    return np.stack([_mean_of_seen(keypoints, joints) for joints in shown], axis=-2)


def opposite_joints(format_name: str, joint_count: int) -> list[int]:
    """For each of a format's joints the number of the same one on the other side; its own where bodies are read from none."""
    row, order = FORMATS[format_name], list(range(joint_count))
    of_landmark = {name: joint for name, joint in row.landmarks if joint < joint_count}
    pairs = [(row.sources[right], row.sources[left]) for right, left in H36M_MIRROR_PAIRS]
    pairs += [
        ((joint,), (of_landmark[name.replace("left_", "right_")],))
        for name, joint in of_landmark.items()
        if "left_" in name
    ]
    for right, left in pairs:
        if len(right) == len(left) == 1:
            order[right[0]], order[left[0]] = left[0], right[0]
    return order


def shortest_order(keypoints: np.ndarray, names: tuple[str, ...]) -> str | None:
    """Which of `names` gives keypoints (N, joints, 3) the shortest limbs; None if that is not clear.

    The limbs of somebody whose joints are taken for others' cross the whole body.
    """
    lengths = {name: limb_length(to_h36m(keypoints, name)) for name in names}
    ordered = sorted(names, key=lambda name: lengths[name])
    is_clear = len(ordered) == 1 or lengths[ordered[0]] < _CLEARLY_SHORTER * lengths[ordered[1]]
    return ordered[0] if is_clear else None


def limb_length(keypoints_px: np.ndarray) -> float:
    """Mean length of the limbs of (N, K, 3), in pixels, between joints that are seen; infinite if none is."""
    ends = keypoints_px[:, np.array(LIMBS)]  # (N, limbs, 2, 3)
    is_seen = (ends[..., 2] > 0).all(axis=-1)
    return (
        float(np.linalg.norm(ends[..., 0, :2] - ends[..., 1, :2], axis=-1)[is_seen].mean()) if is_seen.any() else np.inf
    )


def _mean_of_seen(keypoints: np.ndarray, joints: tuple[int, ...]) -> np.ndarray:
    chosen = keypoints[..., list(joints), :]
    mean = chosen.mean(axis=-2)
    mean[..., 2] = np.where((chosen[..., 2] == 0).any(axis=-1), 0, mean[..., 2])
    return mean
