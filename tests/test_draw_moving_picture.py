"""The moving picture shows what went in and what came out, frame by frame."""

import numpy as np
import pytest
import torch
from PIL import Image

from kinemesh.demo.video import make_video
from tests.refusals import refused
from tools.draw_moving_picture import CAPTION_HEIGHT_PX, CAST, GAP_PX, SHOWN_PX, draw, filmed_tracks, save


@pytest.fixture(scope="module")
def pictures(assets):
    video = make_video(4, cast=CAST)
    return draw(video, filmed_tracks(video), assets, torch.device("cpu"), width_px=120, every=2)


def test_three_panels_a_frame(pictures):
    left, top, right, bottom = SHOWN_PX
    height = round(120 * (bottom - top) / (right - left))
    assert [picture.shape for picture in pictures] == 2 * [(height + CAPTION_HEIGHT_PX, 3 * 120 + 2 * GAP_PX, 3)]


def test_bodies_lie_over_the_people_filmed_and_are_seen_from_the_side(pictures):
    picture = pictures[0][:-CAPTION_HEIGHT_PX].astype(int)
    keypoints, over, beside = (picture[:, start : start + 120] for start in (0, 120 + GAP_PX, 240 + 2 * GAP_PX))
    is_orange = [panel[..., 0] - panel[..., 2] > 40 for panel in (over, beside)]
    # True bodies drawn over themselves hide the grey ones; what is left of the first panel is grey and keypoints.
    is_person = np.abs(keypoints - picture[0, 0]).sum(axis=-1) > 120
    assert (is_person & is_orange[0])[:, 60:].sum() > 100
    assert all(colored.sum() > 100 for colored in is_orange)
    assert not np.array_equal(is_orange[0], is_orange[1])


@pytest.mark.parametrize("suffix", [".webp", ".gif"])
def test_file_plays_all_frames_at_the_videos_speed(pictures, tmp_path, suffix):
    save(tmp_path / f"moving{suffix}", pictures, every=3)
    with Image.open(tmp_path / f"moving{suffix}") as image:
        assert image.n_frames == 2
        image.load()
        assert image.info["duration"] == 100


def test_another_kind_of_file_is_refused(pictures, tmp_path):
    with refused(r"--out .*moving\.mp4: expected a name that ends in \.webp or \.gif"):
        save(tmp_path / "moving.mp4", pictures, every=1)
