"""Videos written and read back, and what is said where that fails."""

import os
import signal
import subprocess

import numpy as np
import pytest

from kinemesh.errors import UserError
from kinemesh.render.video import read_frames, video_info, video_writer


def numbered_frames(count, width=48, height=32):
    """Frames that tell their number by brightness, with a bright upper half."""
    for number in range(count):
        frame = np.full((height, width, 3), 20 + 8 * number, dtype=np.uint8)
        frame[: height // 2] += 30
        yield frame


def write(path, frames, size=(48, 32), fps=25.0):
    with video_writer(path, size, fps) as add:
        for frame in frames:
            add(frame)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    path = tmp_path_factory.mktemp("video") / "clip with space.mp4"
    write(path, numbered_frames(20), fps=29.97)
    return path


@pytest.fixture
def started(monkeypatch):
    """The processes that the test starts."""
    processes = []
    start = subprocess.Popen

    def remember(*arguments, **options):
        processes.append(start(*arguments, **options))
        return processes[-1]

    monkeypatch.setattr(subprocess, "Popen", remember)
    return processes


def test_frames_come_back_in_order(clip):
    frames = list(read_frames(clip))
    assert len(frames) == 20
    for frame, expected in zip(frames, numbered_frames(20), strict=True):
        assert frame.shape == (32, 48, 3) and frame.dtype == np.uint8
        assert np.abs(frame.astype(int) - expected).mean() < 4


def test_info_is_what_was_written(clip):
    assert video_info(clip) == (48, 32, 29.97, 20)
    assert [path.name for path in clip.parent.iterdir()] == [clip.name]


def test_file_is_h264_that_common_players_show(clip):
    import imageio_ffmpeg

    said = subprocess.run(
        [imageio_ffmpeg.get_ffmpeg_exe(), "-i", str(clip)], capture_output=True, text=True, check=False
    ).stderr
    assert "h264" in said and "yuv420p" in said


def test_odd_sides_are_padded(tmp_path):
    write(tmp_path / "odd.mp4", numbered_frames(2, 33, 21), (33, 21))
    frames = list(read_frames(tmp_path / "odd.mp4"))
    assert frames[0].shape == (22, 34, 3)
    assert np.abs(frames[0][:21, :33].astype(int) - next(numbered_frames(1, 33, 21))).mean() < 8


def test_reading_may_stop_early(clip):
    frames = read_frames(clip)
    next(frames)
    frames.close()


def test_a_fault_while_writing_leaves_no_file_and_the_old_one_untouched(tmp_path):
    path = tmp_path / "clip.mp4"
    path.write_text("old")

    def frames():
        yield from numbered_frames(3)
        raise RuntimeError("bug")

    with pytest.raises(RuntimeError, match="bug"):
        write(path, frames())
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["clip.mp4"]


def test_a_killed_ffmpeg_is_an_error_and_leaves_no_file(tmp_path, started):
    def frames():
        yield from numbered_frames(3)
        os.kill(started[-1].pid, signal.SIGKILL)
        yield from numbered_frames(8, 48, 32)

    with pytest.raises(UserError, match=r"clip\.mp4: cannot be written, ffmpeg stopped \(status -9\)\. Free space"):
        write(tmp_path / "clip.mp4", frames())
    assert os.listdir(tmp_path) == []


def test_a_frame_of_another_size_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"a frame is uint8 \(32, 40, 3\), expected uint8 \(32, 48, 3\)"):
        write(tmp_path / "clip.mp4", numbered_frames(1, 40, 32))
    assert os.listdir(tmp_path) == []


def test_no_such_file(tmp_path):
    for read in (video_info, lambda path: next(read_frames(path))):
        with pytest.raises(UserError, match=r"none\.mp4 not found\. Expected a video file\."):
            read(tmp_path / "none.mp4")


@pytest.mark.parametrize("content", [b"", b"not a video\n" * 50])
def test_not_a_video(tmp_path, content):
    (tmp_path / "text.mp4").write_bytes(content)
    for read in (video_info, lambda path: next(read_frames(path))):
        with pytest.raises(UserError, match=r"text\.mp4: not a video that ffmpeg reads \(.+\)\. Expected mp4, mov"):
            read(tmp_path / "text.mp4")


def test_a_playlist_opens_nothing_else(tmp_path, clip):
    (tmp_path / "list.mp4").write_text(f"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/{clip.name}\n#EXT-X-ENDLIST\n")
    with pytest.raises(UserError, match="not a video that ffmpeg reads"):
        video_info(tmp_path / "list.mp4")


def test_no_ffmpeg(clip, monkeypatch):
    import imageio_ffmpeg

    def missing():
        raise RuntimeError("No ffmpeg exe could be found.")

    monkeypatch.setattr(imageio_ffmpeg, "get_ffmpeg_exe", missing)
    with pytest.raises(UserError, match="no ffmpeg program found, which videos need. Install imageio-ffmpeg"):
        video_info(clip)


def test_a_decoder_that_stops_early_is_said(clip, started, caplog):
    frames = read_frames(clip)
    found = [next(frames)]
    os.kill(started[-1].pid, signal.SIGKILL)
    found += frames
    assert 0 < len(found) < 20
    assert f"cannot be read beyond frame {len(found) - 1}" in caplog.text
