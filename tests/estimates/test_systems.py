"""Every system's file, in the layout that its program writes, comes back as the bodies that went into it."""

import pickle
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from kinemesh.body.params import params_from_axis_angle, rotations_from_axis_angle
from kinemesh.estimates.from_points import MHR_POINTS
from kinemesh.estimates.linking import link
from kinemesh.estimates.predictions import load_predictions
from kinemesh.fit.landmarks import BodyPoints
from kinemesh.geometry.rotation import axis_angle_to_matrix, matrix_to_axis_angle, rotation_angle
from tests.refusals import refuses
from tools.fuzz import estimators
from tools.fuzz import estimators_of_smplx as of_smplx
from tools.fuzz.people import Files, People, npz, objects, saved, torch_bytes

FRAMES = 6
LEVEL = {estimators.amass_in_a_world}  # what comes back is as before a level camera, whichever way it looks
NAMED_FROM_ONE = {estimators.hybrik, of_smplx.hybrik_x}
ALL = (*estimators.OF_EVERYBODY, *estimators.OF_ONE, *of_smplx.OF_SMPLX)


@pytest.fixture(scope="module")
def people() -> People:
    """Two people side by side, upright before the camera."""
    rng = np.random.default_rng(3)
    poses = rng.normal(0, 0.3, (2, FRAMES, 72)).astype("f4")
    poses[..., 66:] = 0
    turn = axis_angle_to_matrix(torch.tensor([np.pi, 0.0, 0.0]))
    root = turn.float() @ axis_angle_to_matrix(torch.from_numpy(poses[..., :3]))
    poses[..., :3] = matrix_to_axis_angle(root).numpy()
    places_m = np.array([[[side, 0.1, 4 + 0.1 * frame] for frame in range(FRAMES)] for side in (-0.8, 0.8)], np.float32)
    return People("walk", poses, rng.normal(0, 1, (2, 10)).astype("f4"), places_m, 25.0)


@pytest.fixture
def write(tmp_path):
    def write_them(files: Files):
        shutil.rmtree(tmp_path / "given", ignore_errors=True)
        for name, content in files.items():
            path = tmp_path / "given" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return tmp_path / "given"

    return write_them


def apart(poses: np.ndarray, others: np.ndarray) -> float:
    """The largest angle between two poses' rotations."""
    one, other = (rotations_from_axis_angle(torch.from_numpy(each)) for each in (poses, others))
    return float(rotation_angle(one.mT @ other).max())


@pytest.mark.parametrize("layout", ALL, ids=lambda layout: layout.__name__)
def test_bodies_come_back_from_the_layout(layout, people, write, caplog):
    caplog.set_level("INFO")
    loaded = load_predictions(write(layout(people)))
    expected = 2 if layout in (*estimators.OF_EVERYBODY, of_smplx.prompthmr, of_smplx.pymaf_x) else 1
    assert [track.video for track in loaded.tracks] == ["walk"] * expected
    assert len({track.person for track in loaded.tracks}) == expected
    is_smplx = layout in of_smplx.OF_SMPLX
    for number in range(expected):
        rows = loaded.track == number
        assert loaded.frame[rows].tolist() == list(range(FRAMES))
        if layout not in LEVEL:
            assert apart(loaded.poses[rows], people.poses[number]) < 1e-3
        np.testing.assert_allclose(loaded.poses[rows, 3:], people.poses[number, :, 3:], atol=2e-5)
        betas = np.zeros(10) if is_smplx else people.betas[number]
        np.testing.assert_allclose(loaded.betas[rows], np.tile(betas, (FRAMES, 1)), atol=1e-6)
    assert {*np.nan_to_num(loaded.fps, nan=-1.0)} in ({25.0}, {-1.0})
    assert ("SMPL-X's betas are not SMPL's: mean shape" in caplog.text) == is_smplx
    assert all(note in caplog.text for note in loaded.notes) and (bool(loaded.notes) >= is_smplx)
    assert ("taken as frame 0" in caplog.text) == (layout in NAMED_FROM_ONE)


def test_rates_are_those_that_files_name(people, write):
    of_ours = estimators.tracks, estimators.amass_smplh, estimators.smplcodec
    for layout in (*of_ours, of_smplx.amass_smplx, of_smplx.gvhmr_npz):
        assert {*load_predictions(write(layout(people))).fps} == {25.0}


def test_a_world_without_a_camera_comes_before_a_level_one(people, write):
    loaded = load_predictions(write(estimators.amass_in_a_world(people)))
    root, true = (axis_angle_to_matrix(torch.from_numpy(each[:, :3])) for each in (loaded.poses, people.poses[0]))
    turn = root @ true.mT
    np.testing.assert_allclose(turn, turn[:1].expand_as(turn), atol=1e-5)
    np.testing.assert_allclose(turn[0] @ torch.tensor([0.0, 1.0, 0.0]), [0, 1, 0], atol=1e-5)
    assert loaded.world_tracks == {0} and "(z up) and no camera: as before a level one" in loaded.notes[0]


def test_sam_3d_body_is_fitted_to_its_keypoints(people, write, assets, caplog):
    caplog.set_level("INFO")
    body = BodyPoints(assets, tuple(MHR_POINTS))
    poses = people.poses.copy()
    poses[..., 3:] *= 0.5
    rotations = rotations_from_axis_angle(torch.from_numpy(poses.reshape(-1, 72)))
    places = body.places(rotations, torch.from_numpy(people.shapes.reshape(-1, 10)))
    points_m = np.zeros((2 * FRAMES, 70, 3), np.float32)
    points_m[:, list(MHR_POINTS.values())] = places.numpy()
    path = write(estimators.sam3d(people, points_m.reshape(2, FRAMES, 70, 3)))
    loaded = load_predictions(path, lambda: assets)
    assert loaded.frame.tolist() == [*range(FRAMES)] * 2 and len(loaded.tracks) == 2
    found = body.places(rotations_from_axis_angle(torch.from_numpy(loaded.poses)), torch.from_numpy(loaded.betas))
    left = (found - found.mean(1, keepdim=True)) - (places - places.mean(1, keepdim=True))
    assert left.norm(dim=2).mean() < 0.01
    assert "SMPL's body fitted to 23 of MHR's keypoints" in caplog.text
    refuses("holds 23 of MHR's keypoints, which need a body to fit", load_predictions, path)


@pytest.mark.parametrize("layout", estimators.OF_VERTICES, ids=lambda layout: layout.__name__)
def test_bodies_are_fitted_to_vertices_alone(layout, people, write, assets, posed_body, caplog):
    caplog.set_level("INFO")
    params = params_from_axis_angle(torch.from_numpy(people.poses[0]), torch.from_numpy(people.shapes[0]))
    vertices_m = posed_body(params).vertices_mm.numpy() / 1000 + people.places_m[0][:, None]
    loaded = load_predictions(write(layout(people, vertices_m)), lambda: assets)
    assert [track.video for track in loaded.tracks] == ["walk"] and loaded.frame.tolist() == [*range(FRAMES)]
    assert apart(loaded.poses, people.poses[0]) < 0.02
    np.testing.assert_allclose(loaded.betas, people.shapes[0], atol=0.01)
    assert "SMPL's body fitted to the vertices of SMPL's mesh, 0 mm from them" in caplog.text
    assert bool(loaded.world_tracks) == ("(y up) and no camera" in caplog.text) == (layout is estimators.objs)


def test_meshes_beside_poses_are_left_out(people, write, caplog):
    """WHAM, VIBE and others write OBJs to look at."""
    caplog.set_level("INFO")
    loaded = load_predictions(write(estimators.wham(people) | estimators.objs(people)))
    assert len(loaded.tracks) == 2 and f"{FRAMES} files of vertices left out" in caplog.text


@pytest.mark.parametrize(
    ("scale", "fault"), [(2, "no body is nearer than"), (1e4, "vertices go beyond 1000. Expected metres")]
)
def test_vertices_that_are_no_body_s_are_an_error(scale, fault, people, write, assets):
    cloud = np.random.default_rng(0).normal(0, scale, (2, 6890, 3)).astype("f4")
    refuses(fault, load_predictions, write(estimators.vertices(people, cloud)), lambda: assets)


@pytest.mark.parametrize(
    "files",
    [
        {"walk.obj": b"v 0 0 0\n"},
        {"walk.npz": npz(vertices=np.zeros((2, 10475, 3)))},
        {"walk.npy": saved(lambda file: np.save(file, np.zeros((2, 10475, 3))))},
    ],
)
def test_another_mesh_is_not_recognised(files, people, write, caplog):
    assert load_predictions(write(estimators.predictions(people) | files)).tracks
    assert re.search("skipped: .*: not recognised, it holds", caplog.text)


def test_people_without_names_are_told_apart_by_where_they_are():
    """They leave, come back, and pass behind one another."""
    frame = np.repeat(np.arange(40), 2)
    x = np.stack((np.linspace(-1, 1, 40), np.linspace(1, -1, 40)), axis=1)
    places = np.stack((x, np.zeros_like(x), np.full_like(x, 4.0) + np.array([0.0, 2.5])), axis=2).reshape(-1, 3)
    true = np.tile([0, 1], 40)
    kept = np.ones(80, dtype=bool)
    kept[20:30] = False  # nobody
    kept[[41, 43, 45]] = False  # only the first
    order = np.random.default_rng(0).permutation(np.flatnonzero(kept))
    found = link(frame[order], places[order].astype(np.float32))
    assert len({*zip(found.tolist(), true[order].tolist(), strict=True)}) == 2
    assert link(np.array([0, 100]), places[[0, 0]]).tolist() == [0, 1]  # too long ago to be the same


def test_of_a_folder_what_is_no_estimate_is_skipped_and_named(people, write, caplog):
    """TRAM's camera, GVHMR's intermediate tensors, and arrays of something else, beside people of one video."""
    unknown = {"walk/camera.npy": estimators.tram(people)["walk/camera.npy"], "walk/features.npz": npz(a=np.zeros(3))}
    unknown["walk/results.npz"] = npz(results=objects({"a": 1}))
    # More than data: a model, a file of another program, objects of somebody's classes.
    refused = {
        "walk/model.pt": torch_bytes(torch.nn.Linear(1, 1)),
        "walk/track.npy": saved(lambda file: np.save(file, objects(Path()))),
    }
    refused |= {"walk/state.pkl": pickle.dumps(Path("a")), "walk/scene.pt": b"scene"}
    folder = write(estimators.wham(people) | unknown | refused)
    assert len(load_predictions(folder).tracks) == 2
    for name in unknown:
        assert f"{name.removeprefix('walk/')}: not recognised, it holds" in caplog.text
    for name in refused:
        told = f"skipped: .*{name.removeprefix('walk/')}(: refused, nothing in it was run| is not a pickle)"
        assert re.search(told, caplog.text)


def test_people_that_prompthmr_writes_twice_are_read_once(people, write):
    """Before the camera in one file, and in a world in a file each."""
    loaded = load_predictions(write(of_smplx.prompthmr(people) | of_smplx.smplcodec_x(people)))
    assert len(loaded.tracks) == 2 and not loaded.world_tracks


@pytest.mark.parametrize("kept_bytes", [0, 200])
def test_of_a_folder_a_file_that_was_not_copied_whole_is_an_error(kept_bytes, people, write):
    whole = estimators.wham(people)
    folder = write(whole | {"walk/more.pkl": whole["walk/wham_output.pkl"][:kept_bytes]})
    refuses("more.pkl (is empty|ends early|is damaged)", load_predictions, folder)


def changed(layout, change):
    """The layout's only file, a pickle of no tensors, with something changed in it."""

    def files(people: People) -> Files:
        ((name, content),) = layout(people).items()
        held = pickle.loads(content)
        change(held)
        return {name: pickle.dumps(held, 4)}

    return files


FAULTS = {
    "betas of nobody": (lambda people: {"a.npz": npz(poses=people.poses[0], betas=np.zeros(5))}, r"'betas' is an array of float64 of shape \(5,\). Expected 10 or more numbers"),
    "another model's joints": (lambda people: estimators.smplcodec_file(people, np.zeros((6, 46)), np.zeros(10), smplVersion=np.int32(5)), r"'smplVersion' is 5, 'gender' 0. Expected 0, 1 or 2: SMPL"),
    "no poses": (lambda people: {"a.npz": npz(poses=people.poses[0, :, :70])}, r"has no 'poses', and no 'root_orient' and 'pose_body'"),
    "a rate": (lambda people: {"a.npz": npz(poses=people.poses[0], fps=np.zeros(2))}, r"'fps' is float64 of shape \(2,\). Expected one number"),
    "one person's frames": (changed(estimators.wham_api, lambda held: held[1].update(frame_id=np.arange(2))), r"person '1' 'poses_root_cam' has 6 rows. Expected as many as there are frames, 2"),
    "no root": (changed(estimators.wham_api, lambda held: held[1].pop("poses_root_cam")), r"person '1' 'poses_root_cam' is missing"),
    "lists": (lambda people: {"a.pkl": pickle.dumps({"pose": [1], "betas": [], "trans": []})}, r"'pose', 'betas', 'trans' are not lists of one length"),
    "nobody": (lambda people: {"a.pkl": pickle.dumps({"pose": [np.zeros((0, 72))], "betas": [0], "trans": [0]})}, r"no frame has a body. Expected at least one"),
    "a crowd": (lambda people: {"a.npz": npz(imgname=np.array(["1.jpg"] * 201), pose=np.zeros((201, 72)), shape=np.zeros((201, 10)), global_t=np.zeros((201, 3)))}, r"has 201 people in a frame. Expected at most 200"),
    "centimetres": (lambda people: estimators.sam3d(people, np.full((2, FRAMES, 70, 3), 100.0, "f4")), r"'pred_keypoints_3d' goes beyond 10. Expected metres"),
    "no camera": (changed(lambda people: {"a.pkl": pickle.dumps({"people": {1: of_smplx._prompthmr_person(people, 0, "smplx_world")}})}, lambda held: None), r"'camera_world' is missing"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_one_line(fault, people, write):
    make, message = FAULTS[fault]
    refuses(message, load_predictions, write(make(people)))
