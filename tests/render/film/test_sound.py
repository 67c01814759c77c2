"""A video's sound goes with its pictures: as it is stored where that can be, from the part's beginning to its end."""

import contextlib
import logging
from fractions import Fraction
from types import SimpleNamespace

import av
import numpy as np
import pytest

from kinemesh.render.decoding import opened_video
from kinemesh.render.film import sound as film_sound
from kinemesh.render.film.sound import Sound
from kinemesh.render.video import video_writer
from tests.render.clips import numbered_frames

RATE, FPS = 48_000, 20.0


@pytest.fixture(scope="module", params=[("aac", "mp4"), ("pcm_s16le", "mkv")], ids=["copied", "made anew"])
def source(request, tmp_path_factory):
    """Two seconds of pictures; silence until 1 s, then a tone."""
    codec, ending = request.param
    path = tmp_path_factory.mktemp("sound") / f"source.{ending}"
    wave = np.where(np.arange(2 * RATE) < RATE, 0, np.sin(np.arange(2 * RATE) * 0.06)) * 12_000
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=20)
        video.width, video.height, video.pix_fmt = 48, 32, "yuv420p"
        sound = container.add_stream(codec, rate=RATE, layout="mono")
        for frame in numbered_frames(40):
            container.mux(video.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(video.encode(None))
        for first in range(0, len(wave), 1024):
            samples = wave[None, first : first + 1024].astype(np.int16)
            part = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
            part.sample_rate, part.pts, part.time_base = RATE, first, Fraction(1, RATE)
            container.mux(sound.encode(part))
        container.mux(sound.encode(None))
    return path


def heard(path) -> tuple[str, np.ndarray]:
    """The codec, and the loudness of each tenth of a second."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        parts = [(frame.time, frame.to_ndarray().ravel()) for frame in container.decode(stream)]
        wave = np.zeros(round(RATE * (parts[-1][0] + 1)))
        for time_s, samples in parts:
            first = round(RATE * time_s)
            wave[first : first + len(samples)] = samples[: len(wave) - first]
        tenths = np.abs(wave[: len(wave) // 4800 * 4800].reshape(-1, 4800)).mean(axis=1)
        return stream.codec_context.name, tenths / tenths.max()


@pytest.mark.parametrize(("start_s", "end_s"), [(0.0, 2.0), (0.5, 1.5)])
def test_sound_is_in_step_with_the_pictures(source, start_s, end_s, tmp_path):
    with video_writer(tmp_path / "out.mp4", (48, 32), FPS, sound=Sound(source, start_s, end_s)) as add:
        for frame in numbered_frames(round(FPS * (end_s - start_s))):
            add(frame)
    codec, tenths = heard(tmp_path / "out.mp4")
    begins, ends = round(10 * (1 - start_s)), round(10 * (end_s - start_s))
    assert codec == "aac"
    assert tenths[: begins - 1].max() < 0.05 and tenths[begins + 1 : ends - 1].min() > 0.7
    assert tenths[ends + 1 :].max(initial=0) < 0.05


@pytest.mark.parametrize(("jump_s", "begins_s", "ends_s"), [(0.5, 1.5, 2.0), (-0.5, 1.0, 1.5)])
def test_where_its_times_jump_it_stays_in_step_and_one_line_says_so(
    source, jump_s, begins_s, ends_s, tmp_path, monkeypatch, caplog
):
    @contextlib.contextmanager
    def opened(path):
        with opened_video(path) as (container, video):

            def demux(stream):
                for packet in container.demux(stream):
                    if packet.pts is not None and packet.pts * packet.time_base >= 1:
                        packet.pts += round(jump_s / packet.time_base)
                    yield packet

            yield SimpleNamespace(streams=container.streams, demux=demux), video

    monkeypatch.setattr(film_sound, "opened_video", opened)
    with (
        caplog.at_level(logging.WARNING),
        video_writer(tmp_path / "out.mp4", (48, 32), FPS, sound=Sound(source, 0.0, 2.0)) as add,
    ):
        for frame in numbered_frames(40):
            add(frame)
    (told,) = [record.getMessage() for record in caplog.records]
    assert "its sound's times jump from 1.0" in told
    tenths = heard(tmp_path / "out.mp4")[1]
    begins, ends = round(10 * begins_s), round(10 * ends_s)
    assert tenths[: begins - 1].max() < 0.05 and tenths[begins + 1 : ends - 1].min() > 0.7
    assert tenths[ends + 1 :].max(initial=0) < 0.05


def test_a_video_without_sound_is_written_all_the_same(tmp_path):
    with video_writer(tmp_path / "mute.mp4", (48, 32), FPS) as add:
        add(next(numbered_frames(1)))
    with video_writer(tmp_path / "out.mp4", (48, 32), FPS, sound=Sound(tmp_path / "mute.mp4", 0.0, 1.0)) as add:
        add(next(numbered_frames(1)))
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert [stream.type for stream in container.streams] == ["video"]
