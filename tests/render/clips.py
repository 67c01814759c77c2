"""Small videos of every kind, made by the tests."""

import struct
from fractions import Fraction

import av
import numpy as np
from av.stream import Disposition

STEP = 6  # of brightness, from frame to frame


def numbered_frames(count, width=48, height=32):
    """Frames that tell their number by brightness, with a bright upper half."""
    for number in range(count):
        frame = np.full((height, width, 3), 20 + STEP * number, dtype=np.uint8)
        frame[: height // 2] += 30
        yield frame


def number_of(frame):
    """The number that a frame tells by its lower edge."""
    return round((float(frame[-8:].mean()) - 20) / STEP)


def encode(
    path,
    frames,
    *,
    rate=30,
    codec="libx264",
    pixel_format="yuv420p",
    ticks=None,
    codec_options=None,
    **container_options,
):
    """Encode with PyAV alone; `ticks`: when each frame is shown, in milliseconds. libx265 needs sides of 64 at least."""
    frames = list(frames)
    title = container_options.pop("title", None)
    with av.open(str(path), "w", options=container_options) as container:
        if title:
            container.metadata["title"] = title
        stream = container.add_stream(codec, rate=Fraction(rate), options=codec_options or {})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = pixel_format
        if ticks is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        for number, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24").reformat(format=pixel_format)
            if ticks is not None:
                picture.pts, picture.time_base = ticks[number], Fraction(1, 1000)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))


def patch(path, box, offset, values):
    """Overwrite 32-bit numbers of an mp4's only such box, counted from the end of its name."""
    content = bytearray(path.read_bytes())
    place = content.index(box) + 4 + offset
    content[place : place + 4 * len(values)] = struct.pack(f">{len(values)}i", *values)
    path.write_bytes(content)


def encode_sound(path):
    """A file of sound, with the picture of its cover."""
    with av.open(str(path), "w", format="mp4") as container:
        stream, cover = container.add_stream("aac", rate=44100), container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 48, 32, "yuvj420p"
        cover.disposition = Disposition.attached_pic.value
        picture = av.VideoFrame.from_ndarray(next(numbered_frames(1)), format="rgb24")
        picture.pts = 0
        container.mux(cover.encode(picture))
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
