"""All formats of one video: which files there are, what the npz holds, and what is said of wrong arguments."""

import numpy as np
import pytest
import smplx
import torch

from kinemesh.body.smpl import PosedBody
from kinemesh.errors import UserError
from kinemesh.export.formats import FORMATS
from kinemesh.export.rig import params_of_rows
from kinemesh.export.write import file_stems, write_outputs
from kinemesh.structures import Timeline
from tests.export.conftest import FPS, TIMELINE, UNEVEN

CPU = torch.device("cpu")
OPTIONS = {"timeline": TIMELINE, "video_path": None, "is_side_view": False, "device": CPU}


@pytest.fixture(scope="module")
def archives(written, tracks):
    return [dict(np.load(written / f"{track.name}.npz", allow_pickle=False)) for track in tracks]


def test_files_are_named_by_person(written):
    expected = {"mesh.mp4", "viewer.html"} | {f"{name}.{ending}" for name in "12" for ending in ("npz", "glb", "bvh")}
    assert {path.name for path in written.iterdir()} == expected


def test_npz_holds_what_amass_files_hold_and_the_track(archives, tracks, camera, skinned, assets):
    for arrays, track in zip(archives, tracks, strict=True):
        frame_count = len(track.frame_ids)
        assert str(arrays["gender"]) == "neutral"
        assert float(arrays["mocap_framerate"]) == FPS
        np.testing.assert_array_equal(arrays["poses"], track.poses)
        np.testing.assert_array_equal(arrays["trans"], track.trans_m)
        for name in ("betas", "frame_ids", "confidence", "interpolated"):
            np.testing.assert_array_equal(arrays[name], getattr(track, name))
        assert arrays["interpolated"].dtype == bool
        np.testing.assert_array_equal(arrays["camera"], [camera.focal_px, *camera.centre_px, *camera.image_size])
        vertices, _ = skinned(track, True)
        assert arrays["joints"].shape == (frame_count, 17, 3)
        np.testing.assert_allclose(arrays["joints"], assets.J_regressor_h36m @ vertices, atol=2e-6)


def test_npz_keeps_numbers_and_times_of_the_whole_video(tracks, camera, assets, tmp_path):
    part = [track._replace(frame_ids=track.frame_ids + 100) for track in tracks]
    timeline = UNEVEN._replace(time_s=UNEVEN.time_s + 7.5, first_frame=100)
    write_outputs(part, camera, assets, tmp_path, formats=(*FORMATS[2:], "npz"), **OPTIONS | {"timeline": timeline})
    write_outputs(tracks, camera, assets, tmp_path / "whole", formats=FORMATS[2:], **OPTIONS | {"timeline": UNEVEN})
    for track in part:
        with np.load(tmp_path / f"{track.name}.npz") as arrays:
            np.testing.assert_array_equal(arrays["frame_ids"], track.frame_ids)
            np.testing.assert_allclose(arrays["time_s"], 7.5 + UNEVEN.time_s[track.frame_ids - 100])
    for path in (tmp_path / "whole").iterdir():  # the others begin with the part
        assert path.read_bytes() == (tmp_path / path.name).read_bytes(), path.name


def test_smplx_driven_by_the_npz_gives_the_same_vertices(archives, tracks, body_folder, assets):
    reference = smplx.create(str(body_folder / "SMPL_NEUTRAL.pkl"), "smpl", dtype=torch.float64)
    body = PosedBody(assets, dtype=torch.float64)
    for arrays, track in zip(archives, tracks, strict=True):
        poses, betas, trans = (torch.from_numpy(arrays[name]).double() for name in ("poses", "betas", "trans"))
        given = {"global_orient": poses[:, :3], "body_pose": poses[:, 3:], "transl": trans}
        with torch.no_grad():
            expected = reference(betas=betas.expand(len(poses), -1), **given).vertices.numpy()
        params = params_of_rows(track, slice(None), CPU)
        exact = params._replace(
            rotations=params_of_rows(track._replace(poses=track.poses.astype(np.float64)), slice(None), CPU).rotations,
            betas=params.betas.double(),
        )
        found = body(exact).vertices_mm.numpy() / 1000 + track.trans_m[:, None].astype(np.float64)
        assert np.abs(found - expected).max() < 1e-6  # m


def test_same_bytes_every_time(written, tracks, camera, assets, tmp_path):
    formats = [name for name in FORMATS if name != "mp4"]
    seconds = write_outputs(tracks, camera, assets, tmp_path / "new", formats=formats, **OPTIONS)
    assert list(seconds) == formats and all(value >= 0 for value in seconds.values())
    for path in (tmp_path / "new").iterdir():
        assert path.read_bytes() == (written / path.name).read_bytes(), path.name


def test_only_the_formats_asked_for(tracks, camera, assets, tmp_path):
    assert list(write_outputs(tracks[:1], camera, assets, tmp_path, formats=["bvh"], **OPTIONS)) == ["bvh"]
    assert [path.name for path in tmp_path.iterdir()] == ["1.bvh"]


def test_nobody_gives_a_page_and_a_video_all_the_same(camera, assets, tmp_path):
    options = OPTIONS | {"timeline": Timeline.of_constant_rate(FPS, 3), "is_side_view": True}
    write_outputs([], camera, assets, tmp_path, formats=FORMATS, **options)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mesh.mp4", "viewer.html"]


def test_names_become_file_names(tracks):
    names = ["person 1", "../../etc/passwd", ".hidden", "Zoë", "a.b"]
    stems = file_stems([tracks[0]._replace(name=name) for name in names])
    assert stems == ["person_1", "_.._etc_passwd", "hidden", "Zo_", "a.b"]


def test_a_dot_in_a_name_is_kept(tracks, camera, assets, tmp_path):
    write_outputs([tracks[0]._replace(name="a.b")], camera, assets, tmp_path, formats=["npz", "glb"], **OPTIONS)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.b.glb", "a.b.npz"]


def test_two_names_of_one_file_are_refused_before_anything_is_written(tracks, camera, assets, tmp_path):
    both = [tracks[0]._replace(name="a/b"), tracks[1]._replace(name="a b")]
    with pytest.raises(
        UserError, match=r"people 'a/b' and 'a b' would share the file name a_b\. Rename one in the input\."
    ):
        write_outputs(both, camera, assets, tmp_path / "out", formats=FORMATS, **OPTIONS)
    assert not (tmp_path / "out").exists()


def test_an_unknown_format_is_named(tracks, camera, assets, tmp_path):
    with pytest.raises(UserError, match=r"--formats obj: no such format\. Expected some of npz, mp4, html, glb, bvh"):
        write_outputs(tracks, camera, assets, tmp_path, formats=["npz", "obj"], **OPTIONS)


def test_a_folder_that_cannot_be_made(tracks, camera, assets, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        write_outputs(tracks, camera, assets, tmp_path / "file" / "out", formats=["npz"], **OPTIONS)
