"""The sheet of a clip: what it holds, where, and how large."""

import numpy as np
import pytest
from PIL import Image

from kinemesh.render.keypoints import SIDE_COLORS
from kinemesh.render.picture import PAGE_COLOR, PANEL_COLOR, Page, draw_clip, save_clip_picture, spread_frames
from tests.refusals import refused

CELL = 120


@pytest.fixture(scope="module")
def clip(assets):
    """Keypoints (8, 17, 3) in pixels, vertices (8, V, 3) in mm and the faces, of a body that turns."""
    vertices = []
    for angle in np.linspace(0, np.pi, 8):
        turn = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
        vertices.append(1000 * (assets.v_template @ turn.T) * [1, -1, -1])
    vertices = np.stack(vertices)
    joints = assets.J_regressor_h36m @ vertices
    keypoints = np.concatenate([joints[..., :2] * 0.2 + 500, np.ones((8, 17, 1))], axis=-1)
    return keypoints, vertices, assets.faces


def draw(clip, **options):
    bodies = {name: options.pop(name) for name in list(options) if name not in Page._fields}
    return np.asarray(draw_clip(*clip, **bodies, page=Page(cell_height_px=CELL, **options)))


def test_frames_are_spread_from_first_to_last():
    assert spread_frames(16, 4) == [0, 5, 10, 15]
    assert spread_frames(3, 6) == [0, 1, 2]
    assert spread_frames(1, 6) == [0]


def test_a_column_for_each_frame_and_a_row_for_each_body_and_view(clip):
    front = draw(clip, columns=2, side_view=False)
    more_columns = draw(clip, columns=4, side_view=False)
    step = (more_columns.shape[1] - front.shape[1]) / 2
    assert more_columns.shape[0] == front.shape[0]
    assert step > CELL / 2
    with_side = draw(clip, columns=2)
    assert with_side.shape[0] - front.shape[0] == pytest.approx(CELL, abs=3)


def test_keypoints_above_meshes_in_their_colors(clip):
    sheet = draw(clip, frames=[0], side_view=False).astype(int)
    keypoint_ink = (np.abs(sheet - SIDE_COLORS["left"]).sum(axis=-1) < 6).nonzero()
    cells = (sheet == PANEL_COLOR).all(axis=-1)
    in_cells = np.flatnonzero(cells.any(axis=0))
    right_of_labels = keypoint_ink[1] >= in_cells.min()
    middle = sheet.shape[0] / 2
    assert right_of_labels.any()
    assert (keypoint_ink[0][right_of_labels] < middle + 10).all()
    lower = sheet[int(middle) + 10 :, in_cells.min() :]
    is_mesh = (lower[..., 2] > lower[..., 0] + 20).sum()
    assert is_mesh > 100


def test_target_and_estimate_are_drawn_when_given(clip):
    _, vertices, _ = clip
    without = draw(clip, frames=[0, 3], side_view=False)
    with_target = draw(clip, frames=[0, 3], side_view=False, target_vertices_mm=vertices).astype(int)
    assert with_target.shape[0] - without.shape[0] == pytest.approx(CELL, abs=3)
    is_green = (with_target[..., 1] > with_target[..., 0] + 12) & (with_target[..., 1] > with_target[..., 2] + 12)
    assert is_green.sum() > 100
    without = draw(clip, frames=[0], side_view=False)
    with_estimate = draw(clip, frames=[0], side_view=False, estimate_vertices_mm=vertices)
    assert with_estimate.shape[0] - without.shape[0] == pytest.approx(CELL, abs=3)


def test_scale_of_keypoints_does_not_matter_and_confidence_may_be_absent(clip):
    keypoints, vertices, faces = clip
    normalised = keypoints.copy()
    normalised[..., :2] = keypoints[..., :2] / 1000 * 2 - 1
    one, other = draw(clip, columns=3), draw((normalised, vertices, faces), columns=3)
    assert np.abs(one.astype(int) - other).max() <= 2
    np.testing.assert_array_equal(draw((keypoints[..., :2], vertices, faces), columns=2), draw(clip, columns=2))


def test_an_unsure_joint_far_away_does_not_shrink_the_skeleton(clip):
    keypoints, vertices, faces = clip
    astray = keypoints.copy()
    astray[:, 16] = [5000, -3000, 0.05]
    heights = []
    for shown in (clip, (astray, vertices, faces)):
        sheet = draw(shown, frames=[0], side_view=False)[:, 35:].astype(int)
        inked_rows = np.flatnonzero((np.abs(sheet - SIDE_COLORS["left"]).sum(axis=-1) < 90).any(axis=1))
        heights.append(np.ptp(inked_rows))
    assert heights[0] > CELL / 3
    # Without that arm the figure is narrower, and so may be drawn a little larger.
    assert heights[0] <= heights[1] < CELL


def test_keypoints_that_are_all_lost_leave_an_empty_cell(clip):
    keypoints, vertices, faces = clip
    lost = keypoints.copy()
    lost[0] = np.nan
    sheet = draw((lost, vertices, faces), frames=[0], side_view=False)
    columns = np.flatnonzero((sheet == PANEL_COLOR).all(axis=-1).any(axis=0))
    rows = np.flatnonzero((sheet == PANEL_COLOR).all(axis=-1).any(axis=1))
    cell = sheet[rows.min() : rows.min() + CELL, columns.min() : columns.max()]
    assert (cell[5:-5, 5:-5] == PANEL_COLOR).all()


def test_title_captions_and_note_add_lines(clip):
    plain = draw(clip, columns=2, side_view=False)
    titled = draw(clip, columns=2, side_view=False, title="A title")
    full = draw(clip, columns=2, side_view=False, title="A title", captions=["12 mm", "34 mm"], note="A note")
    assert plain.shape[0] < titled.shape[0] < full.shape[0]
    foot = full[titled.shape[0] - 5 :]
    assert (foot != PAGE_COLOR).any()


def test_captions_and_bodies_must_be_of_the_frames_shown(clip):
    with pytest.raises(ValueError, match="1 captions for 2 frames"):
        draw(clip, columns=2, captions=["12 mm"])
    keypoints, vertices, faces = clip
    with pytest.raises(ValueError, match=r"ground truth has shape \(3, 6890, 3\), expected 3 dimensions and 8 frames"):
        draw(clip, target_vertices_mm=vertices[:3])
    with pytest.raises(ValueError, match=r"keypoints has shape \(2, 17, 3\)"):
        draw((keypoints[:2], vertices, faces))


def test_saved_file_is_the_sheet_and_a_path_must_be_writable(clip, tmp_path):
    save_clip_picture(tmp_path / "new" / "clip.png", *clip, page=Page(columns=2, cell_height_px=CELL))
    assert (tmp_path / "new" / "clip.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    with Image.open(tmp_path / "new" / "clip.png") as stored:
        np.testing.assert_array_equal(np.asarray(stored), draw(clip, columns=2))
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["clip.png"]
    (tmp_path / "file").write_text("")
    with refused(r"clip\.png: cannot be written"):
        save_clip_picture(tmp_path / "file" / "clip.png", *clip, page=Page(columns=1, cell_height_px=CELL))
