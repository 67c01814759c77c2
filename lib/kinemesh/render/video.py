"""Reads and writes video files, one frame at a time, in flat memory.

FFmpeg's libraries do it, by way of PyAV, in this process: timestamps, trimming (edit lists), rotation and every bit depth
are theirs to know.
"""

import contextlib
import itertools
import logging
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from av.error import FFmpegError
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

from kinemesh.errors import UserError
from kinemesh.files.writing import replacement
from kinemesh.render.decoding import decoded_frames, frames_from, opened_video, packet_stamps
from kinemesh.render.film.canvas import PIXEL_FORMAT
from kinemesh.render.film.sound import Sound, copied_sound
from kinemesh.render.image_folder import read_images

logger = logging.getLogger(__name__)

_LOWEST_FPS, _HIGHEST_FPS = 1 / 3600, 1000.0
# Files that count milliseconds are no more exact; beyond this a rate is not constant.
_ROUNDING_S, _JITTER_FRAMES = 0.0015, 0.1
# Sound may last a little longer than pictures.
_MISSING_S = 0.5

# Visually lossless at a speed at which encoding does not decide the run time: as near to the pictures as "veryfast" at 18
# and in half to three quarters of its time, for files a third to a half larger. To search where frames between others or
# fades would pay takes a tenth of that, and changed files by a hundredth.
_ENCODING = {"preset": "superfast", "crf": "20", "x264-params": "b-adapt=0:weightp=0"}
_TICKS_PER_S = 90_000
_COLORS = {"format": PIXEL_FORMAT, "dst_colorspace": Colorspace.ITU709, "dst_color_range": ColorRange.MPEG}
# Where a file does not say whose colours it has, players go by its height.
_UNSAID, _LEAST_HD_HEIGHT = 2, 720


class VideoInfo(NamedTuple):
    width: int
    height: int
    frame_count: int
    fps: float | None  # the mean rate; None: the file says none, or none that can be true
    time_s: np.ndarray | None  # (frame_count,) float64 from 0, increasing, when each frame is shown; None as `fps`


def video_info(path: Path | str) -> VideoInfo:
    """Size as shown (a phone's rotation applied), number of frames and their times, decoding no more than it must.

    A folder of images is a video without a rate. Raises UserError where there is no such file, or no video in it.
    """
    if Path(path).is_dir():
        first, *others = (picture.shape for picture in read_images(path, only_sizes=True))
        return VideoInfo(first[1], first[0], 1 + len(others), None, None)
    with contextlib.closing(read_frames(path)) as frames:
        height, width, _ = next(frames).shape
    with opened_video(path) as (container, stream):
        rate, time_base = stream.average_rate or stream.guessed_rate, stream.time_base
        claimed_s = (container.duration or 0) / av.time_base
        stamps = packet_stamps(container, stream)
    if stamps is None:
        stamps = [frame.pts for frame in decoded_frames(path)]
    else:
        stamps = [stamp.shown for stamp in stamps]
    fps, time_s = _clock(stamps, float(time_base or 0), float(rate or 0))
    if fps and claimed_s > time_s[-1] + 1 / fps + _MISSING_S:
        logger.warning("%s: claims %.1f s; its %d frames end after %.1f s", path, claimed_s, len(stamps), time_s[-1])
    return VideoInfo(width, height, len(stamps), fps, time_s)


def read_frames(path: Path | str, numbers: Iterable[int] | None = None) -> Iterator[np.ndarray]:
    """The frames of a video, or of a folder of images, as shown: (H, W, 3) uint8, RGB.

    Args:
        numbers: which frames, counted from 0, never falling; those beyond the end are left out. None: each once.

    Raises UserError where there is no such file, or nothing in it that can be decoded. What is damaged is left out, with
    a warning.
    """
    return _read(path, numbers, _upright)


def read_pictures(path: Path | str, numbers: Iterable[int] | None = None) -> Iterator[av.VideoFrame]:
    """The same as frames to draw on (`kinemesh.render.film.canvas`): brightness and colours by ITU-R BT.709.

    Most videos are stored like that and come as they are.
    """
    return _read(path, numbers, _as_stored)


def _read(path: Path | str, numbers: Iterable[int] | None, convert: Callable) -> Iterator:
    wanted = None if numbers is None else iter(numbers)
    number = 0 if wanted is None else next(wanted, None)
    if number is None:
        return
    converter = VideoReformatter()  # keeps its tables and threads from frame to frame
    if Path(path).is_dir():
        pictures = enumerate(read_images(path, first=number), number)
    else:
        pictures = frames_from(path, number)
    for place, picture in pictures:
        if wanted is None:
            yield convert(picture, converter, path)
        elif number <= place:
            shown = convert(picture, converter, path)
            while number is not None and number <= place:
                yield shown
                number = next(wanted, None)
            if number is None:
                return


def _upright(picture: av.VideoFrame | np.ndarray, converter: VideoReformatter, path: Path | str) -> np.ndarray:
    """A decoded frame as RGB, turned and mirrored as its display matrix says."""
    if isinstance(picture, np.ndarray):
        return picture
    pixels = _reformatted(picture, converter, path, format="rgb24").to_ndarray()
    try:
        matrix = picture.side_data.get("DISPLAYMATRIX")
    except ValueError:  # PyAV has no name for something that lies beside it, as a photograph's facts or a stereo view's
        return np.ascontiguousarray(np.rot90(pixels, round(picture.rotation / 90)))
    if matrix is None:
        return pixels
    # x' = a x + c y, y' = b x + d y, of quarter turns and mirrors only.
    a, b, _, c, d = np.frombuffer(bytes(matrix), dtype=np.int32)[:5]
    if abs(int(b)) > abs(int(a)):
        pixels, a, d = pixels.transpose(1, 0, 2), c, b
    return np.ascontiguousarray(pixels[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1])


def _as_stored(picture: av.VideoFrame | np.ndarray, converter: VideoReformatter, path: Path | str) -> av.VideoFrame:
    """A decoded frame in the format that is written, turned and mirrored as its display matrix says."""
    if isinstance(picture, np.ndarray) or picture.rotation or picture.format.is_rgb or _is_mirrored(picture):
        pixels = np.ascontiguousarray(_upright(picture, converter, path))
        return converter.reformat(av.VideoFrame.from_ndarray(pixels, format="rgb24"), **_COLORS)
    space, extent = picture.colorspace, picture.color_range
    if space == _UNSAID:
        space = Colorspace.ITU709 if picture.height >= _LEAST_HD_HEIGHT else Colorspace.ITU601
    if extent == ColorRange.UNSPECIFIED:
        extent = ColorRange.JPEG if picture.format.name.startswith("yuvj") else ColorRange.MPEG
    return _reformatted(picture, converter, path, src_colorspace=space, src_color_range=extent, **_COLORS)


def _is_mirrored(picture: av.VideoFrame) -> bool:
    try:
        return "DISPLAYMATRIX" in picture.side_data
    except ValueError:
        return False


def _reformatted(picture: av.VideoFrame, converter: VideoReformatter, path: Path | str, **wanted) -> av.VideoFrame:
    try:
        return converter.reformat(picture, **wanted)
    except (FFmpegError, MemoryError) as error:
        size = f"{picture.width}x{picture.height}"
        raise UserError(f"{path}: a picture of {size} cannot be converted ({error}). Expected a smaller one.") from None


def _clock(stamps: list[int | None], time_base: float, rate: float) -> tuple[float | None, np.ndarray | None]:
    """Mean rate and times of frames; times of a constant rate are exact, whatever the file rounds them to."""
    number = np.arange(len(stamps))
    is_timed = None not in stamps and time_base > 0 and all(a < b for a, b in itertools.pairwise(stamps))
    shown_s = np.array([stamp - stamps[0] for stamp in stamps]) * time_base if is_timed else None
    mean = float((len(stamps) - 1) / shown_s[-1]) if is_timed and len(stamps) > 1 else 0.0
    for fps in (rate, mean):
        if _LOWEST_FPS <= fps <= _HIGHEST_FPS and (
            not is_timed or np.abs(shown_s - number / fps).max() <= max(_ROUNDING_S, _JITTER_FRAMES / fps)
        ):
            return fps, number / fps
    return (mean, shown_s) if _LOWEST_FPS <= mean <= _HIGHEST_FPS else (None, None)


@contextlib.contextmanager
def video_writer(
    path: Path | str,
    image_size: tuple[int, int],
    fps: float,
    time_s: np.ndarray | None = None,
    sound: Sound | None = None,
) -> Iterator[Callable[[np.ndarray | av.VideoFrame], None]]:
    """A function that adds a frame to an H.264 file at `path`, which appears when all are there.

    A frame is (H, W, 3) uint8, RGB, or one of `kinemesh.render.film.canvas` of even sides, which becomes the writer's.

    Args:
        image_size: width, height of every frame; an odd side is padded by a black line.
        time_s: when each frame is shown, from 0, increasing; None: at the constant rate `fps`.
        sound: what is heard meanwhile, if the video that it names has any.

    Raises UserError if it cannot be written: then no file is left, and an old one is untouched.
    """
    width, height = image_size
    padding = ((0, height % 2), (0, width % 2), (0, 0))
    time_base = 1 / _exact_rate(fps) if time_s is None else Fraction(1, _TICKS_PER_S)
    converter = VideoReformatter()
    count, last = 0, -1
    with replacement(path) as temporary, _encoder(path, temporary, image_size, fps, time_base, sound) as encode:

        def write(frame: np.ndarray | av.VideoFrame) -> None:
            nonlocal count, last
            if isinstance(frame, np.ndarray):
                if frame.shape != (height, width, 3) or frame.dtype != np.uint8:
                    expected = (height, width, 3)
                    raise ValueError(f"a frame is {frame.dtype} {frame.shape}, expected uint8 {expected}")
                if width % 2 or height % 2:
                    frame = np.pad(frame, padding)
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
                frame = converter.reformat(frame, interpolation="BICUBIC", **_COLORS)
            last = count if time_s is None else max(last + 1, round(float(time_s[count]) * _TICKS_PER_S))
            frame.pts, frame.time_base = last, time_base
            count += 1
            encode(frame)

        yield write
        encode(None)


@contextlib.contextmanager
def _encoder(
    path: Path | str,
    temporary: Path,
    image_size: tuple[int, int],
    fps: float,
    time_base: Fraction,
    sound: Sound | None,
) -> Iterator[Callable[[av.VideoFrame | None], None]]:
    """Adds a frame to the temporary file; None for the last."""
    try:
        container = av.open(str(temporary), "w", format="mp4", options={"movflags": "+faststart"})
        try:
            stream = container.add_stream("libx264", rate=_exact_rate(fps), options=dict(_ENCODING))
            # H.264 in its usual pixel format has even sides only.
            stream.width, stream.height = (side + side % 2 for side in image_size)
            stream.pix_fmt = PIXEL_FORMAT
            stream.thread_type = "FRAME"  # several frames at once, not slices of one, which cost size
            context = stream.codec_context
            context.time_base = time_base
            context.colorspace = context.color_primaries = context.color_trc = int(Colorspace.ITU709)
            context.color_range = int(ColorRange.MPEG)
            with copied_sound(sound, container) as heard:

                def encode(frame: av.VideoFrame | None) -> None:
                    container.mux(stream.encode(frame))
                    if heard is not None:
                        heard.add_until(None if frame is None else float(frame.pts * time_base))

                yield encode
        except BaseException:
            with contextlib.suppress(FFmpegError):
                container.close()
            raise
        container.close()
    except FFmpegError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror}). Free space and run again.") from None


def _exact_rate(fps: float) -> Fraction:
    """29.97002997 is 30000/1001."""
    fps = max(fps, 1e-6)
    return Fraction(fps).limit_denominator(1001) or Fraction(fps).limit_denominator(1_000_000)
