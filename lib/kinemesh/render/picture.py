"""A sheet that shows a clip: a row of input keypoints above the bodies recovered from them, frame by frame."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from kinemesh.body.skeleton import SIDES
from kinemesh.files.writing import write_atomically
from kinemesh.geometry.keypoints import boxes_around
from kinemesh.render.keypoints import SIDE_COLORS, draw_skeleton
from kinemesh.render.rasterizer import WeakPerspective
from kinemesh.render.scene import Color, render_mesh

PAGE_COLOR = (255, 255, 255)
PANEL_COLOR = (244, 245, 248)
TEXT_COLOR = (52, 58, 70)
FAINT_TEXT_COLOR = (118, 125, 138)
PRED_COLOR: Color = (0.62, 0.71, 0.86)
TARGET_COLOR: Color = (0.69, 0.80, 0.69)

# Lengths in pixels of a sheet whose cells are 250 pixels high; they grow with the cells.
USUAL_CELL_HEIGHT_PX = 250
MARGIN_PX, GAP_PX, LABEL_WIDTH_PX, LINE_HEIGHT_PX, CORNER_PX, LIMB_PX = 20, 6, 116, 22, 10, 4
TITLE_SIZE_PX, TEXT_SIZE_PX, SMALL_SIZE_PX = 19, 14, 12
CELL_ASPECTS = (0.5, 1.4)  # narrowest and widest cell, of its height
MESH_SHARE = 0.88  # of a cell that the largest figure fills
SKELETON_SHARE = 0.78  # less: a skeleton has neither skin nor feet
SAMPLES = 3  # a pixel and direction
UNSURE = 0.2  # confidence below which a joint's place does not set the scale


class Page(NamedTuple):
    """Which frames a sheet shows, and what is written beside them."""

    frames: Sequence[int] | None = None  # rows of the arrays to show; None: at most `columns`, evenly spread
    columns: int = 6
    side_view: bool = True  # also show the bodies turned by a quarter, where errors in depth are seen
    title: str = ""  # one line above
    captions: Sequence[str] | None = None  # a line below each frame that is shown, such as its error
    note: str = ""  # one line at the foot
    cell_height_px: int = USUAL_CELL_HEIGHT_PX  # of one figure's cell; everything else grows with it


class _Row(NamedTuple):
    """What one row shows in each column."""

    label: str
    points: np.ndarray  # (n, K, 2) keypoints or (n, V, 3) vertices, y down
    centres: np.ndarray  # (n, 2) what comes to the middle of each cell
    extent: np.ndarray  # (2,) width and height that hold every figure
    color: Color | None = None  # of meshes; None for keypoints
    confidence: np.ndarray | None = None  # (n, K) of keypoints


def spread_frames(frame_count: int, columns: int) -> list[int]:
    """At most `columns` frames, evenly spread from the first to the last."""
    return np.unique(np.linspace(0, frame_count - 1, min(columns, frame_count)).round().astype(int)).tolist()


def _frame_figures(points: np.ndarray, is_counted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Middles (n, 2) of figures (n, K, 2 or more), and the width and height (2,) that hold each around its middle."""
    is_counted = is_counted & np.isfinite(points[..., :2]).all(axis=-1)
    low, high = boxes_around(points, is_counted)
    is_empty = ~is_counted.any(axis=1)
    low[is_empty], high[is_empty] = 0, 0
    return (low + high) / 2, (high - low).max(axis=0)


def _keypoint_row(keypoints: np.ndarray) -> _Row:
    confidence = keypoints[..., 2] if keypoints.shape[-1] > 2 else np.ones(keypoints.shape[:-1])
    is_sure = confidence >= UNSURE
    # Where a frame has nothing sure, everything counts.
    is_sure |= ~is_sure.any(axis=1, keepdims=True)
    return _Row("2D keypoints\n(input)", keypoints[..., :2], *_frame_figures(keypoints, is_sure), None, confidence)


def _from_the_side(vertices: np.ndarray) -> np.ndarray:
    """The body turned by a quarter about the vertical: who faced the camera now looks to the left of the picture."""
    return np.stack([vertices[..., 2], vertices[..., 1], -vertices[..., 0]], axis=-1)


def _mesh_rows(bodies: dict[str, tuple[np.ndarray, Color]], side_view: bool) -> list[_Row]:
    """A row for each body and view; the bodies of a view are placed alike, so that a shift between them is seen."""
    rows = []
    for suffix in ("", ",\nfrom the side") if side_view else ("",):
        views = {label: _from_the_side(v) if suffix else v for label, (v, _) in bodies.items()}
        together = np.concatenate(list(views.values()), axis=1)
        placing = _frame_figures(together, np.ones(together.shape[:2], dtype=bool))
        rows += [_Row(label + suffix, views[label], *placing, color) for label, (_, color) in bodies.items()]
    extent = np.max([row.extent for row in rows], axis=0)
    return [row._replace(extent=extent) for row in rows]


class _Sheet:
    """The page: where cells lie, and text and lengths in its scale."""

    def __init__(self, row_count: int, column_count: int, cell: tuple[int, int], header_lines: int, footer_lines: int):
        self.unit = cell[1] / USUAL_CELL_HEIGHT_PX
        self.cell, self.margin, self.line = cell, self.length(MARGIN_PX), self.length(LINE_HEIGHT_PX)
        self.left = self.margin + self.length(LABEL_WIDTH_PX)
        self.top = self.margin + header_lines * self.line
        gap = self.length(GAP_PX)
        self.step = (cell[0] + gap, cell[1] + gap)
        self.bottom = self.top + row_count * self.step[1]
        self.right = self.left + column_count * self.step[0] - gap
        size = (self.right + self.margin, self.bottom + footer_lines * self.line + self.margin - gap)
        self.image = Image.new("RGB", size, PAGE_COLOR)
        self.draw = ImageDraw.Draw(self.image)
        mask = Image.new("L", (cell[0] * SAMPLES, cell[1] * SAMPLES))
        box, radius = (0, 0, mask.width - 1, mask.height - 1), self.length(CORNER_PX) * SAMPLES
        ImageDraw.Draw(mask).rounded_rectangle(box, radius, fill=255)
        self.rounded = mask.resize(cell, Image.Resampling.BOX)

    def length(self, usual_px: float) -> int:
        return round(usual_px * self.unit)

    def write(self, place: tuple[float, float], text: str, size_px: int, color=TEXT_COLOR, anchor: str = "lm") -> None:
        font = ImageFont.load_default(size=size_px * self.unit)
        self.draw.text(place, text, color, font, anchor, spacing=self.length(5))

    def middle_of_row(self, row: int) -> float:
        return self.top + row * self.step[1] + self.cell[1] / 2

    def middle_of_column(self, column: int) -> float:
        return self.left + column * self.step[0] + self.cell[0] / 2

    def draw_cell(self, row: int, column: int, shown: _Row, faces: np.ndarray) -> None:
        share = SKELETON_SHARE if shown.color is None else MESH_SHARE
        scale = share * float(np.min(np.array(self.cell) / np.maximum(shown.extent, 1e-9)))
        origin = np.array(self.cell) / 2 - shown.centres[column] * scale
        cell = Image.new("RGB", self.cell, PANEL_COLOR)
        points = shown.points[column]
        if shown.color is None:
            cell = draw_skeleton(cell, points * scale + origin, shown.confidence[column], LIMB_PX * self.unit)
        else:
            camera = WeakPerspective(scale, tuple(origin))
            drawn = render_mesh(points, faces, camera, self.cell, np.asarray(cell), color=shown.color, samples=SAMPLES)
            cell = Image.fromarray(drawn)
        self.image.paste(cell, (self.left + column * self.step[0], self.top + row * self.step[1]), self.rounded)

    def draw_legend(self, row: int) -> None:
        """Below the keypoints' label: which colour is which side."""
        x, y = self.margin, self.middle_of_row(row) + 1.7 * self.line
        for side in SIDES:
            self.draw.line([x, y, x + self.length(16), y], SIDE_COLORS[side], self.length(LIMB_PX))
            self.write((x + self.length(23), y), side, SMALL_SIZE_PX, FAINT_TEXT_COLOR)
            y += 0.8 * self.line
        self.write((x, y), "faint: unsure", SMALL_SIZE_PX, FAINT_TEXT_COLOR)


def _checked(name: str, array: np.ndarray, ndim: int, frame_count: int) -> np.ndarray:
    array = np.asarray(array, dtype=np.float64)
    if array.ndim != ndim or len(array) != frame_count:
        raise ValueError(f"{name} has shape {array.shape}, expected {ndim} dimensions and {frame_count} frames")
    return array


def draw_clip(
    keypoints: np.ndarray,
    pred_vertices_mm: np.ndarray,
    faces: np.ndarray,
    target_vertices_mm: np.ndarray | None = None,
    *,
    estimate_vertices_mm: np.ndarray | None = None,
    page: Page | None = None,
) -> Image.Image:
    """The sheet: one column a frame; rows of keypoints, bodies from the camera, and the same from the side.

    Args:
        keypoints: (T, 17, 2 or 3) in H36M order, pixels or [-1, 1], y down; third, where there, confidence.
        pred_vertices_mm: (T, V, 3) in camera axes, y down.
        faces: (F, 3).
        target_vertices_mm: (T, V, 3), the ground truth, in the same axes and with the same origin.
        estimate_vertices_mm: (T, V, 3), what a refiner started from.
        page: which frames, and what is written beside them; None: as `Page` has it.
    """
    page = page or Page()
    keypoints = _checked("keypoints", keypoints, 3, len(pred_vertices_mm))
    frames = spread_frames(len(keypoints), page.columns) if page.frames is None else list(page.frames)
    captions, cell_height_px = page.captions, page.cell_height_px
    if captions is not None and len(captions) != len(frames):
        raise ValueError(f"{len(captions)} captions for {len(frames)} frames that are shown")
    bodies = {
        "estimate\n(input)": (estimate_vertices_mm, PRED_COLOR),
        "predicted\nmesh": (pred_vertices_mm, PRED_COLOR),
        "ground truth": (target_vertices_mm, TARGET_COLOR),
    }
    bodies = {
        label: (_checked(label, vertices, 3, len(keypoints))[frames], color)
        for label, (vertices, color) in bodies.items()
        if vertices is not None
    }
    mesh_rows = _mesh_rows(bodies, page.side_view)
    rows = [_keypoint_row(keypoints[frames]), *mesh_rows]

    width, height = mesh_rows[0].extent
    cell = (round(cell_height_px * float(np.clip(width / max(height, 1e-9), *CELL_ASPECTS))), cell_height_px)
    sheet = _Sheet(len(rows), len(frames), cell, 1 + 2 * bool(page.title), bool(captions) + bool(page.note))
    sheet.write((sheet.margin, sheet.margin + sheet.line / 2), page.title, TITLE_SIZE_PX)
    sheet.draw_legend(0)
    for column, frame in enumerate(frames):
        place = (sheet.middle_of_column(column), sheet.top - sheet.line / 2)
        sheet.write(place, f"frame {frame}", SMALL_SIZE_PX, FAINT_TEXT_COLOR, "mm")
        if captions:
            place = (sheet.middle_of_column(column), sheet.bottom + sheet.line / 2)
            sheet.write(place, captions[column], SMALL_SIZE_PX, TEXT_COLOR, "mm")
    for number, row in enumerate(rows):
        sheet.write((sheet.margin, sheet.middle_of_row(number)), row.label, TEXT_SIZE_PX)
        for column in range(len(frames)):
            sheet.draw_cell(number, column, row, faces)
    foot = sheet.bottom + sheet.line * (bool(captions) + 0.5)
    sheet.write((sheet.margin, foot), page.note, SMALL_SIZE_PX, FAINT_TEXT_COLOR)
    return sheet.image


def save_clip_picture(path: Path | str, *arguments, **options) -> None:
    """`draw_clip` written as a PNG file; raises `UserError` if it cannot be written."""
    picture = draw_clip(*arguments, **options)
    write_atomically(path, lambda file: picture.save(file, format="PNG", optimize=True))
