"""A contact sheet: some frames of some motions, from the front and from the side, on the floor."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from kinemesh.body.assets import BodyAssets
from kinemesh.body.params import params_from_axis_angle, rotations_from_axis_angle
from kinemesh.body.skeleton import MM_PER_M
from kinemesh.body.smpl import PosedBody
from kinemesh.files.writing import replacement
from kinemesh.geometry.camera import UP_TURNS
from kinemesh.motion.recorded import RecordedMotion, RecordedMotions
from kinemesh.render.picture import FAINT_TEXT_COLOR, PAGE_COLOR, TEXT_COLOR, spread_frames
from kinemesh.render.rasterizer import WeakPerspective
from kinemesh.render.scene import render_mesh

SHEET_FILE = "sheet.png"
_MOST_MOTIONS, _COLUMNS = 8, 6
_CELL_PX, _LABEL_PX, _LINE_PX, _MARGIN_PX = (150, 190), 250, 20, 16
_SHOWN_M = 2.3  # from the bottom of a cell to its top
_FLOOR_SHARE = 0.08  # of a cell, below the floor
_FLOOR_COLOR = (176, 182, 194)
# A floor at y = 0 is shown where somebody comes this near to it; elsewhere the lowest point stands for it.
_NEAR_FLOOR_M = 0.5
_SAMPLES = 2


def write_sheet(path: Path, motions: RecordedMotions, assets: BodyAssets) -> None:
    """Draw a sheet of at most eight motions, evenly spread, as a PNG. Raises UserError if it cannot be written."""
    chosen = spread_frames(len(motions), _MOST_MOTIONS)
    body = PosedBody(assets)
    cell, step = _CELL_PX, _CELL_PX[1] * 2 + _LINE_PX
    size = (_MARGIN_PX * 2 + _LABEL_PX + _COLUMNS * cell[0], _MARGIN_PX * 2 + len(chosen) * step)
    sheet = Image.new("RGB", size, PAGE_COLOR)
    draw = ImageDraw.Draw(sheet)
    for row, number in enumerate(chosen):
        top = _MARGIN_PX + row * step
        _draw_motion(sheet, draw, top, motions[number], body, assets.faces)
    with replacement(path) as temporary:
        sheet.save(temporary, format="PNG")


def _draw_motion(
    sheet: Image.Image, draw: ImageDraw.ImageDraw, top: int, motion: RecordedMotion, body: PosedBody, faces: np.ndarray
) -> None:
    frames = spread_frames(len(motion.poses), _COLUMNS)
    poses, trans_m = (torch.tensor(np.array(part[frames])) for part in (motion.poses, motion.trans_m))
    betas = torch.tensor(np.array(motion.betas))
    vertices = body(params_from_axis_angle(poses, betas)).vertices_mm.numpy() / MM_PER_M + trans_m.numpy()[:, None]
    lowest = float(vertices[..., 1].min())
    floor = 0.0 if abs(lowest) < _NEAR_FLOOR_M else lowest
    front = rotations_from_axis_angle(poses).numpy()[0, 0] @ [0.0, 0.0, 1.0]
    heading = np.arctan2(front[0], front[2]) if np.hypot(front[0], front[2]) > 0.3 else 0.0
    lines = [
        motion.name[-34:],
        f"{motion.subject} {motion.split}".strip()[-34:],
        f"{len(motion.poses)} frames, {motion.fps:g} fps",
        f"lowest point y = {lowest:+.3f} m",
        f"line: y = {floor:+.3f} m",
    ]
    for line, text in enumerate(lines):
        color, place = TEXT_COLOR if line == 0 else FAINT_TEXT_COLOR, (_MARGIN_PX, top + 30 + line * _LINE_PX)
        draw.text(place, text, color, ImageFont.load_default(size=13))
    for view, turn in enumerate((-heading, -heading - np.pi / 2)):
        y = top + view * _CELL_PX[1]
        draw.text((_MARGIN_PX, y + 8), ("front", "side")[view], FAINT_TEXT_COLOR, ImageFont.load_default(size=12))
        for column, frame in enumerate(frames):
            drawn = _draw_body(vertices[column], turn, floor, faces)
            x = _MARGIN_PX + _LABEL_PX + column * _CELL_PX[0]
            sheet.paste(drawn, (x, y))
            if view == 0:
                draw.text((x + 5, y + 3), str(frame), FAINT_TEXT_COLOR, ImageFont.load_default(size=11))


def _draw_body(vertices_m: np.ndarray, turn: float, floor_m: float, faces: np.ndarray) -> Image.Image:
    """One cell: a body (V, 3), y up, turned about the vertical, its middle in the middle, on the floor's line."""
    width, height = _CELL_PX
    centred = vertices_m - [*((vertices_m.min(axis=0) + vertices_m.max(axis=0)) / 2 * [1, 0, 1])]
    cosine, sine = np.cos(turn), np.sin(turn)
    turned = centred @ np.array([[cosine, 0.0, sine], [0.0, 1.0, 0.0], [-sine, 0.0, cosine]]).T
    floor_px = height * (1 - _FLOOR_SHARE)
    scale = floor_px / _SHOWN_M
    cell = Image.new("RGB", _CELL_PX, PAGE_COLOR)
    ImageDraw.Draw(cell).line([4, floor_px, width - 4, floor_px], _FLOOR_COLOR, 1)
    camera = WeakPerspective(scale, (width / 2, floor_px + floor_m * scale))
    seen = turned @ UP_TURNS["camera"].T
    return Image.fromarray(render_mesh(seen, faces, camera, _CELL_PX, np.asarray(cell), samples=_SAMPLES))
