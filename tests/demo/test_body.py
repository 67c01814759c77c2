"""The stand-in body: its arrays are a body's, and its files are what readers of SMPL's files expect."""

import pickle

import numpy as np
import pytest
import scipy.sparse
import smplx
import torch

from kinemesh.body.skeleton import (
    H36M_MIRROR_ORDER,
    H36M_MIRROR_PAIRS,
    SMPL_JOINT_NAMES,
    SMPL_MIRROR_ORDER,
    SMPL_PARENTS,
)
from kinemesh.demo.body import MEAN_POSE_AXIS_ANGLE, STAND_IN_NOTE, load_stand_in, write_body_files
from kinemesh.geometry.rotation import matrix_to_axis_angle, rotation_6d_to_matrix
from tests.refusals import refused, refuses

FILES = {"SMPL_NEUTRAL.pkl", "J_regressor_h36m_correct.npy", "J_regressor_extra.npy", "smpl_mean_params.npz"}
MIRROR = np.array([-1.0, 1.0, 1.0])


@pytest.fixture(scope="module")
def body():
    return load_stand_in()


@pytest.fixture(scope="module")
def content(body_folder):
    with (body_folder / "SMPL_NEUTRAL.pkl").open("rb") as file:
        return pickle.load(file, encoding="latin1")


def read_all(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


class TestArrays:
    def test_shapes_and_types_are_smpls(self, body):
        assert {name: array.shape for name, array in body.items()} == {
            "v_template": (6890, 3),
            "faces": (13776, 3),
            "shapedirs": (6890, 3, 10),
            "posedirs": (6890, 3, 207),
            "skinning_weights": (6890, 24),
            "J_regressor": (24, 6890),
            "J_regressor_h36m": (17, 6890),
            "J_regressor_extra": (9, 6890),
        }
        assert body["faces"].dtype == np.int64
        assert all(array.dtype == np.float64 for name, array in body.items() if name != "faces")

    def test_skinning_weights_share_each_vertex_among_at_most_four_joints(self, body):
        weights = body["skinning_weights"]
        assert weights.min() >= 0
        np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-12)
        assert (weights > 0).sum(axis=1).max() <= 4

    @pytest.mark.parametrize("name", ["J_regressor", "J_regressor_h36m", "J_regressor_extra"])
    def test_regressors_are_weighted_means_of_vertices(self, body, name):
        assert body[name].min() >= 0
        np.testing.assert_allclose(body[name].sum(axis=1), 1, atol=1e-6)

    def test_surface_is_closed_and_faces_outwards(self, body):
        faces, vertices = body["faces"], body["v_template"]
        edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
        keys = edges[:, 0] * 6890 + edges[:, 1]
        assert len(np.unique(keys)) == len(keys)
        np.testing.assert_array_equal(np.sort(keys), np.sort(edges[:, 1] * 6890 + edges[:, 0]))
        a, b, c = (vertices[faces[:, i]] for i in range(3))
        litres = (a * np.cross(b, c)).sum() / 6 * 1000
        assert litres == pytest.approx(62.2, abs=0.1)

    def test_left_and_right_joints_mirror_one_another(self, body):
        differences = {}
        for name, order in (("J_regressor", SMPL_MIRROR_ORDER), ("J_regressor_h36m", H36M_MIRROR_ORDER)):
            joints = body[name] @ body["v_template"]
            differences[name] = np.abs(joints[list(order)] * MIRROR - joints).max(axis=1)
        # Collars and the joints of the spine differ by a few millimetres, the limbs that the metrics see by none.
        assert differences["J_regressor"].max() < 4e-3
        assert differences["J_regressor_h36m"].max() < 4e-3
        limbs = [joint for pair in H36M_MIRROR_PAIRS for joint in pair]
        assert differences["J_regressor_h36m"][limbs].max() < 2e-4

    def test_stands_upright_in_a_t_pose_facing_forwards(self, body):
        joints = dict(zip(SMPL_JOINT_NAMES, body["J_regressor"] @ body["v_template"], strict=True))
        assert joints["head"][1] > joints["pelvis"][1] > joints["left_knee"][1] > joints["left_ankle"][1]
        assert joints["left_wrist"][0] > joints["left_elbow"][0] > joints["left_shoulder"][0] > 0
        assert joints["left_wrist"][1] == pytest.approx(joints["left_shoulder"][1], abs=0.02)
        assert joints["left_foot"][2] > joints["left_ankle"][2] + 0.05

    def test_vertex_numbers_that_users_of_smpl_know_hold_the_right_landmarks(self, body):
        vertices = body["v_template"]
        joints = dict(zip(SMPL_JOINT_NAMES, body["J_regressor"] @ vertices, strict=True))
        nose, left_ear, right_ear, left_heel, left_big_toe, left_index = vertices[[332, 583, 4071, 3387, 3216, 2319]]
        assert nose[2] > joints["head"][2] + 0.08
        assert abs(nose[0]) < 0.005
        np.testing.assert_allclose(left_ear * MIRROR, right_ear, atol=5e-3)
        assert left_heel[2] < joints["left_ankle"][2] < joints["left_foot"][2] < left_big_toe[2]
        assert left_index[0] > joints["left_hand"][0] + 0.05

    def test_first_beta_is_stature(self, body):
        top, bottom = body["v_template"][:, 1].argmax(), body["v_template"][:, 1].argmin()
        assert body["shapedirs"][top, 1, 0] - body["shapedirs"][bottom, 1, 0] > 0.05


class TestFiles:
    def test_all_are_written_and_nothing_else(self, body_folder):
        assert {path.name for path in body_folder.iterdir()} == FILES

    def test_pickle_has_smpls_layout_and_says_in_its_first_bytes_that_it_is_not_smpl(self, body_folder, content, body):
        assert (body_folder / "SMPL_NEUTRAL.pkl").read_bytes()[:2] == b"\x80\x02"
        assert scipy.sparse.issparse(content["J_regressor"])
        assert content["J_regressor"].format == "csc"
        assert content["kintree_table"].dtype == np.uint32
        assert content["kintree_table"][0, 0] == 4294967295
        assert tuple(content["kintree_table"][0, 1:]) == SMPL_PARENTS[1:]
        assert content["kintree_table"][1].tolist() == list(range(24))
        assert content["f"].dtype == np.uint32
        assert (content["bs_type"], content["bs_style"]) == ("lrotmin", "lbs")
        np.testing.assert_allclose(content["J"], body["J_regressor"] @ body["v_template"], atol=1e-12)
        np.testing.assert_array_equal(content["weights"], body["skinning_weights"])
        assert "NOT SMPL" in STAND_IN_NOTE
        assert STAND_IN_NOTE.encode() in (body_folder / "SMPL_NEUTRAL.pkl").read_bytes()[:200]

    def test_smplx_reads_it_and_poses_it(self, body_folder, body):
        model = smplx.SMPL(model_path=str(body_folder / "SMPL_NEUTRAL.pkl"))
        betas = torch.linspace(-1, 1, 10)[None]
        with torch.no_grad():
            rest = model(betas=betas).vertices[0].numpy()
            turned = model(betas=betas, global_orient=torch.tensor([[0.0, torch.pi, 0.0]])).vertices[0].numpy()
        expected = body["v_template"] + body["shapedirs"] @ betas[0].numpy()
        np.testing.assert_allclose(rest, expected, atol=1e-5)
        pelvis = body["J_regressor"][0] @ expected
        np.testing.assert_allclose(turned - pelvis, (expected - pelvis) * [-1, 1, -1], atol=1e-5)
        assert np.array_equal(model.faces.astype(np.int64), body["faces"])

    def test_regressors_are_float32(self, body_folder, body):
        for name, key, count in (("h36m_correct", "J_regressor_h36m", 17), ("extra", "J_regressor_extra", 9)):
            stored = np.load(body_folder / f"J_regressor_{name}.npy")
            assert stored.shape == (count, 6890)
            assert stored.dtype == np.float32
            np.testing.assert_allclose(stored, body[key], atol=1e-7)

    def test_mean_pose_stands_upright_before_a_camera_whose_y_points_down(self, body_folder, body):
        with np.load(body_folder / "smpl_mean_params.npz") as mean:
            assert {name: (mean[name].shape, mean[name].dtype.name) for name in mean.files} == {
                "pose": ((144,), "float32"),
                "shape": ((10,), "float32"),
                "cam": ((3,), "float32"),
            }
            rotations = rotation_6d_to_matrix(torch.from_numpy(mean["pose"]).view(24, 6))
        np.testing.assert_allclose(rotations[0], np.diag([1.0, -1.0, -1.0]), atol=1e-6)
        np.testing.assert_allclose(matrix_to_axis_angle(rotations[1:]), MEAN_POSE_AXIS_ANGLE[1:], atol=1e-5)
        model = smplx.SMPL(model_path=str(body_folder / "SMPL_NEUTRAL.pkl"))
        pose = torch.from_numpy(MEAN_POSE_AXIS_ANGLE).float().view(1, 72)
        with torch.no_grad():
            vertices = model(global_orient=pose[:, :3], body_pose=pose[:, 3:]).vertices[0].numpy()
        joints = dict(zip(SMPL_JOINT_NAMES, body["J_regressor"] @ vertices, strict=True))
        assert joints["head"][1] < joints["pelvis"][1] < joints["left_ankle"][1]
        assert joints["left_wrist"][1] > joints["left_elbow"][1] > joints["left_shoulder"][1]
        assert vertices[332, 2] < joints["head"][2] - 0.08

    def test_mean_pose_can_be_given(self, tmp_path):
        pose = np.random.default_rng(0).normal(size=(24, 3)) * 0.5
        write_body_files(tmp_path / "made" / "on the way", pose)
        with np.load(tmp_path / "made" / "on the way" / "smpl_mean_params.npz") as mean:
            rotations = rotation_6d_to_matrix(torch.from_numpy(mean["pose"]).view(24, 6))
        np.testing.assert_allclose(matrix_to_axis_angle(rotations), pose, atol=1e-5)


class TestWriting:
    def test_files_that_are_right_are_not_touched_and_others_mended(self, tmp_path):
        write_body_files(tmp_path)
        before = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
        (tmp_path / "smpl_mean_params.npz").write_bytes(b"half")
        write_body_files(tmp_path)
        after = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
        assert {name for name in FILES if after[name] != before[name]} == {"smpl_mean_params.npz"}
        np.load(tmp_path / "smpl_mean_params.npz")

    @pytest.mark.parametrize("name", sorted(FILES))
    def test_another_body_is_never_overwritten(self, tmp_path, name):
        (tmp_path / name).write_bytes(b"the licensed model")
        with refused() as error:
            write_body_files(tmp_path)
        assert str(error.value) == (
            f"{tmp_path / name} exists and is not the stand-in body's: expected a folder without body-model files. "
            "Choose another data_root for the demo, or move that file away."
        )
        assert read_all(tmp_path) == {name: b"the licensed model"}

    def test_folder_that_cannot_be_made(self, tmp_path):
        (tmp_path / "file").write_text("")
        refuses(r"file/SMPL_NEUTRAL\.pkl: cannot be written", write_body_files, tmp_path / "file")
