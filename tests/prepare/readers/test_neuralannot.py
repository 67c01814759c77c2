"""Human3.6M and MPI-INF-3DHP by their JSON: bodies stand before each camera where they stood in the world."""

import json

import numpy as np
import pytest

from kinemesh.errors import UserError
from tests.prepare.readers.conftest import FRAME_COUNT, K

SIZES = [[1000, 1002], [1000, 1000]]
SHIFT = np.array([-460, -40])  # to the middle of such pictures


def world_joints(scene) -> np.ndarray:
    """(F, 17, 3) mm."""
    return (np.linalg.inv(scene.camera[0])[:3, :3] @ (scene.joints_m - scene.camera[0, :3, 3]).swapaxes(1, 2)).swapaxes(
        1, 2
    ) * 1000


def fits_of(scene, frames) -> dict:
    return {
        str(frame): {
            "pose": scene.poses[row].tolist(),
            "shape": scene.betas.tolist(),
            "trans": scene.trans[row].tolist(),
        }
        for row, frame in enumerate(frames)
    }


def camera_of(scene, focal: str, centre: str) -> dict:
    R, t = scene.camera[0, :3, :3], scene.camera[0, :3, 3] * 1000
    return {"R": R.tolist(), "t": t.tolist(), focal: [K[0, 0], K[1, 1]], centre: (K[:2, 2] + SHIFT).tolist()}


@pytest.fixture
def write_h36m(make_scene, tmp_path):
    """Writes a subject as I2L-MeshNet's `data/Human36M` and NeuralAnnot's `Human3.6M/demo_smpl.py` read it."""

    def _write(subject=1, *, joints=lambda joints: joints, step=1):
        (tmp_path / "raw").mkdir(exist_ok=True)
        scene = make_scene(stands=True)
        frames = range(0, FRAME_COUNT * step, step)
        measured = joints(world_joints(scene))
        content = {
            "smpl_param": {"2": {"1": fits_of(scene, frames)}},
            "camera": {str(number): camera_of(scene, "f", "c") for number in (1, 2)},
            "joint_3d": {"2": {"1": {str(frame): measured[row].tolist() for row, frame in enumerate(frames)}}},
        }
        for kind, values in content.items():
            (tmp_path / f"raw/Human36M_subject{subject}_{kind}.json").write_text(json.dumps(values))
        return scene

    return _write


def test_bodies_of_human36m_lie_where_their_joints_were_measured(write_h36m, prepare, loaded, shown_px):
    scene = write_h36m(1)
    write_h36m(9)
    expected = np.concatenate([scene.px, scene.px]) + SHIFT
    summary = prepare("h36m")
    assert np.abs(shown_px() - expected).max() < 0.1
    assert summary.mean("joints", "mm") < 0.1
    train, test = loaded().train, loaded().test
    assert train.video_names == ["S1_Directions_1.54138969", "S1_Directions_1.55011271"]
    assert train.image_size[[0, -1]].tolist() == SIZES
    assert test.video_actions == ["Directions", "Directions"]
    prepare("h36m", "mesh_det_h36m.pkl")
    released = loaded("h36m", "mesh_det_h36m.pkl", None)
    # Keypoints are projected, with errors, as the set has none.
    off = np.linalg.norm(released.train.keypoints_px.numpy() - expected, axis=-1)
    assert 0.5 < np.median(off) < 30
    assert released.test.video_names == ["S9_Directions_1.54138969", "S9_Directions_1.55011271"]


def test_fits_that_are_off_and_joints_in_another_order_are_left_out(write_h36m, prepare, loaded):
    def moved(joints):
        joints = joints.copy()
        joints[[1, 3], 13] += [0, 500, 0]  # a wrist: more than 25 mm on the mean of 17 joints
        return joints

    write_h36m(1, joints=moved, step=5)
    summary = prepare("h36m")
    assert summary.dropped == {"fits more than 25 mm off the measured joints": 4}
    assert loaded().train.video_lengths.tolist() == [1, 1, FRAME_COUNT - 4] * 2  # every fifth frame has no gap
    # Left leg first, as SPIN takes them.
    write_h36m(1, joints=lambda joints: joints[:, [0, 4, 5, 6, 1, 2, 3, *range(7, 17)]])
    with pytest.raises(UserError, match="can be used: dropped: "):
        prepare("h36m", "again")


def test_bodies_of_mpi_inf_3dhp(make_scene, prepare, loaded, shown_px, tmp_path):
    """NeuralAnnot's MPI-INF-3DHP/demo_smpl.py."""
    scene = make_scene(stands=True)
    joints = np.zeros((FRAME_COUNT, 28, 3))
    joints[:, [4, 23, 24, 25, 18, 19, 20, 3, 5, 6, 7, 9, 10, 11, 14, 15, 16]] = world_joints(scene)
    files = {
        "SMPL_NeuralAnnot": {"1": {"1": fits_of(scene, range(FRAME_COUNT))}},
        "camera_1k": {"1": {"1": {"0": camera_of(scene, "focal", "princpt")}}},
        "joint_3d": {"1": {"1": {str(frame): joints[frame].tolist() for frame in range(FRAME_COUNT)}}},
        "1k": {"images": [{"id": 0, "width": 1024, "height": 1024, "file_name": "a.jpg"}], "annotations": []},
    }
    (tmp_path / "raw").mkdir()
    for kind, values in files.items():
        (tmp_path / f"raw/MPI-INF-3DHP_{kind}.json").write_text(json.dumps(values))
    prepare("mpi_inf_3dhp")
    assert np.abs(shown_px() - scene.px - SHIFT).max() < 0.1
    assert loaded().train.video_names == ["S1_Seq1_0"] and loaded().train.image_size.tolist() == [1024, 1024]
    (tmp_path / "raw/MPI-INF-3DHP_joint_3d.json").unlink()
    with pytest.raises(UserError, match="MPI-INF-3DHP_joint_3d.json is missing. Expected it, of NeuralAnnot's"):
        prepare("mpi_inf_3dhp", "again")
