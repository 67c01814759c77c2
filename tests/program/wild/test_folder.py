"""Folders of videos go with their keypoints, and an output folder is one input's."""

import json
from argparse import Namespace

import pytest

from kinemesh.errors import UserError
from kinemesh.program.wild.folder import (
    claim_folder,
    inputs_of,
    remove_other_results,
    require_other_results,
    run_all,
    runs_of_folder,
    write_summary,
)
from tests.refusals import refused, refuses


@pytest.fixture
def flags(tmp_path):
    """Three videos with keypoints as different programs name them."""
    for name in ("videos", "keypoints", "keypoints/c"):
        (tmp_path / name).mkdir()
    for name in ("videos/a.mp4", "videos/b.MOV", "videos/c.mkv", "videos/.hidden.mp4", "videos/notes.txt"):
        (tmp_path / name).write_text("")
    for name in ("keypoints/a.json", "keypoints/results_b.json", "keypoints/c/0_keypoints.json"):
        (tmp_path / name).write_text("")
    paths = {"vid_path": tmp_path / "videos", "json_path": tmp_path / "keypoints", "out_path": tmp_path / "out"}
    return Namespace(
        **{name: str(path) for name, path in paths.items()},
        ref_3d_motion_path=None,
        predictions=None,
        overwrite=False,
        focus="1",
    )


def test_each_video_takes_the_keypoints_of_its_name(flags, tmp_path):
    found = [(run.vid_path, run.json_path, run.out_path, run.focus) for run in runs_of_folder(flags)]
    expected = [
        (f"videos/{video}", f"keypoints/{keypoints}", f"out/{video[0]}")
        for video, keypoints in (("a.mp4", "a.json"), ("b.MOV", "results_b.json"), ("c.mkv", "c"))
    ]
    assert found == [(*(str(tmp_path / name) for name in names), "1") for names in expected]
    (tmp_path / "keypoints/c/alphapose-results.json").write_text("")
    assert runs_of_folder(flags)[2].json_path == str(tmp_path / "keypoints/c/alphapose-results.json")


def test_a_video_and_a_folder_of_images_are_one_run(flags, tmp_path):
    assert runs_of_folder(Namespace(vid_path=None)) is None
    assert runs_of_folder(Namespace(vid_path=str(tmp_path / "videos/a.mp4"))) is None
    (tmp_path / "images").mkdir()
    (tmp_path / "images/0.jpg").write_text("")
    flags.vid_path = str(tmp_path / "images")
    assert runs_of_folder(flags) is None


@pytest.mark.parametrize(
    ("file", "told"),
    [
        ("videos/d.mp4", "no keypoints for 1 of 4 videos (d). Expected d.json or d.npz or d or results_d.json there"),
        ("keypoints/a.npz", "a.json and a.npz may both be of a. Leave one"),
        ("videos/a.avi", "two videos are called a. Rename one"),
        ("videos/0.png", "holds videos and images (a.mp4, 0.png)"),
    ],
)
def test_what_does_not_go_together_is_refused_before_anything_runs(file, told, flags, tmp_path):
    (tmp_path / file).write_text("")
    with refused() as caught:
        runs_of_folder(flags)
    assert told in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_empty_folders_and_single_files_are_refused(flags, tmp_path):
    with refused("expected a folder of each video's keypoints"):
        runs_of_folder(Namespace(**vars(flags) | {"json_path": str(tmp_path / "keypoints/a.json")}))
    with refused("--ref_3d_motion_path is of one person in one video"):
        runs_of_folder(Namespace(**vars(flags) | {"ref_3d_motion_path": "x.npy"}))
    (tmp_path / "empty").mkdir()
    with refused("holds neither videos nor images"):
        runs_of_folder(Namespace(**vars(flags) | {"vid_path": str(tmp_path / "empty")}))


def test_one_summary_of_all_and_a_failure_keeps_nobody_else_from_it(flags, tmp_path):
    def run_one(run):
        if run.vid_path.endswith("b.MOV"):
            raise UserError("b.MOV: not a video")
        return {"frames": 7, "inputs": inputs_of(run)}

    with refused(r"1 of 3 videos failed \(b\.MOV\); the others are written\. .+summary\.json says"):
        run_all(flags, runs_of_folder(flags), run_one)
    summary = json.loads((tmp_path / "out/summary.json").read_text())
    assert list(summary["videos"]) == ["a.mp4", "b.MOV", "c.mkv"]
    assert summary["videos"]["b.MOV"] == {"error": "b.MOV: not a video"}
    assert summary["videos"]["c.mkv"]["folder"] == "c" and summary["videos"]["c.mkv"]["frames"] == 7
    run_all(flags, runs_of_folder(flags), lambda run: {})  # again, into the same folder
    assert "error" not in json.loads((tmp_path / "out/summary.json").read_text())["videos"]["b.MOV"]


def test_another_inputs_results_are_kept_unless_told(flags, tmp_path):
    run, other = runs_of_folder(flags)[:2]
    other.out_path = run.out_path
    folder = claim_folder(run)
    for name in ("1.npz", "mesh.mp4", "mine.txt"):
        (folder / name).write_text("")
    (tmp_path / "out/outside.txt").write_text("")
    held = ["1.npz", "mesh.mp4", "../outside.txt", "gone.glb", "", ".."]
    write_summary(folder, {"inputs": inputs_of(run), "files": held})
    assert claim_folder(run) == folder
    remove_other_results(run)
    assert (folder / "1.npz").exists()
    refuses(r"a: holds the results of .+a\.mp4\. Give another folder, or --overwrite", claim_folder, other)
    other.overwrite = True
    assert claim_folder(other) == folder and (folder / "1.npz").exists()  # until there is something to replace it by
    remove_other_results(other)
    assert sorted(path.name for path in folder.iterdir()) == ["mine.txt", "summary.json"]
    assert (tmp_path / "out/outside.txt").exists()


@pytest.mark.parametrize("flag", ["json_path", "predictions", "a folder of predictions"])
def test_results_that_a_run_reads_are_not_replaced_by_it(flag, flags, tmp_path):
    """Such as bodies that are to be fitted once more, into the folder that they are from."""
    run = runs_of_folder(flags)[0]
    folder = claim_folder(run)
    (folder / "0.npz").write_text("")
    write_summary(folder, {"inputs": inputs_of(run), "files": ["0.npz"]})
    assert claim_folder(run) == folder
    setattr(run, flag.split()[-1], str(folder if flag.startswith("a folder") else folder / "0.npz"))
    run.overwrite = True
    with pytest.raises(UserError, match=r"out/a/0.npz: is read here, too, and would be replaced. Name another file"):
        claim_folder(run)
    with pytest.raises(UserError, match=r"out/a/0.npz: is read here, too"):
        require_other_results(run, ["1.npz", "0.npz"])


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"inputs": 3}', "[" * 100_000])
def test_a_summary_that_says_nothing_is_nobodys(content, flags):
    folder = claim_folder(flags)
    (folder / "summary.json").write_text(content)
    assert claim_folder(flags) == folder
