"""Prepared data trains, goes on after it was stopped, and says what its keypoints are."""

import json

import numpy as np
import pytest

from kinemesh.errors import UserError
from kinemesh.files.array_folder import writing
from kinemesh.prepare.datasets.json_stream import stream_json
from kinemesh.prepare.datasets.keypoints import KeypointFile, Seen, prove
from kinemesh.prepare.datasets.sequences import PreparedSequence
from kinemesh.prepare.datasets.sources import SOURCES
from kinemesh.program.cli import main as run_script
from kinemesh.program.commands.prepare import DATASET_SOURCES
from kinemesh.program.console import main
from kinemesh.program.flags.training import REGRESSOR
from tests.prepare.readers.test_pw3d import write
from tools.published.scene import FRAME_COUNT, K
from tools.published.videos import write_aist, write_emdb

__all__ = ["write"]


def test_a_run_trains_on_what_was_prepared(write, write_config, body_root, tmp_path, capsys):
    """From the download to a checkpoint, by the commands that a user types."""
    write(genders=("n", "n"))
    write("test", "office_00", ("n",))
    out = tmp_path / "mesh_det_pw3d.pkl"
    places = ("--raw", str(tmp_path / "raw"), "--out", str(out), "--data_root", str(body_root))
    assert main(["prepare", "3dpw", *places, "--dry_run"]) == 0 and not out.exists()
    assert main(["prepare", "3dpw", *places]) == 0
    said = capsys.readouterr().out
    assert f"train: {2 * FRAME_COUNT} frames" in said and "keypoints are coco18: the projected body lies" in said
    changes = {"dt_file_h36m": None, "dt_file_coco": None, "dt_file_pw3d": str(out), "epochs": 1, "data_stride": 4}
    config = write_config("MB_demo.yaml", changes)
    assert run_script(REGRESSOR, ["--config", config, "--checkpoint", str(tmp_path / "run")]) == 0, (
        capsys.readouterr().err
    )
    assert (tmp_path / "run/best_epoch.bin").is_file()
    assert main(["prepare", "3dpw", *places, "--up", "z"]) == 2
    assert main(["prepare", "3dpw", *places]) == 2 and "is there already" in capsys.readouterr().err


def test_without_smpl_one_line_says_what_to_do_and_the_stand_in_does_it(make_scene, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_aist(tmp_path / "raw", make_scene(stands=True, is_mean=True))
    write_emdb(tmp_path / "emdb", make_scene("female"))
    command = ["prepare", "aist", "--raw", "raw", "--out", "out"]
    assert main(command) == 2 and not (tmp_path / "out").exists()
    assert "data/mesh/SMPL_NEUTRAL.pkl not found" in (said := capsys.readouterr().err) and "--stand_in" in said
    assert main([*command, "--stand_in"]) == 0
    assert json.loads((tmp_path / "out/manifest.json").read_text())["provenance"]["body_model"] == "stand-in, not SMPL"
    assert main(["prepare", "emdb", "--raw", "emdb", "--out", "other", "--stand_in"]) == 2
    assert "the stand-in has no female body to be refitted to. Give --betas ignore" in capsys.readouterr().err


def test_every_source_of_the_table_is_a_word_of_the_command():
    assert set(DATASET_SOURCES) == set(SOURCES)


def test_stopped_work_goes_on_to_the_same_folder(write, prepare, tmp_path, monkeypatch):
    for number in range(3):
        write("test", f"office_{number:02d}", ("n",))
    prepare("3dpw", "whole")
    monkeypatch.setattr(writing, "_COMMITTED_EVERY_S", -1.0)
    from kinemesh.prepare.datasets import sources

    source, seen = sources.SOURCES["3dpw"], []

    def stopping(item, place):
        seen.append(item.name)
        if len(seen) == 2:
            raise KeyboardInterrupt
        return source.read(item, place)

    monkeypatch.setitem(sources.SOURCES, "3dpw", source._replace(read=stopping))
    with pytest.raises(KeyboardInterrupt):
        prepare("3dpw")
    assert not (tmp_path / "out").exists()
    prepare("3dpw")
    assert [seen.count(f"test/office_{number:02d}") for number in range(3)] == [1, 2, 1]
    whole, gone_on = (json.loads((tmp_path / name / "manifest.json").read_text()) for name in ("whole", "out"))
    assert whole == gone_on


def test_a_file_that_ends_early_behind_what_was_read_is_an_error(write, prepare, tmp_path, monkeypatch):
    """Half of a file is no dataset: nothing is left."""
    from kinemesh.prepare.datasets import sources

    source = sources.SOURCES["3dpw"]

    def half(item, place):
        yield from source.read(item, place)
        raise UserError(f"{item.name} ends early")

    write("test", "office_00", ("n",))
    monkeypatch.setitem(sources.SOURCES, "3dpw", source._replace(read=half))
    with pytest.raises(UserError, match="office_00 ends early"):
        prepare("3dpw")
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]


@pytest.mark.parametrize("order", ["h36m17", "coco17"])
def test_the_order_of_joints_is_the_one_in_which_the_body_lies_on_them(order, make_scene):
    scene = make_scene()
    seen = Seen(scene.px, np.ones(scene.px.shape[:2]), np.ptp(scene.px, axis=1).max(axis=1))
    points = scene.keypoints(order)
    other = "coco17" if order == "h36m17" else "h36m17"
    for said in (order, other):
        mapped, proof = prove(points, said, seen)
        assert proof.joint_order == order and not proof.is_mirrored
        np.testing.assert_allclose(mapped[:, 1:7, :2], scene.px[:, 1:7])
    if order == "h36m17":  # SPIN's, whose left leg comes first
        _, proof = prove(points[:, [0, 4, 5, 6, 1, 2, 3, *range(7, 17)]], "h36m17", seen)
        assert proof.joint_order == "h36m17, left leg first" and proof.error_px < 0.01


def test_pictures_are_found_by_the_number_that_ends_their_name(make_scene, tmp_path):
    """As in COCO's own result files."""
    scene, numbers = make_scene(), [9, 581929]
    entries = [
        {"image_id": number, "category_id": 1, "keypoints": points.ravel().tolist(), "score": 0.9}
        for number, points in zip(numbers, scene.keypoints("coco17"), strict=False)
    ]
    (tmp_path / "results.json").write_text(json.dumps(entries))
    sequence = PreparedSequence(
        "x", np.arange(3), np.array([1920, 1080]), K, scene.root[:3], scene.betas, scene.camera_trans[:3], "train",
        pictures=[f"COCO_train2014_{number:012d}" for number in (*numbers, 25)],
    )  # fmt: skip
    seen = Seen(scene.px[:3], np.ones((3, 17)), np.ptp(scene.px[:3], axis=1).max(axis=1))
    points, order = KeypointFile(tmp_path / "results.json", 0).of(sequence, seen)
    assert order == "coco17" and not points[2].any()
    np.testing.assert_allclose(points[:2], scene.keypoints("coco17")[:2], rtol=1e-5)


def test_json_is_read_an_entry_at_a_time(tmp_path, monkeypatch):
    content = {"info": {"a": 1}, "ver": 1.25, "list": [[1, 2], {"x": "é]}"}, -3.5e-2, None], "empty": [], "none": {}}
    path = tmp_path / "a.json"
    monkeypatch.setattr("kinemesh.prepare.datasets.json_stream._CHUNK", 3)
    for indent in (None, 2):
        path.write_text(json.dumps(content, indent=indent), encoding="utf-8")
        assert list(stream_json(path, "x")) == [
            ("info", "a", 1), ("ver", None, 1.25), *(("list", n, value) for n, value in enumerate(content["list"])),
        ]  # fmt: skip
    for text in (
        '{"a": [1, 2',
        '{"a": [1 2]}',
        "[",
        "",
        '{"a" 1}',
        '{"a": [tru]}',
        "3",
        "\udcff".encode("utf-8", "surrogateescape"),
    ):
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        with pytest.raises(UserError, match="a.json: .*Expected x"):
            list(stream_json(path, "x"))
    monkeypatch.setattr("kinemesh.prepare.datasets.json_stream._LONGEST", 100)
    path.write_text('{"a": ["' + "b" * 1000 + '"]}')
    with pytest.raises(UserError, match="holds an entry of more than"):
        list(stream_json(path, "x"))
