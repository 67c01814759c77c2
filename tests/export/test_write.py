"""All formats of one video: which files there are, what the npz holds, and what is said of wrong arguments."""

import numpy as np
import pytest
import smplx
import torch

from kinemesh.body.smpl import PosedBody
from kinemesh.export.formats import FORMATS
from kinemesh.export.rig import params_of_rows
from kinemesh.export.scene import Footage
from kinemesh.export.write import OutputChoices, file_stems, summary_of_outputs, write_outputs
from kinemesh.structures import CONTACT_NAMES, Timeline, TrackWorld
from tests.export.conftest import FPS, TIMELINE, UNEVEN
from tests.refusals import refused, refuses

CPU = torch.device("cpu")


def write(tracks, camera, assets, folder, formats, timeline=TIMELINE, **choices) -> dict[str, float]:
    return write_outputs(tracks, folder, Footage(camera, timeline), OutputChoices(formats, **choices), assets, CPU)


@pytest.fixture(scope="module")
def archives(written, tracks):
    return [dict(np.load(written / f"{track.name}.npz", allow_pickle=False)) for track in tracks]


def test_files_are_named_by_person(written):
    expected = {"mesh.mp4", "sheet.png", "viewer.html"}
    expected |= {f"{name}.{ending}" for name in "12" for ending in ("npz", "glb", "bvh")}
    expected |= {"1_amass.npz", "2_amass.npz"}
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
        assert not {"global_orient_world", "trans_world", "ground", "contacts"} & arrays.keys()  # no world was found
        assert arrays["joints"].shape == (frame_count, 17, 3)
        np.testing.assert_allclose(arrays["joints"], assets.J_regressor_h36m @ vertices, atol=2e-6)


def test_amass_has_its_keys_and_its_axes(written, tracks, skinned):
    """Both releases' names; z up, from the camera's level; rows at one rate from the first to the last, gaps held."""
    for track in tracks:
        arrays = dict(np.load(written / f"{track.name}_amass.npz", allow_pickle=False))
        frames = np.arange(track.frame_ids[0], track.frame_ids[-1] + 1)
        assert arrays["poses"].shape == (len(frames), 156) and arrays["dmpls"].shape == (len(frames), 8)
        assert not arrays["poses"][:, 66:].any() and not arrays["dmpls"].any() and not arrays["betas"][10:].any()
        np.testing.assert_array_equal(arrays["betas"][:10], track.betas)
        np.testing.assert_array_equal(arrays["poses"][:, :3], arrays["root_orient"])
        np.testing.assert_array_equal(arrays["poses"][:, 3:66], arrays["pose_body"])
        assert float(arrays["mocap_framerate"]) == float(arrays["mocap_frame_rate"]) == FPS
        assert str(arrays["gender"]) == "neutral" and arrays["betas"].shape == (16,)
        poses = np.pad(arrays["poses"][:, :66], ((0, 0), (0, 6)))
        found = skinned(track._replace(poses=poses, trans_m=arrays["trans"]), False)[1]
        rows = np.searchsorted(track.frame_ids, frames, side="right") - 1
        expected = (skinned(track, False)[1] * [1, -1, -1])[rows][..., [0, 2, 1]] * [1, -1, 1]
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_npz_has_the_world_beside_the_cameras_axes(filmed, skinned, assets, tmp_path):
    """The same vertices from both, to 10 micrometres; what was not looked for has no key."""
    tracks, footage = filmed
    late = footage._replace(timeline=TIMELINE._replace(time_s=TIMELINE.time_s[10:], first_frame=10))
    for number, given in ((0, footage), (0, late), (1, late)):
        track, first = tracks[number], given.timeline.first_frame
        kept = np.flatnonzero(track.frame_ids >= first)[::9]
        fields = ("frame_ids", "poses", "trans_m", "confidence", "interpolated")
        part = track._replace(**{name: getattr(track, name)[kept] for name in fields})
        if track.world is not None:
            part = part._replace(world=TrackWorld(*(values[kept] for values in track.world)))
        write_outputs([part], tmp_path, given, OutputChoices(["npz", "bvh"]), assets, CPU)
        arrays = dict(np.load(tmp_path / f"{part.name}.npz", allow_pickle=False))
        np.testing.assert_array_equal(arrays["poses"], part.poses)
        np.testing.assert_array_equal(arrays["trans"], part.trans_m)
        assert (arrays["ground"], str(arrays["up"])) == (0.0, "given") and (("contacts" in arrays) == (number == 0))
        if number == 0:
            np.testing.assert_array_equal(arrays["contacts"], part.world.contacts)
            assert tuple(arrays["contact_names"]) == CONTACT_NAMES
        world_poses = np.concatenate([arrays["global_orient_world"], part.poses[:, 3:]], axis=1)
        found, _ = skinned(part._replace(poses=world_poses, trans_m=arrays["trans_world"]), True)
        turns = arrays["world_from_camera"]
        expected = skinned(part, True)[0] @ turns[..., :3].transpose(0, 2, 1) + turns[:, None, :, 3]
        np.testing.assert_allclose(found, expected, atol=1e-5)
        rows = np.minimum(part.frame_ids, len(footage.world.rotation) - 1)
        np.testing.assert_array_equal(turns[..., :3], footage.world.rotation[rows])
        # The other files begin with the part, and the camera's place with it.
        motion = (tmp_path / f"{part.name}.bvh").read_text().split("Frame Time:")[1].split("\n")[1:-1]
        root = np.array(motion[part.frame_ids[0] - first].split()[:3], dtype=float)
        pelvis = part.trans_m[0] + assets.J_regressor[0] @ (assets.v_template + assets.shapedirs @ part.betas)
        np.testing.assert_allclose(root, turns[0, :, :3] @ pelvis + turns[0, :, 3], atol=2e-5)


def test_the_summary_says_in_which_axes_things_stand(filmed, camera):
    _, footage = filmed
    world = summary_of_outputs(footage, OutputChoices(["bvh", "amass"], axes="z_up"))
    assert (world["axes"], world["stands_in"], world["ground_m"]) == ("z_up", "world", 0.0)
    assert world["amass"] == "z up; hands and betas 11 to 16 are zero: not estimated"
    said = footage._replace(world=footage.world._replace(up="camera"))
    assert summary_of_outputs(said, OutputChoices(["npz"]))["stands_in"] == "world"
    level = footage._replace(world=footage.world._replace(up="unknown", ground_m=None))
    for other in (
        summary_of_outputs(level, OutputChoices(["npz"])),
        summary_of_outputs(footage, OutputChoices(["npz"], axes="camera")),
        summary_of_outputs(Footage(camera, TIMELINE), OutputChoices(["npz"])),
    ):
        assert (other["stands_in"], other["ground_m"]) == ("camera", None) and "amass" not in other


def test_npz_keeps_numbers_and_times_of_the_whole_video(tracks, camera, assets, tmp_path):
    part = [track._replace(frame_ids=track.frame_ids + 100) for track in tracks]
    timeline = UNEVEN._replace(time_s=UNEVEN.time_s + 7.5, first_frame=100)
    write(part, camera, assets, tmp_path, (*FORMATS[3:], "npz"), timeline)
    write(tracks, camera, assets, tmp_path / "whole", FORMATS[3:], UNEVEN)
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
    formats = [name for name in FORMATS if name not in ("mp4", "sheet")]
    seconds = write(tracks, camera, assets, tmp_path / "new", formats)
    assert list(seconds) == formats and all(value >= 0 for value in seconds.values())
    for path in (tmp_path / "new").iterdir():
        assert path.read_bytes() == (written / path.name).read_bytes(), path.name


def test_only_the_formats_asked_for_even_of_nobody(tracks, camera, assets, tmp_path):
    one, nobody = tmp_path / "one", tmp_path / "nobody"
    assert list(write(tracks[:1], camera, assets, one, ["bvh"])) == ["bvh"]
    assert [path.name for path in one.iterdir()] == ["1.bvh"]
    write([], camera, assets, nobody, FORMATS, Timeline.of_constant_rate(FPS, 3), is_side_view=True)
    assert sorted(path.name for path in nobody.iterdir()) == ["mesh.mp4", "sheet.png", "viewer.html"]


def test_names_become_file_names_and_a_dot_is_kept(tracks, camera, assets, tmp_path):
    names = ["person 1", "../../etc/passwd", ".hidden", "Zoë", "a.b"]
    stems = file_stems([tracks[0]._replace(name=name) for name in names])
    assert stems == ["person_1", "_.._etc_passwd", "hidden", "Zo_", "a.b"]
    write([tracks[0]._replace(name="a.b")], camera, assets, tmp_path, ["npz", "glb"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.b.glb", "a.b.npz"]


def test_two_names_of_one_file_are_refused_before_anything_is_written(tracks, camera, assets, tmp_path):
    both = [tracks[0]._replace(name="a/b"), tracks[1]._replace(name="a b")]
    with refused(r"people 'a/b' and 'a b' would share the file name a_b\. Rename one in the input\."):
        write(both, camera, assets, tmp_path / "out", FORMATS)
    both = [tracks[0]._replace(name="a"), tracks[1]._replace(name="a_amass")]
    with refused(r"people 'a_amass' and 'a' would share the file name a_amass\.npz"):
        write(both, camera, assets, tmp_path / "out", FORMATS)
    assert not (tmp_path / "out").exists()


def test_an_unknown_format_is_named(tracks, camera, assets, tmp_path):
    with refused(r"--formats obj: no such format\. Expected some of npz, mp4, sheet, html, glb, bvh"):
        write(tracks, camera, assets, tmp_path, ["npz", "obj"])
    with refused("axes 'up': expected 'y_up' or 'z_up' or 'camera'"):
        write(tracks, camera, assets, tmp_path, ["npz"], axes="up")
    with refused("bvh_names 'cmu': expected 'smpl' or 'mixamo'"):
        write(tracks, camera, assets, tmp_path, ["npz"], bvh_names="cmu")


def test_a_folder_that_cannot_be_made(tracks, camera, assets, tmp_path):
    (tmp_path / "file").write_text("")
    refuses("cannot be written", write, tracks, camera, assets, tmp_path / "file" / "out", ["npz"])
