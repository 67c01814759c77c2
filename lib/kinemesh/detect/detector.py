"""Opens a detector by the name that a user gives it, and makes detections of what it finds in a video."""

import logging
import os
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kinemesh.detect.blazepose import SURE_ERROR, Network, blazepose
from kinemesh.detect.installing import BLAZEPOSE_FILES, RUNTIME, WHEEL, blazepose_networks, import_runtime
from kinemesh.detect.rtmpose import JOINT_ORDERS, open_networks, rtmpose
from kinemesh.detect.search import Frame, follow_people
from kinemesh.detect.sides import exchanged_frames
from kinemesh.errors import UserError
from kinemesh.files.array_folder.manifest import sha256_of
from kinemesh.keypoints import Detections
from kinemesh.keypoints.formats import opposite_joints
from kinemesh.machine.log import without_information

logger = logging.getLogger(__name__)

DETECTORS = "blazepose or rtmpose:DIR"
# More threads than these wait for one another: the networks are small.
_MOST_THREADS = 4
# Numbers of an output each: boxes and scores of the detector; points, presence and heat of the landmark network.
_BLAZEPOSE_OUTPUTS = ((2254 * 12, 2254), (39 * 5, 1, 64 * 64 * 39))


class Detector(NamedTuple):
    """A network, or several, that find people and their joints."""

    name: str
    joint_order: str  # of kinemesh.keypoints.formats.FORMATS
    version: str  # of the networks and of what runs them
    files: dict[str, str]  # name -> SHA-256 of what it was read from
    calibration: str  # what its confidences mean
    # Pictures, fps and what was found in the picture before them, or None -> the people of each.
    people: Callable[[Iterable[np.ndarray], float, Frame | None], Iterator[Frame]]

    @property
    def facts(self) -> dict:
        """What a summary says of it."""
        return {name: getattr(self, name) for name in ("name", "version", "files", "calibration")}


def open_detector(name: str, device: str = "auto") -> Detector:
    """The detector of this name; `device` "cpu" keeps one that can run on a GPU from it.

    Raises UserError for another name, and for files or packages that are not there.
    """
    kind, _, folder = name.partition(":")
    if name == "blazepose":
        return _open_blazepose()
    if kind == "rtmpose" and folder:
        return _open_rtmpose(Path(folder), device)
    raise UserError(f"detector {name[:80]!r}: expected {DETECTORS}.")


def _open_blazepose() -> Detector:
    contents = blazepose_networks()  # first: the command that fetches them brings the runtime, too
    interpreter = import_runtime()
    searcher, landmarker = (
        _tflite_network(interpreter, content, outputs)
        for content, outputs in zip(contents, _BLAZEPOSE_OUTPUTS, strict=True)
    )
    return Detector(
        "blazepose",
        "mediapipe33",
        f"{WHEEL}, {RUNTIME}=={metadata.version(RUNTIME)}",
        {name: file.sha256 for name, file in BLAZEPOSE_FILES.items()},
        f"expected error {SURE_ERROR} of the stature / confidence; measured on made-up films of the stand-in body",
        partial(follow_people, eyes=blazepose(searcher, landmarker)),
    )


def _open_rtmpose(folder: Path, device: str) -> Detector:
    boxes, pose, paths, runtime = open_networks(folder, device)
    eyes = rtmpose(boxes, pose)
    return Detector(
        "rtmpose",
        JOINT_ORDERS[pose.output_shapes[0][1]],
        runtime,
        {path.name: sha256_of(path) for path in paths},
        "not calibrated: SimCC's largest scores",
        partial(follow_people, eyes=eyes),
    )


def detections_of(detector: Detector, found: Iterable[Frame], first_frame: int = 0) -> Detections:
    """Everybody that a detector found in a video's frames from `first_frame` on.

    Raises UserError if that is nobody.
    """
    frames, tracks, joints = [], [], []
    for number, people in enumerate(found, first_frame):
        frames += [number] * len(people.tracks)
        tracks += people.tracks
        joints += people.joints_px
    if not frames:
        raise UserError(
            f"the detector {detector.name} finds nobody in the video. Expected people; is this the right part?"
        )
    frame, keypoints = np.array(frames, dtype=np.int64), np.stack(joints)
    other_side = np.array(opposite_joints(detector.joint_order, keypoints.shape[1]))
    exchanged = 0
    for track in set(tracks):
        rows = np.flatnonzero(np.array(tracks) == track)
        rows = rows[exchanged_frames(keypoints[rows], other_side)]
        keypoints[rows] = keypoints[rows][:, other_side]
        exchanged += len(rows)
    if exchanged:
        logger.info(
            "left and right were exchanged in %d of %d detections, whose joints jump otherwise", exchanged, len(frame)
        )
    return Detections(frame, np.full(len(frame), ""), keypoints, detector.joint_order)


def _tflite_network(interpreter: type, content: bytes, sizes: tuple[int, ...]) -> Network:
    """A network whose outputs are told apart by how many numbers they are."""
    threads = min(os.cpu_count() or 1, _MOST_THREADS)
    with without_information():
        network = interpreter(model_content=content, num_threads=threads)
        network.allocate_tensors()
    place = network.get_input_details()[0]["index"]
    outputs = {int(np.prod(detail["shape"])): detail["index"] for detail in network.get_output_details()}

    def run(pixels: np.ndarray) -> list[np.ndarray]:
        network.set_tensor(place, pixels)
        network.invoke()
        return [network.get_tensor(outputs[size]) for size in sizes]

    return run
