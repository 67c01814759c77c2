"""Frames out of a video file, from the first on or from any other.

Only containers that hold their own pictures are opened, never a playlist that names other files.
"""

import contextlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import av
from av.error import FFmpegError, InvalidDataError
from av.stream import Disposition
from av.video.frame import PictureType

from kinemesh.errors import UserError

logger = logging.getLogger(__name__)

# A playlist's demuxer (hls, concat, dash, image2, ...) would open whatever local file it names.
_CONTAINERS = "mov,matroska,webm,avi,asf,flv,mpeg,mpegts,ogg,mxf,gif"
_EXPECTED = "Expected mp4, mov, mkv, webm, avi, wmv, flv, mpg, ts, ogv, mxf or gif"
# A file may claim pictures of any size; these are the largest that 360 degree cameras take.
_LARGEST_PIXELS = 1 << 26
_READING = {"protocol_whitelist": "file", "format_whitelist": _CONTAINERS, "max_pixels": str(_LARGEST_PIXELS)}
# Each holds a few frames, which more of them would not decode much faster.
_MOST_THREADS = 8
# Codecs that store pictures which are not shown, or several in one packet.
_HIDES_FRAMES = ("vp8", "mpeg4")
# Containers with an index of keyframes, and codecs whose keyframes are marked as such. A GIF's frame is what changed.
_SEEKABLE = {"mov", "matroska", "webm"}
_SEEKABLE_CODECS = ("h264", "hevc", "vp9", "av1", "mjpeg", "prores")
# Fewer frames are decoded sooner than the file is looked through.
_WORTH_SEEKING = 300


class Stamp(NamedTuple):
    """When a frame is shown and where it is stored, in ticks of its stream."""

    shown: int
    stored: int | None
    is_key: bool


@contextlib.contextmanager
def opened_video(path: Path | str) -> Iterator[tuple[av.container.InputContainer, av.VideoStream]]:
    """The file and the first of its streams that is a moving picture, not an album's cover."""
    if not Path(path).is_file():
        raise UserError(f"{path} not found. Expected a video file.")
    try:
        # The prefix keeps a name such as "http://..." a file's. Titles may be in any encoding.
        container = av.open(f"file:{path}", options=dict(_READING), metadata_errors="replace")
    except FFmpegError as error:
        raise _not_a_video(path, error.strerror) from None
    with container:
        streams = [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]
        if not streams:
            raise _not_a_video(path, "it holds no moving picture")
        stream = streams[0]
        if stream.codec_context is None:
            raise _not_a_video(path, "its codec is not known")
        if stream.codec_context.width * stream.codec_context.height > _LARGEST_PIXELS:
            size = f"{stream.codec_context.width}x{stream.codec_context.height}"
            raise UserError(f"{path}: claims pictures of {size}. Expected at most {_LARGEST_PIXELS} pixels.")
        stream.thread_type = "AUTO"
        stream.codec_context.thread_count = min(os.cpu_count() or 1, _MOST_THREADS)
        stream.codec_context.options = {"max_pixels": str(_LARGEST_PIXELS)}
        yield container, stream


def _not_a_video(path: Path | str, reason: str) -> UserError:
    return UserError(f"{path}: not a video that can be read ({reason}). {_EXPECTED}.")


def packet_stamps(container: av.container.InputContainer, stream: av.VideoStream) -> list[Stamp] | None:
    """Every frame in the order in which they are shown, without decoding; None where a packet need not be a frame."""
    if stream.codec_context.name in _HIDES_FRAMES:
        return None
    stamps = []
    try:
        for packet in container.demux(stream):
            if packet.is_corrupt:
                return None
            if packet.size and not packet.is_discard:  # discarded: cut away by an edit list
                stamps.append(Stamp(packet.pts, packet.dts, packet.is_keyframe))
    except FFmpegError:
        return None
    shown = {stamp.shown for stamp in stamps}
    return sorted(stamps) if None not in shown and len(shown) == len(stamps) > 0 else None


def frames_from(path: Path | str, first: int) -> Iterator[tuple[int, av.VideoFrame]]:
    """Every frame from number `first` on with its number; where that cannot be sought, from the beginning."""
    sought = _sought(path, first) if first >= _WORTH_SEEKING else iter(())
    start = next(sought, None)
    if start is None:
        yield from enumerate(decoded_frames(path))
    else:
        yield start
        yield from sought


def _sought(path: Path | str, first: int) -> Iterator[tuple[int, av.VideoFrame]]:
    """The same from exactly `first` on, decoded from a keyframe before it; nothing where it would not be sure to be whole."""
    with opened_video(path) as (container, stream):
        if not set(container.format.name.split(",")) & _SEEKABLE or stream.codec_context.name not in _SEEKABLE_CODECS:
            return
        stamps = packet_stamps(container, stream) or []
    # One more than it should take: what follows a keyframe may refer to what lies before it.
    keys = [stamp for stamp in stamps[: first + 1] if stamp.is_key][-2:]
    if first >= len(stamps) or len(keys) < 2 or keys[0].stored is None:
        return
    with opened_video(path) as (container, stream):
        start, is_whole = None, False
        frames = _decoded(container, stream, path)
        try:
            container.seek(keys[0].stored, stream=stream)
            while start is None:
                frame = next(frames)
                # Where a video is refreshed column by column, what is marked as a keyframe is none.
                is_whole |= frame.pict_type == PictureType.I and frame.pts in (keys[0].shown, keys[1].shown)
                start = frame if frame.pts is None or frame.pts >= stamps[first].shown else None
        except (FFmpegError, StopIteration, UserError):  # from the beginning more may come out
            return
        if is_whole and start.pts == stamps[first].shown:
            yield first, start
            yield from enumerate(frames, first + 1)


def decoded_frames(path: Path | str) -> Iterator[av.VideoFrame]:
    """Every frame that can be decoded; a warning says how many where something was damaged."""
    with opened_video(path) as (container, stream):
        yield from _decoded(container, stream, path)


def _decoded(
    container: av.container.InputContainer, stream: av.VideoStream, path: Path | str
) -> Iterator[av.VideoFrame]:
    damage, count = "", 0
    packets = container.demux(stream)
    is_over = False
    while not is_over:
        try:
            packet = next(packets, None)
            is_over = packet is None or not packet.size  # an empty one ends the stream
        except FFmpegError as error:
            packet, is_over, damage = None, True, error.strerror
        if packet is not None and packet.is_corrupt:
            damage = damage or "it ends early"
        try:
            frames = stream.codec_context.decode(None if is_over else packet)
        except FFmpegError as error:
            if not isinstance(error, (InvalidDataError, EOFError)):
                raise _not_a_video(path, error.strerror) from None
            damage, frames = damage or error.strerror, []
        for frame in frames:
            count += 1
            yield frame
    if not count:
        raise _not_a_video(path, damage or "it holds no frame")
    if damage:
        logger.warning("%s: damaged (%s); %d frames were read", path, damage, count)
