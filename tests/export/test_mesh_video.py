"""The video of meshes: who is where in which frame, over what, and from which side."""

from functools import partial

import numpy as np
import torch

from kinemesh.export.mesh_video import write_mesh_video
from kinemesh.export.rig import Rig
from kinemesh.export.scene import Footage
from kinemesh.render.scene import BACKGROUND_COLOR
from kinemesh.render.video import read_frames, video_info, video_writer
from kinemesh.structures import Timeline
from tests.export.conftest import FPS, FRAME_COUNT, TIMELINE, UNEVEN
from tests.refusals import refused

constant = partial(Timeline.of_constant_rate, FPS)
GREY = np.full((96, 128, 3), 90, dtype=np.uint8)


def render(path, tracks, camera, assets, timeline=TIMELINE, video_path=None, is_side_view=False):
    people = [Rig(track, assets) for track in tracks]
    write_mesh_video(path, people, Footage(camera, timeline, video_path), assets, is_side_view, torch.device("cpu"))
    return np.stack(list(read_frames(path))).astype(int)


def differs(frames, color):
    return np.abs(frames - color).max(axis=-1) > 24


def test_people_are_drawn_where_the_camera_sees_them(written, tracks, camera, skinned):
    assert video_info(written / "mesh.mp4")[:4] == (128, 96, FRAME_COUNT, FPS)
    frames = np.stack(list(read_frames(written / "mesh.mp4"))).astype(int)
    drawn = differs(frames, 255 * np.array(BACKGROUND_COLOR))
    frame = 10
    expected = np.zeros((96, 128), dtype=bool)
    for track in tracks:
        rows = np.flatnonzero(track.frame_ids == frame)
        vertices, _ = skinned(track._replace(poses=track.poses[rows], trans_m=track.trans_m[rows]), True)
        pixels = camera.focal_px * vertices[0, :, :2] / vertices[0, :, 2:] + camera.centre_px
        inside = pixels[((pixels >= 0) & (pixels < [128, 96])).all(axis=1)].astype(int)
        expected[inside[:, 1], inside[:, 0]] = True
    overlap = (drawn[frame] & expected).sum() / (drawn[frame] | expected).sum()
    assert expected.sum() > 200 and overlap > 0.75


def test_people_appear_and_leave_by_their_frame_ids(tracks, camera, assets, tmp_path):
    frames = render(tmp_path / "late.mp4", tracks[1:], camera, assets)
    is_empty = ~differs(frames, 255 * np.array(BACKGROUND_COLOR)).any(axis=(1, 2))
    expected = ~np.isin(np.arange(FRAME_COUNT), tracks[1].frame_ids)
    np.testing.assert_array_equal(is_empty, expected)


def test_source_video_is_beneath_frame_by_frame_and_may_end_early(tracks, camera, assets, tmp_path):
    with video_writer(tmp_path / "source.mp4", (128, 96), FPS) as add:
        for number in range(5):
            add(GREY + np.uint8(20 * number))
    nobody = render(tmp_path / "nobody.mp4", tracks[1:], camera, assets, constant(6), tmp_path / "source.mp4")
    assert [round(frame.mean(), -1) for frame in nobody[:5]] == [90, 110, 130, 150, 170]
    assert not differs(nobody[5], 255 * np.array(BACKGROUND_COLOR)).any()
    somebody = render(tmp_path / "somebody.mp4", tracks[:1], camera, assets, constant(5), tmp_path / "source.mp4")
    for number in range(5):
        assert 0.02 < differs(somebody[number], 90 + 20 * number).mean() < 0.5


def test_a_source_of_varying_rate_keeps_its_times(tracks, camera, assets, tmp_path):
    render(tmp_path / "mesh.mp4", tracks, camera, assets, UNEVEN)
    np.testing.assert_allclose(video_info(tmp_path / "mesh.mp4").time_s, UNEVEN.time_s, atol=1e-4)


def test_a_part_and_a_lower_rate_show_their_own_pictures(tracks, camera, assets, tmp_path):
    with video_writer(tmp_path / "source.mp4", (128, 96), 2 * FPS) as add:
        for number in range(8):
            add(GREY + np.uint8(20 * number))
    for timeline, shown in (
        (constant(3)._replace(first_frame=4), [170, 190, 210]),
        (constant(4)._replace(pictures=np.array([1, 3, 5, 99])), [110, 150, 190]),
    ):
        found = render(tmp_path / "mesh.mp4", [], camera, assets, timeline, tmp_path / "source.mp4")
        assert [round(frame.mean(), -1) for frame in found[:3]] == shown
    assert not differs(found[3], 255 * np.array(BACKGROUND_COLOR)).any()


def test_side_view_stands_beside_and_holds_still(tracks, camera, assets, tmp_path):
    frames = render(tmp_path / "side.mp4", tracks, camera, assets, is_side_view=True)
    assert frames.shape == (FRAME_COUNT, 96, 128 + 96, 3)
    beside = differs(frames[:, :, 128:], 255 * np.array(BACKGROUND_COLOR))
    present = [any(number in track.frame_ids for track in tracks) for number in range(FRAME_COUNT)]
    np.testing.assert_array_equal(beside.any(axis=(1, 2)), present)
    # Nobody leaves the panel, and all of it is used.
    assert not beside[:, :, [0, 95]].any() and not beside[:, [0, 95]].any()
    height, width = (np.ptp(np.flatnonzero(beside.any(axis=axes))) for axes in ((0, 2), (0, 1)))
    assert height > 0.6 * 96 or width > 0.6 * 96


def test_a_video_of_another_size_is_refused_and_nothing_left(tracks, camera, assets, tmp_path):
    with video_writer(tmp_path / "source.mp4", (64, 48), FPS) as add:
        add(GREY[:48, :64])
    with refused(r"source\.mp4 is 64x48, expected 128x96, the size the keypoints are for"):
        render(tmp_path / "mesh.mp4", tracks, camera, assets, video_path=tmp_path / "source.mp4")
    assert [path.name for path in tmp_path.iterdir()] == ["source.mp4"]
