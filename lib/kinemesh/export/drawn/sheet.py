"""`sheet.png`: eight moments of a video, each from the camera and from the side, to look at before anything else."""

from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
import torch
from av.video.reformatter import Colorspace, Interpolation, VideoReformatter
from PIL import Image, ImageDraw, ImageFont

from kinemesh.body.assets import BodyAssets
from kinemesh.export.drawn.views import Frame, Views, draw_frame, frames_of
from kinemesh.export.rig import Rig
from kinemesh.export.scene import Footage
from kinemesh.files.writing import write_atomically
from kinemesh.render.film.canvas import PIXEL_FORMAT
from kinemesh.render.picture import PAGE_COLOR, TEXT_COLOR, spread_frames
from kinemesh.structures import MeshTrack, Timeline, VideoCamera

_MOMENTS = 8
_LONGER_SIDE_PX = 480  # of a picture on the sheet
_COLUMNS_WIDE, _COLUMNS_HIGH = 4, 8  # of wide and of high pictures
_GAP_PX, _MARGIN_PX, _LABEL_PX, _TEXT_PX = 8, 16, 28, 16


def write_sheet(
    path: Path, people: Sequence[Rig | MeshTrack], footage: Footage, assets: BodyAssets, device: torch.device
) -> None:
    """Write the sheet; arguments and errors are those of `kinemesh.export.mesh_video.write_mesh_video`."""
    whole = footage.camera
    scale = min(1.0, _LONGER_SIDE_PX / max(whole.image_size))
    width, height = cell = tuple(max(2, round(side * scale / 2) * 2) for side in whole.image_size)
    centre_px = (whole.centre_px[0] * width / whole.image_size[0], whole.centre_px[1] * height / whole.image_size[1])
    views = Views.of(footage, people, assets, cell)
    small = views._replace(footage=footage._replace(camera=VideoCamera(whole.focal_px * scale, centre_px, cell)))
    moments = moments_of(people, footage.timeline)
    columns = min(len(moments), _COLUMNS_WIDE if width >= height else _COLUMNS_HIGH)
    bands = -(-len(moments) // columns)
    views_shown = 1 if small.side is None else 2
    band_px = _LABEL_PX + views_shown * (height + _GAP_PX) + _MARGIN_PX
    sheet = Image.new("RGB", (2 * _MARGIN_PX + columns * (width + _GAP_PX) - _GAP_PX, bands * band_px), PAGE_COLOR)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=_TEXT_PX)
    converter = VideoReformatter()
    for place, (moment, frame) in enumerate(zip(moments, frames_of(views, moments, device), strict=True)):
        left, top = _MARGIN_PX + place % columns * (width + _GAP_PX), place // columns * band_px
        drawn = _as_rgb(draw_frame(small, _shrunk(frame, cell, scale, converter)).frame, converter)
        label = f"{footage.timeline.time_s[moment]:.2f} s, frame {footage.timeline.first_frame + moment}"
        draw.text((left, top + _LABEL_PX / 2 + 4), label, TEXT_COLOR, font, "lm")
        for number in range(views_shown):
            view = Image.fromarray(drawn[:height, number * small.panel_left :][:, :width])
            sheet.paste(view, (left, top + _LABEL_PX + number * (height + _GAP_PX)))
    write_atomically(path, lambda file: sheet.save(file, format="PNG"))


def moments_of(people: Sequence[Rig | MeshTrack], timeline: Timeline) -> np.ndarray:
    """At most eight frames (n,) of the timeline, evenly spread over those in which somebody is seen."""
    count = len(timeline.time_s)
    tracks = [person.track if isinstance(person, Rig) else person for person in people]
    seen = np.unique(np.concatenate([np.zeros(0, dtype=np.int64), *(track.frame_ids for track in tracks)]))
    seen = seen[(seen >= 0) & (seen < count)]
    seen = seen if len(seen) else np.arange(count)
    return seen[spread_frames(len(seen), _MOMENTS)]


def _shrunk(frame: Frame, size: tuple[int, int], scale: float, converter: VideoReformatter) -> Frame:
    picture = frame.picture
    if picture is not None:
        picture = converter.reformat(picture, *size, format=PIXEL_FORMAT, interpolation=Interpolation.AREA)
    keypoints_px = frame.keypoints_px * [scale, scale, 1] if len(frame.keypoints_px) else frame.keypoints_px
    return frame._replace(picture=picture, keypoints_px=keypoints_px)


def _as_rgb(frame: av.VideoFrame, converter: VideoReformatter) -> np.ndarray:
    return converter.reformat(frame, format="rgb24", src_colorspace=Colorspace.ITU709).to_ndarray()
