"""A video alone is enough: a detector finds the keypoints, which are kept beside the results and found again there."""

import json
from pathlib import Path

import numpy as np
import pytest

import kinemesh
from kinemesh.demo.video import make_video
from kinemesh.detect.detector import Detector
from kinemesh.detect.regions import Region
from kinemesh.detect.search import Frame, State
from kinemesh.keypoints import read_keypoints
from kinemesh.program.wild import predictor as wild_predictor
from kinemesh.program.wild import run as wild_run
from kinemesh.program.wild import video as wild_video
from kinemesh.program.wild.cli import main
from kinemesh.program.wild.flags import BUILTIN, DEFAULT_CHECKPOINT
from kinemesh.program.wild.predictor import default_checkpoint
from kinemesh.render.video import video_writer
from tests.refusals import refuses

FRAMES, FPS = 12, 30.0
QUICK = ("--formats", "npz", "--fit", "none", "--tta", "none")


class Eyes:
    """A detector that knows a made-up video's people; counts the pictures that it is shown."""

    def __init__(self):
        self.keypoints, self.shown, self.version = make_video(FRAMES).keypoints_px, 0, "1"

    def people(self, pictures, fps, after):
        assert fps == FPS
        state = State([Region((1.0, 2.0), 3.0)] * 2, 0, 0, 3, 2)
        assert after is None or after.state == state
        for picture in pictures:
            self.shown += 1
            yield Frame([0, 1], list(self.keypoints[:, round(picture[0, 0, 0] / 15)]), state)

    def opened(self, name, device):
        return Detector(name, "h36m17", self.version, {"eyes.bin": "0" * 64}, "exact", self.people)


def stopped_after(count, people):
    def stopped(pictures, fps, after):
        yield from (found for found, _ in zip(people(pictures, fps, after), range(count), strict=False))
        raise KeyboardInterrupt

    return stopped


@pytest.fixture
def eyes(monkeypatch, tmp_path):
    eyes = Eyes()
    for program in (wild_run, wild_predictor):
        monkeypatch.setattr(program, "open_detector", eyes.opened)
    monkeypatch.chdir(tmp_path)
    return eyes


@pytest.fixture
def make_film(tmp_path):
    """A video whose pictures tell their number by brightness."""

    def make(path="walk.mp4", count=FRAMES):
        with video_writer(tmp_path / path, (1280, 720), FPS) as write:
            for number in range(count):
                write(np.full((720, 1280, 3), 15 * number, dtype=np.uint8))

    return make


def test_a_video_alone_gives_everybody_and_keeps_the_keypoints(eyes, make_film, tmp_path, capsys):
    make_film()
    assert main(["--vid_path", "walk.mp4", *QUICK]) == 0
    summary = json.loads((tmp_path / "out/walk/summary.json").read_text())
    assert set(summary["files"]) == {"0.npz", "1.npz", "keypoints.npz"}
    assert summary["checkpoint"] == "builtin"
    assert summary["detector"] == {
        "name": "blazepose", "version": "1", "files": {"eyes.bin": "0" * 64}, "calibration": "exact",
    }  # fmt: skip
    told = capsys.readouterr().out
    assert f"neither {DEFAULT_CHECKPOINT} nor data/mesh/SMPL_NEUTRAL.pkl" in told
    assert "the body is a stand-in, not SMPL" in told
    kept = read_keypoints("out/walk/keypoints.npz")
    assert (len(kept.frame), eyes.shown) == (2 * FRAMES, FRAMES)
    np.testing.assert_array_equal(kept.keypoints_px[1::2], eyes.keypoints[1])
    # The kept file is a file of keypoints like any other.
    other = ["--json_path", "out/walk/keypoints.npz", "--image_size", "1280x720", "--out_path", "again"]
    assert main([*other, "--evaluate", BUILTIN, *QUICK]) == 0
    with np.load("out/walk/1.npz") as one, np.load("again/1.npz") as two:
        np.testing.assert_array_equal(one["poses"], two["poses"])


def test_the_library_gives_of_a_video_what_the_script_writes(eyes, make_film):
    """In the world too, which the files stand in."""
    make_film()
    assert main(["--vid_path", "walk.mp4", *QUICK]) == 0
    kinemesh.save(kinemesh.predict("walk.mp4", fit="none", is_flip_tested=False), "ours", formats="npz")
    for name in ("0.npz", "1.npz"):
        ours, theirs = (dict(np.load(f"{folder}/{name}")) for folder in ("ours", "out/walk"))
        assert ours.keys() == theirs.keys() >= {"global_orient_world", "trans_world"}
        for key, values in theirs.items():
            if values.dtype.kind == "f":
                np.testing.assert_allclose(ours[key], values, atol=1e-5, err_msg=key)


def test_the_library_goes_on_where_it_was_stopped_and_shares_a_folder_with_the_script(eyes, make_film, monkeypatch):
    make_film()
    asked = {"folder": "out/walk", "fit": "none", "is_flip_tested": False}
    with monkeypatch.context() as patch:
        patch.setattr(eyes, "people", stopped_after(3, eyes.people))
        with pytest.raises(KeyboardInterrupt):
            kinemesh.predict("walk.mp4", **asked)
    for expected in (FRAMES - 3, 0):
        assert [path.name for path in Path("out/walk").iterdir()] == [
            "keypoints.unfinished.npz" if expected else "keypoints.npz"
        ]
        eyes.shown = 0
        assert [len(track.frame_ids) for track in kinemesh.predict("walk.mp4", **asked)] == [FRAMES, FRAMES]
        assert eyes.shown == expected
    assert main(["--vid_path", "walk.mp4", *QUICK]) == 0
    assert eyes.shown == 0


def test_keypoints_are_found_again_unless_video_part_or_detector_are_others(eyes, make_film):
    make_film()
    run = ["--vid_path", "walk.mp4", *QUICK]
    for expected, change in (
        (FRAMES, lambda: None),
        (0, lambda: None),
        (FRAMES, lambda: setattr(eyes, "version", "2")),
        (5, lambda: run.extend(("--start", "0.1", "--end", "0.25"))),
        (4, lambda: make_film(count=7)),
        (4, lambda: Path("out/walk/keypoints.npz").write_bytes(b"")),
    ):
        change()
        eyes.shown = 0
        assert main(run) == 0
        assert eyes.shown == expected
    with np.load("out/walk/0.npz") as file:
        assert file["frame_ids"].tolist() == [3, 4, 5, 6]


@pytest.mark.parametrize("is_killed", [False, True])
def test_stopped_while_it_looks_it_keeps_what_is_whole_and_goes_on_from_there(
    is_killed, eyes, make_film, tmp_path, monkeypatch
):
    make_film()
    run = ["--vid_path", "walk.mp4", *QUICK]
    assert main(run) == 0
    folder = tmp_path / "out/walk"
    whole, before = read_keypoints(folder / "keypoints.npz"), (folder / "keypoints.npz").read_bytes()
    eyes.version = "2"
    with monkeypatch.context() as patch:
        patch.setattr(eyes, "people", stopped_after(3, eyes.people))
        if is_killed:  # nothing is written at the end any more
            patch.setattr(wild_video, "_KEPT_EVERY_S", 0.0)
            patch.setattr(wild_video, "_SHARE_OF_KEEPING", np.inf)
            keep = wild_video._Keeper.keep
            patch.setattr(wild_video._Keeper, "keep", lambda *args, is_stopped: is_stopped or keep(*args, is_stopped))
        with pytest.raises(KeyboardInterrupt):
            main(run)
    assert (folder / "keypoints.npz").read_bytes() == before
    assert {path.name for path in folder.iterdir()} == {
        "0.npz", "1.npz", "keypoints.npz", "keypoints.unfinished.npz", "summary.json",
    }  # fmt: skip
    eyes.shown = 0
    assert main(run) == 0
    assert eyes.shown == FRAMES - 3
    assert not (folder / "keypoints.unfinished.npz").exists()
    again = read_keypoints(folder / "keypoints.npz")
    for one, other in zip(whole, again, strict=True):
        np.testing.assert_array_equal(one, other)


def test_folders_of_videos_and_of_images(eyes, make_film, tmp_path):
    from PIL import Image

    (tmp_path / "films").mkdir()
    make_film("films/one.mp4")
    make_film("films/two.mp4", 6)
    assert main(["--vid_path", "films", *QUICK]) == 0
    assert eyes.shown == FRAMES + 6
    assert json.loads((tmp_path / "out/films/summary.json").read_text())["videos"].keys() == {"one.mp4", "two.mp4"}
    assert (tmp_path / "out/films/two/keypoints.npz").is_file()
    (tmp_path / "shots").mkdir()
    for number in range(4):
        Image.fromarray(np.full((720, 1280, 3), 15 * number, dtype=np.uint8)).save(tmp_path / f"shots/{number}.png")
    run = ["--vid_path", "shots", *QUICK]
    eyes.shown = 0
    for _ in range(2):
        assert main(run) == 0
    assert eyes.shown == 4
    # Over another input's results, the new keypoints stay.
    assert main(["--vid_path", "films/two.mp4", "--out_path", "out/shots", "--overwrite", *QUICK]) == 0
    assert set(read_keypoints("out/shots/keypoints.npz").frame.tolist()) == set(range(6))


def test_nobody_in_a_video_is_an_error(eyes, make_film, capsys):
    make_film()
    eyes.people = lambda pictures, fps, after: (Frame([], []) for _ in pictures)
    assert main(["--vid_path", "walk.mp4", *QUICK]) == 2
    assert "error: the detector blazepose finds nobody in the video." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (("--json_path", "k.json", "--detector", "blazepose"), "--detector does not go with --json_path"),
        (("--keypoint_fps", "15"), "--keypoint_fps does not go with a detector"),
        (("--evaluate", BUILTIN, "--set", "epochs=1"), f"--set does not go with --evaluate {BUILTIN}"),
        (("--detector", "openpose"), "detector 'openpose': expected blazepose or rtmpose:DIR."),
    ],
)
def test_flags_that_do_not_go_with_it(flags, told, make_film, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    make_film(count=2)
    assert main(["--vid_path", "walk.mp4", *flags]) == 2
    assert told in capsys.readouterr().err


def test_what_is_shipped_is_taken_only_where_neither_checkpoint_nor_body_is_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert default_checkpoint() == BUILTIN
    body, checkpoint = tmp_path / "data/mesh/SMPL_NEUTRAL.pkl", tmp_path / DEFAULT_CHECKPOINT
    for path in (body, checkpoint):
        path.parent.mkdir(parents=True)
    body.touch()
    refuses(rf"^{DEFAULT_CHECKPOINT} not found, but data/mesh/SMPL_NEUTRAL.pkl is there", default_checkpoint)
    checkpoint.touch()
    assert default_checkpoint() == DEFAULT_CHECKPOINT
    body.unlink()
    refuses(rf"^data/mesh/SMPL_NEUTRAL.pkl not found, but {DEFAULT_CHECKPOINT} is there", default_checkpoint)
