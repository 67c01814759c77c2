"""RTMPose (Jiang et al., 2023) with YOLOX (Ge et al., 2021) as ONNX files of the user's own, run by onnxruntime.

Which file is which follows from its inputs and outputs. RTMPose reads RGB less ImageNet's mean by its deviation and
answers SimCC (Li et al., 2022): for each joint a score for every half pixel of each axis. YOLOX reads BGR from 0 to 255,
the picture in the first corner of a grey square, and answers boxes: after suppression (boxes and score, labels), or
each cell's own (centre, size, objectness, classes).
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from kinemesh.detect.regions import Region, cut_out, to_picture
from kinemesh.detect.search import Eyes, Seen
from kinemesh.errors import UserError
from kinemesh.geometry.keypoints import box_overlap

RUNTIME = "onnxruntime"
# By the number of joints.
JOINT_ORDERS = {17: "coco17", 26: "halpe26", 133: "coco17"}
_MEAN, _DEVIATION = (np.array(rgb, dtype=np.float32) for rgb in ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)))
_PADDING = 1.25
_GREY = 114
_STRIDES = (8, 16, 32)
_LEAST_BOX_SCORE, _SAME_BOX = 0.3, 0.45
_PERSON = 0
# Joints that a person's next box is drawn around; and how sure they must be on the mean.
_LEAST_SCORE, _LEAST_PRESENCE = 0.3, 0.3
_PEOPLE_AT_ONCE = 16
_EXPECTED = (
    "one RTMPose (a picture in, SimCC of x and y out) and one YOLOX (a square picture in, boxes out), both .onnx"
)


class OnnxNetwork(NamedTuple):
    """A network of one picture or more, and the names and sizes that tell what it is; 0: any size."""

    run: Callable[[np.ndarray], list[np.ndarray]]
    input_shape: tuple[int, ...]
    output_shapes: tuple[tuple[int, ...], ...]

    @property
    def is_pose(self) -> bool:
        shapes = self.output_shapes
        return len(shapes) == 2 and all(len(shape) == 3 for shape in shapes) and shapes[0][1] == shapes[1][1]

    @property
    def is_detector(self) -> bool:
        return not self.is_pose and len(self.output_shapes[0]) == 3 and self.output_shapes[0][2] >= 5


def open_networks(folder: Path, device: str) -> tuple[OnnxNetwork, OnnxNetwork, tuple[Path, Path], str]:
    """YOLOX and RTMPose of a folder, their files, and what runs them.

    Raises UserError for a folder that does not hold one of each, a file that cannot be run, or no onnxruntime.
    """
    try:
        import onnxruntime
    except ImportError:
        raise UserError(
            f"ONNX files are run by the package {RUNTIME}, which is not installed. Expected it: pip install {RUNTIME}, or "
            f"{RUNTIME}-gpu for a GPU."
        ) from None
    paths = sorted(folder.glob("*.onnx")) if folder.is_dir() else []
    if not paths:
        raise UserError(f"--detector rtmpose:{folder}: no .onnx file there. Expected {_EXPECTED}.")
    wanted = ["CPUExecutionProvider"] if device == "cpu" else ["CUDAExecutionProvider", "CPUExecutionProvider"]
    number = device.partition(":")[2]
    options = {"CUDAExecutionProvider": {"device_id": number if number.isdecimal() else "0"}}
    providers = [name for name in wanted if name in onnxruntime.get_available_providers()]
    networks = {}
    for path in paths:
        try:
            networks[path] = _network(
                onnxruntime.InferenceSession(str(path), providers=[(name, options.get(name, {})) for name in providers])
            )
        except Exception as error:  # onnxruntime's have no common base
            reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
            raise UserError(f"{path}: cannot be run by {RUNTIME} ({reason}). Expected {_EXPECTED}.") from None
    found = []
    for kind in ("is_detector", "is_pose"):
        own = [path for path in paths if getattr(networks[path], kind)]
        if len(own) != 1:
            held = ", ".join(f"{path.name} {networks[path].output_shapes}" for path in paths[:6])
            raise UserError(f"--detector rtmpose:{folder}: holds {held}. Expected {_EXPECTED}.")
        found.append(own[0])
    runtime = f"{RUNTIME}=={onnxruntime.__version__} ({providers[0]})"
    return networks[found[0]], networks[found[1]], (found[0], found[1]), runtime


def _network(session) -> OnnxNetwork:
    place, *others = session.get_inputs()
    if others or len(place.shape) != 4:
        raise ValueError(f"it reads {len(others) + 1} inputs, the first of {len(place.shape)} axes")
    shapes = [
        tuple(side if isinstance(side, int) else 0 for side in one.shape) for one in (place, *session.get_outputs())
    ]
    return OnnxNetwork(lambda pixels: session.run(None, {place.name: pixels}), shapes[0], tuple(shapes[1:]))


def rtmpose(detector: OnnxNetwork, pose: OnnxNetwork) -> Eyes:
    """Both networks as one detector. Raises UserError for sizes and joints that are not known."""
    height, width = pose.input_shape[2:]
    side = detector.input_shape[2]
    joint_count = pose.output_shapes[0][1]
    if not height or not width or not side or joint_count not in JOINT_ORDERS:
        sizes = f"pictures of {width}x{height} and {side}, {joint_count} joints"
        raise UserError(f"--detector rtmpose: {sizes}. Expected networks of one size, and 17, 26 or 133 joints.")
    at_once = pose.input_shape[0] or _PEOPLE_AT_ONCE

    def find(picture: np.ndarray) -> list[Region]:
        return [region_of_box(box, width / height) for box in find_boxes(picture, detector, side)]

    def look(picture: np.ndarray, regions: list[Region]) -> list[Seen]:
        seen = []
        for first in range(0, len(regions), at_once):
            some = regions[first : first + at_once]
            cuts = np.stack([cut_out(picture, region, (width, height)) for region in some])
            pixels = (cuts.astype(np.float32) - _MEAN) / _DEVIATION
            x_scores, y_scores = pose.run(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)))
            joints = decode_simcc(x_scores, y_scores)
            seen += [_seen(*each, width / height) for each in zip(joints, some, strict=True)]
        return seen

    return Eyes(find, look, _LEAST_PRESENCE, _LEAST_PRESENCE)


def decode_simcc(x_scores: np.ndarray, y_scores: np.ndarray) -> np.ndarray:
    """Joints (P, J, 3) in parts of width and height, with their scores, of SimCC (P, J, bins) of each axis."""
    places = np.stack([scores.argmax(axis=-1) / scores.shape[-1] for scores in (x_scores, y_scores)], axis=-1)
    score = np.minimum(x_scores.max(axis=-1), y_scores.max(axis=-1))
    return np.concatenate((places, score[..., None].clip(0, 1)), axis=-1)


def _seen(joints: np.ndarray, region: Region, aspect: float) -> Seen:
    """A person's joints (J, 3) in parts of a region's width and height, as pixels of the picture."""
    # Parts of the region's side, which is its height.
    places = np.stack(((joints[:, 0] - 0.5) * aspect + 0.5, joints[:, 1]), axis=-1)
    joints_px = np.concatenate((to_picture(places, region), joints[:, 2:]), axis=1).astype(np.float32)
    sure = joints_px[joints_px[:, 2] >= _LEAST_SCORE, :2]
    around = np.concatenate((sure.min(axis=0), sure.max(axis=0))) if len(sure) > 1 else np.full(4, np.nan)
    return Seen(joints_px, region_of_box(around, aspect), float(joints[:, 2].mean()))


def region_of_box(box: np.ndarray, aspect: float) -> Region:
    """The padded rectangle of the network's shape around a box (4,) low x, y, high x, y."""
    width, height = box[2:] - box[:2]
    middle = (box[:2] + box[2:]) / 2
    return Region((float(middle[0]), float(middle[1])), _PADDING * float(max(height, width / aspect)))


def find_boxes(picture: np.ndarray, detector: OnnxNetwork, side: int) -> np.ndarray:
    """People's boxes (P, 4) in pixels, the surest first."""
    scale = side / max(picture.shape[:2])
    size = [max(1, round(length * scale)) for length in picture.shape[1::-1]]
    square = np.full((side, side, 3), _GREY, dtype=np.uint8)
    square[: size[1], : size[0]] = np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BILINEAR))
    outputs = detector.run(np.ascontiguousarray(square[..., ::-1].transpose(2, 0, 1)[None]).astype(np.float32))
    boxes = outputs[0][0]
    if boxes.shape[1] == 5:
        scores = boxes[:, 4]
        is_kept = scores >= _LEAST_BOX_SCORE
        if len(outputs) > 1:
            is_kept &= outputs[1][0] == _PERSON
        boxes = boxes[is_kept][np.argsort(-scores[is_kept], kind="stable")]
        return boxes[:, :4] / scale
    return _suppress(*_of_cells(boxes, side)) / scale


def _of_cells(cells: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Boxes (A, 4) and the scores of people of YOLOX's cells (A, 5 + classes)."""
    counts = [side // stride for stride in _STRIDES]
    corner = np.concatenate([np.stack(np.divmod(np.arange(n * n), n)[::-1], axis=-1) for n in counts])
    stride = np.repeat(_STRIDES, [n * n for n in counts])[:, None]
    if len(cells) != len(stride):
        raise UserError(
            f"--detector rtmpose: {len(cells)} boxes of a picture of {side}, expected {len(stride)}, as YOLOX."
        )
    centre, size = (cells[:, :2] + corner) * stride, np.exp(cells[:, 2:4].clip(-20, 20)) * stride
    return np.concatenate((centre - size / 2, centre + size / 2), axis=1), cells[:, 4] * cells[:, 5 + _PERSON]


def _suppress(boxes: np.ndarray, scores: np.ndarray) -> np.ndarray:
    left = np.flatnonzero(scores >= _LEAST_BOX_SCORE)
    left = left[np.argsort(-scores[left], kind="stable")]
    kept = []
    while len(left):
        kept.append(left[0])
        left = left[1:][box_overlap(boxes[left[0]], boxes[left[1:]]) <= _SAME_BOX]
    return boxes[kept]
