"""Arrays come out of files as they were written; what claims more than the file holds is one line."""

import zipfile

import numpy as np
import pytest

from kinemesh.files import joblib as safe_joblib
from kinemesh.files.arrays import LONGEST_TEXT, NoArraysError, array_of, read_npz
from tests.files.calls import bomb
from tests.refusals import refused, refuses

WHAT = "predictions"
ARRAYS = {
    "video": np.array(["a", "bé", ""]),
    "frame": np.arange(3),
    "fortran": np.asfortranarray(np.arange(6.0).reshape(3, 2)),
    "no rows": np.zeros((0, 72), "f4"),
    "no axes": np.array(30.0),
    "extra": np.array([{}], dtype=object),
}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "file.npz"


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_come_back_and_others_are_not_read(save, path):
    save(path, **ARRAYS)
    loaded = read_npz(path, ("video", "frame", "fortran"), ("no rows", "no axes", "absent"), what=WHAT)
    assert list(loaded) == ["video", "frame", "fortran", "no rows", "no axes"]
    for key, array in loaded.items():
        assert array.dtype == ARRAYS[key].dtype
        np.testing.assert_array_equal(array, ARRAYS[key])


def test_python_objects_are_refused(path):
    np.savez(path, **ARRAYS)
    with refused(r"file.npz: refused, nothing in it was run: 'extra' holds object, expected numbers or text"):
        read_npz(path, ("extra",), what=WHAT)


def test_a_name_for_two_arrays_is_refused(path):
    """Which of them is read differs from program to program."""
    np.savez(path, frame=np.arange(3))
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("frame.npy", archive.read("frame.npy"))
    with refused(r"file.npz: refused.*a name stands in it twice"):
        read_npz(path, ("frame",), what=WHAT)


def test_what_is_missing_is_named(path):
    np.savez(path, video=ARRAYS["video"], pose=np.zeros(3))
    with refused(r"no 'frame' in it, only video, pose. Expected predictions with video, frame.$"):
        read_npz(path, ("video", "frame"), what=WHAT)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data.pkl", b"abc")
    with pytest.raises(
        NoArraysError, match=r"file.npz: a zip archive without arrays. Expected predictions, as np.savez"
    ):
        read_npz(path, ("video",), what=WHAT)


def test_damaged_files_are_one_line(path):
    np.savez(path, frame=np.arange(100))
    whole = path.read_bytes()
    for content in (b"PK\x03\x04", whole[:200], whole.replace(b"NUMPY", b"NUMPI"), whole.replace(b"(100,)", b"(900,)")):
        path.write_bytes(content)
        with refused(r"file.npz (is damaged|ends early) \(.*\). Expected predictions: copy or download it again"):
            read_npz(path, ("frame",), what=WHAT)


def test_a_header_that_claims_more_than_the_data_is_refused(path):
    np.save(path.with_suffix(".npy"), np.arange(10))
    member = path.with_suffix(".npy").read_bytes()
    for shape in (b"(11,)", b"(1,)*9", b"(9999999999999,)"):
        with zipfile.ZipFile(path, "w") as archive:
            claim = b"(10,), }" + b" " * (len(shape) - 5)
            assert claim in member
            archive.writestr("frame.npy", member.replace(claim, shape + b", }"))
        refuses(r"is damaged|ends early|claims", read_npz, path, ("frame",), what=WHAT)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("frame.npy", member.replace(b"<i8", b"<U0"))
    refuses(r"'frame' claims shape \(10,\), type <U0, without the data for it", read_npz, path, ("frame",), what=WHAT)


def test_structured_and_unpacking_without_end_are_refused(path, monkeypatch):
    np.savez(path, frame=np.zeros(3, [("a", "f4")]))
    refuses(r"'frame' holds \[\('a', '<f4'\)\], expected numbers or text", read_npz, path, ("frame",), what=WHAT)
    monkeypatch.setattr(safe_joblib, "ALWAYS_ALLOWED_BYTES", 1000)
    np.savez_compressed(path, frame=np.zeros(1_000_000))
    refuses(r"unpacks to 8000128 bytes, expected at most \d+", read_npz, path, ("frame",), what=WHAT)


def test_text_of_numbers_that_are_no_characters_is_refused(path):
    """Python fails on it, wherever it is first looked at."""
    np.savez(path, a=np.array([0x110000], "<u4").view("<U1"))
    refuses("'a' holds numbers that are no characters", read_npz, path, ("a",), what="text")


@pytest.mark.parametrize(
    "value", [3, "text", [1, 2], [[1.0, 2], (3, 4)], ["a", "b"], [np.ones(3), np.zeros(3)], [], np.ones(2), None]
)
def test_what_numpy_makes_of_it(value):
    np.testing.assert_array_equal(array_of(value), np.asarray(value))


def test_rows_may_be_shared():
    row = [0.0] * 72
    assert array_of([row] * 1000).shape == (1000, 72)


def endless():
    value = [1]
    value += [value, value]
    return value


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (bomb(), "lists that hold one another over and over"),
        (endless(), "lists that hold one another over and over"),
        ([np.zeros(1_000_000)] * 1000, "lists that hold one another over and over"),
        ([[1, 2], [3]], "a list of unequal rows"),
        (["a", "b" * (LONGEST_TEXT + 1)], "text of 4097 characters"),
    ],
)
def test_what_would_fill_the_memory_is_refused(value, message):
    with pytest.raises(ValueError, match=message):
        array_of(value)
