"""What keypoints are of: a video's size, clock and frames, and the part of it that is asked for."""

import argparse
import hashlib
import logging
import math
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kinemesh.demo.video import CAMERA
from kinemesh.detect.detector import Detector, detections_of
from kinemesh.detect.search import Frame, without_ghosts
from kinemesh.detect.unfinished import read_unfinished, write_unfinished
from kinemesh.errors import UserError
from kinemesh.files.writing import json_text, write_atomically
from kinemesh.geometry.camera import DIAGONAL_35MM
from kinemesh.keypoints import Detections
from kinemesh.keypoints.arrays import rows_made_of, write_rows
from kinemesh.keypoints.formats import FORMATS
from kinemesh.machine.progress import progress
from kinemesh.program.origin import fingerprint
from kinemesh.render.image_folder import image_paths
from kinemesh.render.video import read_frames, video_info
from kinemesh.structures import Timeline
from kinemesh.world.cameras import CameraPath, read_camera_path

logger = logging.getLogger(__name__)

KEYPOINTS_FILE, _UNFINISHED_FILE = "keypoints.npz", "keypoints.unfinished.npz"
# So often what was found is kept, should the run be killed; where that takes long, less often.
_KEPT_EVERY_S, _SHARE_OF_KEEPING = 20.0, 0.05
_DEFAULT_FPS = 30.0
# Programs that count a video's frames differ by a few.
_FRAMES_TOO_MANY_S = 1.0
# Keypoints of every second, third or fourth frame; fewer of them tell nothing.
_STEPS, _FEWEST_FRAMES = (2, 3, 4), 10
# Keypoints of a film's or television's rate; in a shorter video many a track ends there.
_PARTS, _LEAST_FRAMES_TO_TELL = (24 / 30, 25 / 30, 24 / 25), 100
_SAME_RATE = 0.01
# Far more than hours hold; a file may claim any length.
_MOST_FRAMES = 10_000_000


class Source(NamedTuple):
    """A video, or what is known without one; its frames are those that keypoints count."""

    path: Path | None
    image_size: tuple[int, int]
    fps: float  # of the keypoints
    time_s: np.ndarray  # (F,) seconds after the first frame; empty where there is no video
    pictures: np.ndarray | None = None  # (F,) the video file's frame for each; None: of the same number
    is_sure: bool = True  # False: keypoints of every second frame would not be noticed

    def timeline(self, first: int, stop: int) -> Timeline:
        """Of these frames; beyond the video's end the mean rate goes on."""
        beyond = np.arange(1, max(0, stop - len(self.time_s)) + 1) / self.fps
        last_s = self.time_s[-1] if len(self.time_s) else -1 / self.fps
        time_s = np.concatenate((self.time_s, last_s + beyond))[first:stop]
        if self.pictures is None:
            return Timeline(self.fps, time_s, first)
        # No video has a frame of the largest number.
        none = np.full(len(beyond), np.iinfo(np.int64).max)
        return Timeline(self.fps, time_s, first, np.concatenate((self.pictures, none))[first:stop])


def open_source(
    video: Path | str | None,
    *,
    image_size: tuple[int, int] | None = None,
    fps: float | None = None,
    keypoint_fps: float | None = None,
) -> Source:
    """The video's own size and clock, unless another rate is given; without a video what is given."""
    if not video:
        if fps is None:
            logger.info("no --vid_path and no --fps: %g frames a second are taken", _DEFAULT_FPS)
        return Source(None, image_size, fps or _DEFAULT_FPS, np.zeros(0))
    path = Path(video)
    if not path.exists():
        raise UserError(f"--vid_path {path} not found. Expected a video file, or --image_size WIDTHxHEIGHT instead.")
    info = video_info(path)
    size = (info.width, info.height)
    if image_size and image_size != size:
        given = "x".join(map(str, image_size))
        raise UserError(f"--image_size {given}: {path} is {size[0]}x{size[1]}. Leave out --image_size.")
    time_s = info.time_s if fps is None else None
    fps = fps or info.fps
    if fps is None and path.is_dir():
        logger.info("images and no --fps: %g frames a second are taken", _DEFAULT_FPS)
        fps = _DEFAULT_FPS
    elif fps is None:
        raise UserError(f"{path}: says no frame rate that can be true. Give it as --fps.")
    if time_s is None:
        time_s = np.arange(info.frame_count) / fps
    source = Source(path, size, fps, time_s, is_sure=keypoint_fps is None)
    return source if keypoint_fps is None else _sampled(source, keypoint_fps)


def focal_px_of(arguments: argparse.Namespace, source: Source) -> float | None:
    """As the flags say; None where they say nothing."""
    if arguments.fov is not None:
        return source.image_size[0] / 2 / math.tan(math.radians(arguments.fov) / 2)
    if arguments.focal_35mm is not None:
        return arguments.focal_35mm / DIAGONAL_35MM * math.hypot(*source.image_size)
    return CAMERA.focal_px if arguments.demo and arguments.focal is None else arguments.focal


def camera_path_of(arguments: argparse.Namespace, source: Source, detections: Detections) -> CameraPath | None:
    """The camera's path by the frames that keypoints count; None: it stands. Raises UserError if it is another video's."""
    if not arguments.camera:
        return None
    if detections.are_images:
        raise UserError("--camera: the keypoints are of separate pictures, which have a camera each. Leave it out.")
    path = read_camera_path(arguments.camera)
    given, last = len(path.rotations), int(detections.frame.max())
    if source.pictures is not None:
        # Beyond the last picture nothing was filmed.
        shown = source.pictures[: max(len(source.pictures), last + 1)]
        if given > shown.max():
            return path._replace(rotations=path.rotations[shown], trans=path.trans[shown])
        wanted = f"at least {shown.max() + 1}"
    elif given == len(source.time_s) or (not len(source.time_s) and given > last):
        return path
    else:
        wanted = str(len(source.time_s)) if len(source.time_s) else f"at least {last + 1}"
    raise UserError(
        f"--camera {arguments.camera}: of {given} frames. Expected {wanted}, as the video has; is it another's?"
    )


def _sampled(source: Source, fps: float) -> Source:
    """The same video at the rate at which the keypoints were made; each frame shows the picture nearest in time."""
    if abs(fps - source.fps) <= _SAME_RATE * source.fps:
        return source
    length_s = source.time_s[-1] + 1 / source.fps
    count = max(1, int(np.ceil(length_s * fps - _SAME_RATE)))
    if count > _MOST_FRAMES:
        raise UserError(
            f"--keypoint_fps {fps:g}: {count} frames of {source.path}, which claims {length_s:.0f} s. Give less."
        )
    time_s = np.arange(count) / fps
    between = (source.time_s[1:] + source.time_s[:-1]) / 2
    return source._replace(fps=fps, time_s=time_s, pictures=np.searchsorted(between, time_s - 1e-6))


def check_frames(detections: Detections, source: Source) -> None:
    """Whether the keypoints can be of this video's frames. Raises UserError if not."""
    count, last = len(source.time_s), int(detections.frame.max())
    if not count or detections.are_images:
        return
    if last >= count + _FRAMES_TOO_MANY_S * source.fps:
        raise UserError(
            f"{source.path}: has {count} frames, but there are keypoints of frame {last}. Expected keypoints of this video; "
            "is this another cut, or another frame rate (--keypoint_fps)?"
        )
    for step in _STEPS if source.is_sure else ():
        if last + 1 >= _FEWEST_FRAMES and abs((last + 1) * step - count) <= step:
            raise UserError(
                f"{source.path}: has {count} frames, {source.fps:g} a second, but the keypoints end with frame {last}, as if "
                f"made of every {('second', 'third', 'fourth')[step - 2]} one. Give --keypoint_fps {source.fps / step:g} if "
                f"they are, --keypoint_fps {source.fps:g} if not."
            )
    for part in _PARTS if source.is_sure and count >= _LEAST_FRAMES_TO_TELL else ():
        if abs(last + 1 - count * part) <= 1:
            logger.warning(
                "%s: has %d frames, %g a second, but the keypoints end with frame %d: --keypoint_fps %g, if they are of "
                "that rate", source.path, count, source.fps, last, source.fps * part,
            )  # fmt: skip


def chosen_part(
    detections: Detections, source: Source, start_s: float | None, end_s: float | None
) -> tuple[Detections, int, int | None]:
    """The detections from `start_s` to before `end_s`, their first frame, and the one after the last; None: the end.

    Raises UserError if nothing is left.
    """
    if start_s is None and end_s is None:
        return detections, 0, None
    if detections.are_images:
        raise UserError("--start, --end: the keypoints are of separate pictures, which have no time. Leave them out.")
    time_s = source.timeline(0, max(len(source.time_s), int(detections.frame.max()) + 1)).time_s
    first, stop = _frames_between(time_s, start_s, end_s)
    is_inside = (detections.frame >= first) & (detections.frame < stop)
    if not is_inside.any():
        raise UserError(f"--start, --end: nobody was detected in frames {first} to {stop - 1}. Choose another part.")
    return detections.chosen(is_inside), first, stop


def _frames_between(time_s: np.ndarray, start_s: float | None, end_s: float | None) -> tuple[int, int]:
    """The first frame of a part and the one after its last. Raises UserError if there is none."""
    # A time that was rounded means the frame that it was rounded from.
    first, stop = (
        int(np.searchsorted(time_s, at - 0.5e-3)) for at in (start_s or 0.0, np.inf if end_s is None else end_s)
    )
    if first >= stop:
        until = "" if end_s is None else f" to --end {end_s:g}"
        raise UserError(f"--start {start_s or 0:g}: no frame from there{until}; the last is at {time_s[-1]:.3f} s.")
    return first, stop


def detect_keypoints(
    detector: Detector, source: Source, path: Path, start_s: float | None = None, end_s: float | None = None
) -> None:
    """See to it that `path` holds the keypoints of this part of the video.

    A file that is there is kept if it was made of this very video and part by this very detector. What a run that is
    stopped has found so far lies beside it and is gone on from.
    """
    first, stop = _frames_between(source.time_s, start_s, end_s)
    part = {"video": _identity(source.path), "frames": [first, stop], "fps": source.fps}
    made_of = json_text(part | {"detector": detector.facts})
    if rows_made_of(path) == made_of:
        logger.info("%s holds the keypoints of this video already", path)
        return
    unfinished = path.with_name(_UNFINISHED_FILE)
    joint_counts = FORMATS[detector.joint_order].joint_counts
    found = read_unfinished(unfinished, made_of, stop - first, joint_counts)
    if found:
        logger.info("%s: going on from frame %d", unfinished, first + len(found))
    detections = _detected(detector, source, (first, stop), found, _Keeper(unfinished, made_of))
    write_atomically(path, lambda file: write_rows(file, detections, made_of))
    unfinished.unlink(missing_ok=True)


class _Keeper:
    """Writes what was found so far, now and then, and when a run is stopped."""

    def __init__(self, path: Path, made_of: str):
        self.path, self.made_of = path, made_of
        self.due_s = time.monotonic() + _KEPT_EVERY_S

    def keep(self, found: list[Frame], is_stopped: bool) -> None:
        began = time.monotonic()
        if found and found[-1].state is not None and (is_stopped or began >= self.due_s):
            write_unfinished(self.path, found, self.made_of)
            took = time.monotonic() - began
            self.due_s = began + took + max(_KEPT_EVERY_S, took / _SHARE_OF_KEEPING)


def _detected(
    detector: Detector, source: Source, part: tuple[int, int], found: list[Frame], keeper: _Keeper
) -> Detections:
    """Everybody in the frames of a part, from its first to before its end, of which the first are found already."""
    first, stop = part
    left = range(first + len(found), stop)
    pictures = progress(read_frames(source.path, left), len(left), "detector, frames", every=100)
    try:
        for frame in detector.people(pictures, source.fps, found[-1] if found else None):
            found.append(frame)
            keeper.keep(found, is_stopped=False)
    except BaseException:
        keeper.keep(found, is_stopped=True)
        raise
    return detections_of(detector, without_ghosts(found, source.fps), first)


def _identity(path: Path) -> str:
    """Tells this video, or these images, from others and from what they were before."""
    if path.is_file():
        return fingerprint(path)
    facts = [(image.name, image.stat().st_size, image.stat().st_mtime_ns) for image in image_paths(path)]
    return hashlib.blake2b(repr(facts).encode(), digest_size=16).hexdigest()
