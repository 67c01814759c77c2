"""A folder of images is a video: in which order, how turned, and what is refused."""

import numpy as np
import pytest
from PIL import Image

from kinemesh.render.video import read_frames, video_info
from tests.refusals import refuses
from tests.render.clips import number_of, numbered_frames


def save(folder, names, frames=None):
    for name, frame in zip(names, frames or numbered_frames(len(names)), strict=True):
        Image.fromarray(frame).save(folder / name)


@pytest.mark.parametrize("names", ["{}.png", "image_{:05d}.jpg", "walk-{}.webp"])
@pytest.mark.parametrize("first", [0, 1])
def test_images_are_frames_in_the_order_of_their_numbers(names, first, tmp_path):
    save(tmp_path, [names.format(first + number) for number in range(12)])
    (tmp_path / ".DS_Store").write_text("")
    (tmp_path / "._1.png").write_text("")
    (tmp_path / "notes.txt").write_text("")
    assert video_info(tmp_path) == (48, 32, 12, None, None)
    assert [number_of(frame) for frame in read_frames(tmp_path)] == list(range(12))
    assert [number_of(frame) for frame in read_frames(tmp_path, [2, 2, 11, 12])] == [2, 2, 11]


def test_other_modes_and_turned_photographs_become_upright_rgb(tmp_path):
    frame = next(numbered_frames(1, 32, 32))
    frame[:, 16:] = 200
    exif = Image.Exif()
    exif[0x0112] = 6  # turn clockwise to see it
    Image.fromarray(np.rot90(frame).copy()).save(tmp_path / "0.jpg", exif=exif, quality=95)
    Image.fromarray(frame).convert("L").save(tmp_path / "1.png")
    Image.fromarray(frame).quantize(4).save(tmp_path / "2.png")
    Image.fromarray(frame).convert("RGBA").save(tmp_path / "3.png")
    for found in read_frames(tmp_path):
        assert found.shape == (32, 32, 3) and np.abs(found.astype(int) - frame).mean() < 6


def test_no_images_broken_ones_two_sizes_and_gaps_are_refused(tmp_path):
    refuses("a folder without images", video_info, tmp_path)
    (tmp_path / "0.png").write_bytes(b"not an image")
    refuses(r"0\.png: cannot be read as an image", video_info, tmp_path)
    save(tmp_path, ["0.png"])
    save(tmp_path, ["1.png"], numbered_frames(1, 40, 30))
    for read in (video_info, lambda path: list(read_frames(path))):
        refuses(r"1\.png: 40x30 pixels, expected 48x32 as the first", read, tmp_path)
    save(tmp_path, ["0.png", "1.png", "3.png"])
    refuses(r"3 images, numbered from 0 to 3\. Expected every number from 0 or 1 on", video_info, tmp_path)
