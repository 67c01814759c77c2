"""SMPL files as they exist: Python 2 pickles with chumpy objects, 300 betas, npz; and files that are wrong."""

import os
import pickle
import shutil
import sys
import types

import numpy as np
import pytest
import scipy.sparse

from kinemesh.body.assets import load_body_assets, read_smpl
from kinemesh.demo.body import load_stand_in
from tests.refusals import refuses


@pytest.fixture
def folder(body_folder, tmp_path):
    """The body files, linked: a test that spoils one puts another in its place, see `put`."""
    shutil.copytree(body_folder, tmp_path, dirs_exist_ok=True, copy_function=os.link)
    return tmp_path


def put(path, content: bytes) -> None:
    path.unlink()
    path.write_bytes(content)


@pytest.fixture
def smpl(body_folder) -> dict:
    with open(body_folder / "SMPL_NEUTRAL.pkl", "rb") as file:
        return pickle.load(file, encoding="latin1")


class FakeChumpy:
    """Classes that pickle under chumpy's names while a file is written, and are gone when it is read."""

    def __init__(self, monkeypatch):
        self.monkeypatch = monkeypatch
        monkeypatch.setitem(sys.modules, "chumpy", types.ModuleType("chumpy"))

    def node(self, module_name: str, class_name: str, **state):
        if module_name not in sys.modules:
            self.monkeypatch.setitem(sys.modules, module_name, types.ModuleType(module_name))
        module = sys.modules[module_name]
        if not hasattr(module, class_name):
            setattr(module, class_name, type(class_name, (), {"__module__": module_name}))
        node = getattr(module, class_name)()
        node.__dict__.update(state)
        return node

    def forget(self):
        for name in [name for name in sys.modules if name.split(".")[0] == "chumpy"]:
            self.monkeypatch.delitem(sys.modules, name)


@pytest.fixture
def fake_chumpy(monkeypatch):
    return FakeChumpy(monkeypatch)


def write(folder, content, protocol=2):
    put(folder / "SMPL_NEUTRAL.pkl", pickle.dumps(content, protocol=protocol))


def test_arrays_equal_the_stand_in(assets):
    expected = load_stand_in()
    for name in ("v_template", "shapedirs", "posedirs", "J_regressor", "skinning_weights", "faces"):
        np.testing.assert_array_equal(getattr(assets, name), expected[name])
    np.testing.assert_allclose(assets.J_regressor_h36m, expected["J_regressor_h36m"], atol=1e-6)
    assert assets.parents[:4] == (-1, 0, 0, 0)
    assert assets.faces.dtype == np.int64


@pytest.mark.parametrize("protocol", [0, 1, 2, 4])
def test_chumpy_objects_are_read_without_chumpy(folder, smpl, fake_chumpy, assets, protocol):
    shapedirs, posedirs = np.array(smpl["shapedirs"]), np.array(smpl["posedirs"])
    weights = np.array(smpl["weights"])
    inner = fake_chumpy.node("chumpy.ch", "Ch", x=shapedirs, _dirty_vars={"x"})
    smpl["shapedirs"] = fake_chumpy.node(
        "chumpy.reordering", "Select", a=inner, idxs=np.arange(shapedirs.size), preferred_shape=shapedirs.shape
    )
    smpl["v_template"] = fake_chumpy.node("chumpy.ch", "Ch", x=np.array(smpl["v_template"]))
    smpl["posedirs"] = fake_chumpy.node("chumpy.reordering", "Reshape", a=posedirs.reshape(-1), newshape=posedirs.shape)
    smpl["weights"] = fake_chumpy.node("chumpy.reordering", "transpose", a=weights.T, axes=None)
    # A key that is not needed may be anything chumpy.
    smpl["weights_prior"] = fake_chumpy.node("chumpy.linalg", "svd", a=np.zeros(3))
    write(folder, smpl, protocol)
    fake_chumpy.forget()
    assert "chumpy" not in sys.modules
    found = load_body_assets(folder)
    for name in ("v_template", "shapedirs", "posedirs", "skinning_weights"):
        np.testing.assert_array_equal(getattr(found, name), getattr(assets, name))


def test_real_chumpy_pickle(folder, smpl, assets):
    chumpy = pytest.importorskip("chumpy")
    smpl["shapedirs"] = chumpy.array(np.array(smpl["shapedirs"]))[:, :, :]
    smpl["v_template"] = chumpy.array(np.array(smpl["v_template"]))
    write(folder, smpl)
    np.testing.assert_array_equal(load_body_assets(folder).shapedirs, assets.shapedirs)


def test_file_with_300_betas_gives_the_first_10(folder, smpl, assets):
    smpl["shapedirs"] = np.concatenate((smpl["shapedirs"], np.ones((6890, 3, 290))), axis=2)
    write(folder, smpl)
    np.testing.assert_array_equal(load_body_assets(folder).shapedirs, assets.shapedirs)


@pytest.mark.parametrize("build", [scipy.sparse.csc_matrix, scipy.sparse.csr_matrix, lambda a: a.toarray()])
def test_any_storage_of_the_joint_regressor(folder, smpl, assets, build):
    smpl["J_regressor"] = build(smpl["J_regressor"])
    write(folder, smpl)
    np.testing.assert_array_equal(load_body_assets(folder).J_regressor, assets.J_regressor)


def test_npz_is_read_where_there_is_no_pickle(folder, smpl, assets):
    (folder / "SMPL_NEUTRAL.pkl").unlink()
    arrays = {
        name: np.asarray(smpl[name])
        for name in ("v_template", "shapedirs", "posedirs", "weights", "kintree_table", "f")
    }
    np.savez(folder / "SMPL_NEUTRAL.npz", J_regressor=smpl["J_regressor"].toarray(), **arrays)
    np.testing.assert_array_equal(load_body_assets(folder).posedirs, assets.posedirs)


BODY_FILES = ["SMPL_NEUTRAL.pkl", "J_regressor_h36m_correct.npy", "smpl_mean_params.npz"]


@pytest.mark.parametrize("name", BODY_FILES)
def test_a_missing_file_says_where_it_belongs(folder, name):
    (folder / name).unlink()
    refuses(f"{name} not found. .* put it there, or set data_root", load_body_assets, folder)


@pytest.mark.parametrize("name", BODY_FILES)
@pytest.mark.parametrize("content", [b"", b"<html>not found</html>", b"\x80\x04garbage", b"PK\x03\x04broken"])
def test_a_damaged_file_is_named(folder, name, content):
    put(folder / name, content)
    refuses(name, load_body_assets, folder)


def node(module, name):
    return lambda value, chumpy: chumpy.node(module, name, a=np.zeros(3), b=np.zeros(3))


def of_huge_shape(matrix, _):
    matrix._shape = (10**9, 10**9)
    return matrix


@pytest.mark.parametrize(
    ("key", "make", "message"),
    [
        ("v_template", lambda *_: np.zeros((10, 3)), r"'v_template' has shape \(10, 3\), expected \(6890, 3\)"),
        ("shapedirs", lambda *_: np.zeros((6890, 3, 4)), "'shapedirs' has shape"),
        ("weights", lambda *_: np.zeros((6890, 24)), "'weights' are not skinning weights"),
        ("v_template", lambda *_: np.full((6890, 3), np.nan), "'v_template' holds NaN"),
        ("f", lambda *_: np.full((13776, 3), 9999), "'f' names vertices outside"),
        ("kintree_table", lambda *_: np.zeros((2, 24), dtype=np.int64), "not SMPL's joint tree"),
        ("posedirs", lambda *_: "text", "'posedirs' holds"),
        ("posedirs", node("chumpy.linalg", "dot"), r"a chumpy expression \(dot\)"),  # not evaluated
        ("J_regressor", of_huge_shape, "'J_regressor' cannot be read"),
    ],
)
def test_wrong_arrays_of_the_body_model_are_named(folder, smpl, fake_chumpy, key, make, message):
    smpl[key] = make(smpl[key], fake_chumpy)
    write(folder, smpl)
    fake_chumpy.forget()
    refuses(message, load_body_assets, folder)


def test_what_is_no_body_model_is_told(folder, smpl):
    del smpl["posedirs"]
    write(folder, smpl)
    refuses("key 'posedirs' is missing", read_smpl, folder / "SMPL_NEUTRAL.pkl")
    write(folder, [1, 2])
    refuses("expected an SMPL body model", load_body_assets, folder)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((14, 6890)), r"has shape \(14, 6890\), expected \(17, 6890\)"),
        (np.array([print], dtype=object), "refused, nothing in it was run: its array holds object, expected numbers"),
    ],
)
def test_a_wrong_regressor_is_told(folder, array, message):
    (folder / "J_regressor_h36m_correct.npy").unlink()
    np.save(folder / "J_regressor_h36m_correct.npy", array, allow_pickle=True)
    refuses(message, load_body_assets, folder)


def test_mean_params_without_pose(folder):
    (folder / "smpl_mean_params.npz").unlink()
    np.savez(folder / "smpl_mean_params.npz", shape=np.zeros(10))
    refuses("no 'pose' in it, only shape. Expected the mean parameters with pose, shape", load_body_assets, folder)
