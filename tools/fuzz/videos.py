"""Small valid videos of several containers and codecs, and what a run reads of one."""

import tempfile
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from kinemesh.render.video import read_frames, video_info

_KINDS = (
    ("mp4", "libx264", "yuv420p"),
    ("mp4", "libx265", "yuv420p10le"),
    ("matroska", "libvpx-vp9", "yuv420p"),
    ("avi", "mpeg4", "yuv420p"),
    ("mov", "mjpeg", "yuvj420p"),
    ("mpegts", "mpeg2video", "yuv420p"),
    ("gif", "gif", "rgb8"),
)


def make_videos() -> list[bytes]:
    contents = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "video"
        for container_name, codec, pixel_format in _KINDS:
            with av.open(str(path), "w", format=container_name) as container:
                stream = container.add_stream(codec, rate=Fraction(25))
                stream.width, stream.height, stream.pix_fmt = 96, 64, pixel_format  # x265 needs 64
                for number in range(10):  # fewer are no transport stream yet
                    picture = np.full((64, 96, 3), 20 * number, np.uint8)
                    picture[: 4 * number] = 255
                    frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                    container.mux(stream.encode(frame.reformat(format=pixel_format)))
                container.mux(stream.encode(None))
            contents.append(path.read_bytes())
    return contents


def read_video(path: Path) -> None:
    video_info(path)
    for _ in read_frames(path):
        pass
