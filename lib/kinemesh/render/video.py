"""Reads and writes video files through ffmpeg, one frame at a time, in flat memory."""

import contextlib
import logging
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from kinemesh.errors import UserError
from kinemesh.files.writing import replacement

logger = logging.getLogger(__name__)

# Visually lossless at a speed at which encoding does not decide the run time.
_ENCODING = ("-c:v", "libx264", "-preset", "veryfast", "-crf", "18", "-pix_fmt", "yuv420p", "-movflags", "+faststart")
# H.264 in its usual pixel format has even sides only.
_EVEN_SIDES = "pad=ceil(iw/2)*2:ceil(ih/2)*2"


class VideoInfo(NamedTuple):
    width: int
    height: int
    fps: float
    frame_count: int


def video_info(path: Path | str) -> VideoInfo:
    """Size as shown (a phone's rotation applied), rate and number of frames, without decoding more than one.

    Raises UserError where there is no such file, no ffmpeg, or no video in the file.
    """
    with contextlib.closing(read_frames(path)) as frames:
        height, width, _ = next(frames).shape
    counting = [*_reading(path), "-c", "copy", "-f", "null", "-progress", "pipe:1", "-"]
    done = subprocess.run(counting, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    counts = re.findall(rb"^frame=\s*(\d+)", done.stdout, re.MULTILINE)
    rates = re.findall(rb"Video:.*?([\d.]+) fps", done.stderr) or re.findall(rb"Video:.*?([\d.]+) tbr", done.stderr)
    if not counts or not rates:
        raise _not_a_video(path, done.stderr)
    return VideoInfo(width, height, float(rates[0]), int(counts[-1]))


def read_frames(path: Path | str) -> Iterator[np.ndarray]:
    """The frames of a video as stored, none dropped or doubled to even out the rate: (H, W, 3) uint8, RGB.

    Raises UserError where there is no such file, no ffmpeg, or nothing that it can decode.
    """
    if not Path(path).is_file():
        raise UserError(f"{path} not found. Expected a video file.")
    decoding = [*_reading(path), "-fps_mode", "passthrough", "-c:v", "ppm", "-f", "image2pipe", "-"]
    with _running(decoding, stdout=subprocess.PIPE) as (process, said):
        frame_count = 0
        while (frame := _read_ppm(process.stdout)) is not None:
            frame_count += 1
            yield frame
        status = process.wait()
        if not frame_count:
            raise _not_a_video(path, said())
        if status:
            logger.warning("%s: cannot be read beyond frame %d (%s)", path, frame_count - 1, _last_line(said()))


@contextlib.contextmanager
def video_writer(path: Path | str, image_size: tuple[int, int], fps: float) -> Iterator[Callable[[np.ndarray], None]]:
    """A function that adds a frame (H, W, 3) uint8, RGB, to an H.264 file at `path`, which appears when all are there.

    Args:
        image_size: width, height of every frame; an odd side is padded by a black line.

    Raises UserError without ffmpeg, or if it fails or is killed: then no file is left, and an old one is untouched.
    """
    width, height = image_size
    source = ("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", f"{fps:.6f}", "-i", "-")
    with replacement(path) as temporary:
        encoding = [_ffmpeg(), "-y", "-v", "error", *source, "-vf", _EVEN_SIDES, *_ENCODING, "-f", "mp4", temporary]
        with _running(encoding, stdin=subprocess.PIPE) as (process, said):

            def write(frame: np.ndarray) -> None:
                if frame.shape != (height, width, 3) or frame.dtype != np.uint8:
                    expected = (height, width, 3)
                    raise ValueError(f"a frame is {frame.dtype} {frame.shape}, expected uint8 {expected}")
                try:
                    process.stdin.write(np.ascontiguousarray(frame).data)
                except BrokenPipeError:
                    raise failure() from None

            def failure() -> UserError:
                status = process.wait()
                reason = _last_line(said()) or f"status {status}"
                return UserError(f"{path}: cannot be written, ffmpeg stopped ({reason}). Free space and run again.")

            yield write
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
            if process.wait():
                raise failure()


def _ffmpeg() -> str:
    import imageio_ffmpeg  # looks for the program when it is imported

    try:
        return imageio_ffmpeg.get_ffmpeg_exe()
    except RuntimeError:
        raise UserError(
            "no ffmpeg program found, which videos need. Install imageio-ffmpeg from a wheel, or set IMAGEIO_FFMPEG_EXE."
        ) from None


def _reading(path: Path | str) -> list[str]:
    # The prefix keeps a name such as "http://..." a file's, and the list keeps a playlist from opening anything else.
    return [_ffmpeg(), "-nostdin", "-protocol_whitelist", "file,pipe", "-i", f"file:{path}", "-map", "0:v:0"]


@contextlib.contextmanager
def _running(command: list, **pipes) -> Iterator[tuple[subprocess.Popen, Callable[[], bytes]]]:
    """A process that does not outlive the block, and what it has said on standard error so far."""
    with tempfile.TemporaryFile() as errors:
        # In a session of its own: Ctrl-C is this program's to handle.
        process = subprocess.Popen(command, stderr=errors, start_new_session=True, **pipes)

        def said() -> bytes:
            errors.seek(0)
            return errors.read()

        try:
            yield process, said
        finally:
            process.kill()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()
            process.wait()


def _read_ppm(stream: BinaryIO) -> np.ndarray | None:
    """The next picture of a stream of binary PPM pictures; None at its end, or where it breaks off."""
    header = [stream.readline() for _ in range(3)]
    if header[0] != b"P6\n":
        return None
    width, height = map(int, header[1].split())
    data = stream.read(width * height * 3)
    return np.frombuffer(data, dtype=np.uint8).reshape(height, width, 3) if len(data) == width * height * 3 else None


def _last_line(text: bytes) -> str:
    return text.decode(errors="replace").strip().rpartition("\n")[2][-200:]


def _not_a_video(path: Path | str, said: bytes) -> UserError:
    return UserError(
        f"{path}: not a video that ffmpeg reads ({_last_line(said)}). Expected mp4, mov, avi, mkv or webm."
    )
