"""Videos written and read back, every kind that people have, and what is said where that fails."""

import io
import os
import resource
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from kinemesh.render import decoding
from kinemesh.render.video import read_frames, video_info, video_writer
from tests.refusals import refused, refuses
from tests.render.clips import encode, encode_sound, number_of, numbered_frames, patch

ROOT = Path(__file__).parent.parent.parent
ONE = 1 << 16  # in a box's fixed point numbers


def write(path, frames, size=(48, 32), fps=25.0, time_s=None):
    with video_writer(path, size, fps, time_s) as add:
        for frame in frames:
            add(frame)


def numbers_in(path, wanted=None):
    return [number_of(frame) for frame in read_frames(path, wanted)]


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    path = tmp_path_factory.mktemp("video") / "clip with space.mp4"
    write(path, numbered_frames(20), fps=29.97)
    return path


def test_frames_come_back_in_order_and_only_those_asked_for(clip):
    frames = list(read_frames(clip))
    assert len(frames) == 20
    for frame, expected in zip(frames, numbered_frames(20), strict=True):
        assert frame.shape == (32, 48, 3) and frame.dtype == np.uint8
        assert np.abs(frame.astype(int) - expected).mean() < 4
    assert numbers_in(clip, [3, 3, 4, 9, 19, 20, 500]) == [3, 3, 4, 9, 19]
    assert numbers_in(clip, []) == []


def test_info_is_what_was_written(clip):
    info = video_info(clip)
    assert info[:4] == (48, 32, 20, 29.97)
    np.testing.assert_allclose(info.time_s, np.arange(20) / 29.97)
    assert [path.name for path in clip.parent.iterdir()] == [clip.name]


def h264(**parameters) -> dict:
    return {"codec_options": {"x264-params": ":".join(f"{name}={value}" for name, value in parameters.items())}}


def trim(path) -> None:
    patch(path, b"elst", 8, [1500, 1024 + 17 * 512])  # ms shown, first tick shown


def lay_on_its_side(path) -> None:
    patch(path, b"tkhd", 40, [0, ONE, 0, -ONE, 0, 0, 0, 0, 1 << 30])


OPEN = {"open-gop": 1, "keyint": 8, "min-keyint": 8, "bframes": 3, "b-adapt": 0, "scenecut": 0}


@pytest.mark.parametrize(
    ("name", "options", "spoil"),
    [
        ("closed.mp4", h264(keyint=8, bframes=3), None),
        ("open.mp4", h264(**OPEN), None),
        ("refresh.mp4", h264(**{"keyint": 8, "intra-refresh": 1, "bframes": 0, "scenecut": 0}), None),
        ("open.mkv", {"codec": "libx265", "codec_options": {"x265-params": "keyint=8:bframes=3:open-gop=1:log-level=0"}}, None),
        ("one.mp4", h264(keyint=999), None),
        ("varying.mkv", h264(**OPEN) | {"ticks": [40 * number + 13 * (number % 3) for number in range(40)]}, None),
        ("hidden.webm", {"codec": "libvpx-vp9", "codec_options": {"g": "8", "auto-alt-ref": "1", "lag-in-frames": "16"}}, None),
        ("no_index.ts", h264(keyint=8), None),
        ("changes.gif", {"codec": "gif", "pixel_format": "rgb8"}, None),
        ("trimmed.mp4", h264(**OPEN), trim),
        ("turned.mp4", h264(keyint=8), lay_on_its_side),
    ],
)  # fmt: skip
def test_frames_that_are_sought_are_those_that_all_before_lead_to(name, options, spoil, tmp_path, monkeypatch, caplog):
    path = tmp_path / name
    encode(path, [*numbered_frames(40, 96, 64)] * (2 if spoil is trim else 1), **options)
    if spoil:
        spoil(path)
    everything = list(read_frames(path))
    count = len(everything)
    assert count == (40 if spoil is not trim else 45)
    read = []
    monkeypatch.setattr(decoding, "_WORTH_SEEKING", 1)
    monkeypatch.setattr(decoding, "_decoded", lambda *given, all_of=decoding._decoded: counted(read, all_of(*given)))
    for wanted in ([number] for number in range(1, count)):
        (found,) = read_frames(path, wanted)
        assert np.array_equal(found, everything[wanted[0]]), wanted
    is_sought = name not in ("changes.gif", "no_index.ts", "one.mp4", "refresh.mp4")
    assert (len(read) < 0.9 * sum(range(2, count + 1))) == is_sought
    found = list(read_frames(path, range(count - 3, count + 2)))
    assert len(found) == 3 and all(np.array_equal(*pair) for pair in zip(found, everything[-3:], strict=True))
    assert caplog.text == ""


def counted(read: list, frames):
    for frame in frames:
        read.append(frame.pts)
        yield frame


@pytest.mark.parametrize("fps", [30000 / 1001, 24000 / 1001, 60.0, 1000.0, 0.5, 12.3456])
def test_rates_come_back(fps, tmp_path):
    write(tmp_path / "clip.mp4", numbered_frames(4), fps=fps)
    assert video_info(tmp_path / "clip.mp4").fps == pytest.approx(fps, rel=2e-5)


def test_file_is_h264_that_common_players_show_with_odd_sides_padded(clip, tmp_path):
    with av.open(str(clip)) as container:
        context = container.streams.video[0].codec_context
        assert (context.name, context.pix_fmt) == ("h264", "yuv420p")
    content = clip.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")  # plays before all of it has arrived
    write(tmp_path / "odd.mp4", numbered_frames(2, 33, 21), (33, 21))
    frames = list(read_frames(tmp_path / "odd.mp4"))
    assert frames[0].shape == (22, 34, 3)
    assert np.abs(frames[0][:21, :33].astype(int) - next(numbered_frames(1, 33, 21))).mean() < 8


def test_reading_may_stop_early(clip):
    frames = read_frames(clip)
    next(frames)
    frames.close()


@pytest.mark.parametrize("fault", [RuntimeError("bug"), KeyboardInterrupt()])
def test_a_fault_while_writing_leaves_no_file_and_the_old_one_untouched(fault, tmp_path):
    path = tmp_path / "clip.mp4"
    path.write_text("old")

    def frames():
        yield from numbered_frames(3)
        raise fault

    with pytest.raises(type(fault)):
        write(path, frames())
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["clip.mp4"]


def test_a_full_disk_is_an_error_and_leaves_no_file(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (40, 32, 48, 3), np.uint8)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, hard))
    try:
        refuses(r"clip\.mp4: cannot be written \(File too large\)\. Free space", write, tmp_path / "clip.mp4", noise)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert os.listdir(tmp_path) == []


def test_a_frame_of_another_size_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"a frame is uint8 \(32, 40, 3\), expected uint8 \(32, 48, 3\)"):
        write(tmp_path / "clip.mp4", numbered_frames(1, 40, 32))
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(("codec", "profile"), [("libx264", "High 10"), ("libx265", "Main 10")])
def test_ten_bits_a_color(codec, profile, tmp_path):
    encode(tmp_path / "ten.mp4", numbered_frames(12, 96, 64), codec=codec, pixel_format="yuv420p10le")
    with av.open(str(tmp_path / "ten.mp4")) as container:
        assert container.streams.video[0].codec_context.profile == profile
    assert video_info(tmp_path / "ten.mp4")[:4] == (96, 64, 12, 30.0)
    assert numbers_in(tmp_path / "ten.mp4") == list(range(12))


def test_a_trimmed_video_shows_what_its_edit_list_leaves(tmp_path):
    """As phones and editors trim: all frames are stored, the second half shown."""
    path = tmp_path / "trimmed.mp4"
    encode(path, numbered_frames(30))
    patch(path, b"elst", 8, [500, 1024 + 15 * 512])  # ms shown, first tick shown
    info = video_info(path)
    assert info[:4] == (48, 32, 15, 30.0)
    assert numbers_in(path) == list(range(15, 30))
    with av.open(str(path)) as container:
        assert container.streams.video[0].frames == 30


@pytest.mark.parametrize(
    ("matrix", "turned"),
    [
        ((0, ONE, 0, -ONE, 0), lambda frame: np.rot90(frame, -1)),  # a phone upright
        ((-ONE, 0, 0, 0, -ONE), lambda frame: np.rot90(frame, 2)),
        ((0, -ONE, 0, ONE, 0), np.rot90),
        ((-ONE, 0, 0, 0, ONE), np.fliplr),  # a mirrored selfie
        ((ONE, 0, 0, 0, -ONE), np.flipud),
        ((0, ONE, 0, ONE, 0), lambda frame: frame.transpose(1, 0, 2)),
    ],
)
def test_a_turned_phone_is_put_upright(matrix, turned, tmp_path):
    path = tmp_path / "phone.mp4"
    frame = next(numbered_frames(1))
    frame[:16, :16] = 250
    encode(path, [frame, frame])
    patch(path, b"tkhd", 40, [*matrix, 0, 0, 0, 1 << 30])
    expected = turned(frame).astype(int)
    found = list(read_frames(path))
    assert video_info(path)[:3] == (expected.shape[1], expected.shape[0], 2)
    for picture in found:
        assert picture.flags.c_contiguous and np.abs(picture - expected).mean() < 4


@pytest.mark.parametrize(("orientation", "turned"), [(1, lambda frame: frame), (6, lambda frame: np.rot90(frame, -1))])
def test_data_that_has_no_name_beside_a_frame_does_no_harm(orientation, turned, tmp_path):
    """A camera's motion JPEG: each picture carries its facts, its orientation among them."""
    frame = next(numbered_frames(1))
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = orientation, "maker"
    picture = io.BytesIO()
    Image.fromarray(frame).save(picture, "jpeg", exif=exif, quality=95)
    with av.open(str(tmp_path / "camera.mov"), "w") as container:
        stream = container.add_stream("mjpeg", rate=10)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuvj420p"
        for number in range(3):
            packet = av.Packet(picture.getvalue())
            packet.stream, packet.pts, packet.dts, packet.time_base = stream, number, number, Fraction(1, 10)
            container.mux(packet)
    frames = list(read_frames(tmp_path / "camera.mov"))
    assert len(frames) == 3
    for found in frames:
        assert found.shape == turned(frame).shape and np.abs(found.astype(int) - turned(frame)).mean() < 5


def test_a_varying_rate_keeps_its_times(tmp_path):
    ticks = [0, 33, 67, 100, 300, 333, 367, 1400, 1433, 2000]
    encode(tmp_path / "phone.mkv", numbered_frames(10), ticks=ticks)
    info = video_info(tmp_path / "phone.mkv")
    np.testing.assert_allclose(info.time_s, np.array(ticks) / 1000)
    assert info.fps == pytest.approx(9 / 2.0)
    write(tmp_path / "again.mp4", read_frames(tmp_path / "phone.mkv"), fps=info.fps, time_s=info.time_s)
    np.testing.assert_allclose(video_info(tmp_path / "again.mp4").time_s, info.time_s, atol=1e-4)
    assert numbers_in(tmp_path / "again.mp4") == list(range(10))


def test_rounded_times_are_a_constant_rate_which_is_the_streams_and_not_absurd(tmp_path):
    encode(tmp_path / "clip.mkv", numbered_frames(30), rate=Fraction(30000, 1001))
    info = video_info(tmp_path / "clip.mkv")
    assert info.fps == pytest.approx(30000 / 1001)
    np.testing.assert_allclose(info.time_s, np.arange(30) * 1001 / 30000)
    encode(tmp_path / "clip.mp4", numbered_frames(5), title="Video: 240 fps")
    assert video_info(tmp_path / "clip.mp4").fps == 30
    encode(tmp_path / "clip.mp4", numbered_frames(5), rate=Fraction(20000))
    info = video_info(tmp_path / "clip.mp4")
    assert info.fps is None and info.time_s is None and info.frame_count == 5
    encode(tmp_path / "slow.mkv", numbered_frames(3), ticks=[0, 1_000_000, 2_000_000_000])
    assert video_info(tmp_path / "slow.mkv")[2:] == (3, None, None)


@pytest.mark.parametrize(
    ("name", "codec", "pixel_format"),
    [
        ("clip.gif", "gif", "rgb8"),
        ("clip.avi", "mpeg4", "yuv420p"),
        ("clip.webm", "libvpx", "yuv420p"),
        ("clip.mov", "prores_ks", "yuv422p10le"),
        ("clip.mpg", "mpeg2video", "yuv420p"),
        ("clip.ts", "libx264", "yuv420p"),
        ("clip.wmv", "wmv2", "yuv420p"),
    ],
)
def test_other_containers(name, codec, pixel_format, tmp_path):
    encode(tmp_path / name, numbered_frames(10), rate=25, codec=codec, pixel_format=pixel_format)
    info = video_info(tmp_path / name)
    assert info[:3] == (48, 32, 10) and info.fps == pytest.approx(25)
    numbers = numbers_in(tmp_path / name)
    assert len(numbers) == 10 and np.abs(np.array(numbers) - np.arange(10)).max() <= 3  # rgb8 is coarse


def test_a_truncated_file_gives_what_is_there_and_says_how_much(tmp_path, caplog):
    path = tmp_path / "cut.mp4"
    noise = np.random.default_rng(0).integers(0, 255, (30, 32, 48, 3), np.uint8)
    encode(path, noise, movflags="+faststart")
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)
    found = len(list(read_frames(path)))
    assert 5 < found < 25
    assert f"cut.mp4: damaged (it ends early); {found} frames were read" in caplog.text
    assert video_info(path).frame_count == found


def test_a_damaged_middle_does_not_end_a_video(tmp_path, caplog):
    path = tmp_path / "hurt.mkv"
    noise = np.random.default_rng(0).integers(0, 255, (20, 32, 48, 3), np.uint8)
    encode(path, noise, codec="ffv1", pixel_format="yuv444p")
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 40] = bytes(40)
    path.write_bytes(content)
    frames = list(read_frames(path))
    assert 18 <= len(frames) <= 20 and np.abs(frames[-1].astype(int) - noise[-1]).mean() < 4


def test_a_video_without_its_index_and_sound_alone_are_refused(tmp_path):
    encode(tmp_path / "cut.mp4", numbered_frames(30))
    content = (tmp_path / "cut.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(content[: content.index(b"moov")])
    refuses(r"cut\.mp4: not a video that can be read \(.+\)", video_info, tmp_path / "cut.mp4")
    encode_sound(tmp_path / "song.m4a")
    for read in (video_info, lambda path: next(read_frames(path))):
        with refused(r"song\.m4a: not a video that can be read \(it holds no moving picture\)"):
            read(tmp_path / "song.m4a")


def test_a_huge_claimed_size_takes_no_memory(tmp_path):
    encode(tmp_path / "huge.gif", numbered_frames(3), codec="gif", pixel_format="rgb8")
    content = bytearray((tmp_path / "huge.gif").read_bytes())
    content[6:10] = b"\xff\xff\xff\xff"
    (tmp_path / "huge.gif").write_bytes(content)
    encode(tmp_path / "wide.avi", numbered_frames(3), codec="rawvideo", pixel_format="bgr24")
    content = (tmp_path / "wide.avi").read_bytes()
    place = content.index(b"strf") + 12
    (tmp_path / "wide.avi").write_bytes(content[:place] + b"\xff\x7f\0\0" * 2 + content[place + 8 :])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for name in ("huge.gif", "wide.avi"):
        refuses(rf"{name}: .+ Expected", video_info, tmp_path / name)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000


def test_memory_does_not_grow_with_the_video(tmp_path):
    write(tmp_path / "long.mp4", (np.full((360, 640, 3), number, np.uint8) for number in range(200)), (640, 360))
    code = (
        "import resource, sys; from kinemesh.render.video import read_frames; frames = read_frames(sys.argv[1])\n"
        "for _ in range(20): next(frames)\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss; count = sum(1 for _ in frames)\n"
        "print(count, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "long.mp4")]
    ran = subprocess.run(command, cwd=ROOT / "lib", capture_output=True, text=True, check=True)
    count, growth_kib = map(int, ran.stdout.split())
    assert count == 180 and growth_kib < 20_000  # all of them would be 124 MB


def test_no_such_file(tmp_path):
    for read in (video_info, lambda path: next(read_frames(path))):
        refuses(r"none\.mp4 not found\. Expected a video file\.", read, tmp_path / "none.mp4")


@pytest.mark.parametrize("content", [b"", b"not a video\n" * 50])
def test_not_a_video(tmp_path, content):
    (tmp_path / "text.mp4").write_bytes(content)
    for read in (video_info, lambda path: next(read_frames(path))):
        refuses(r"text\.mp4: not a video that can be read \(.+\)\. Expected mp4, mov", read, tmp_path / "text.mp4")


PLAYLISTS = {
    "list.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{name}\n#EXT-X-ENDLIST\n",
    "list.mp4": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{path}\n#EXT-X-ENDLIST\n",
    "list.txt": "ffconcat version 1.0\nfile '{name}'\n",
    "list.mpd": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><Period><BaseURL>{path}</BaseURL></Period></MPD>',
    "list.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
}


@pytest.mark.parametrize("name", PLAYLISTS)
def test_a_playlist_opens_nothing_else(name, tmp_path):
    encode(tmp_path / "other.ts", numbered_frames(30))
    path = tmp_path / name
    path.write_text(PLAYLISTS[name].format(name="other.ts", path=tmp_path / "other.ts"))
    refuses("not a video that can be read", video_info, path)
    if name in ("list.m3u8", "list.txt"):  # and it is one that would be opened otherwise
        options = {"allowed_extensions": "ALL", "safe": "0", "extension_picky": "0"}
        with av.open(str(path), options=options) as container:
            assert len(list(container.decode(video=0))) == 30


def test_a_name_is_never_a_protocol(tmp_path, monkeypatch, clip):
    monkeypatch.chdir(tmp_path)
    for name in ("concat:a.mp4|b.mp4", "http:clip.mp4", "frame_%d.mp4", "-i.mp4"):
        Path(name).write_bytes(clip.read_bytes())
        assert video_info(name).frame_count == 20
