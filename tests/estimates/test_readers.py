import collections
import pickle
import zipfile
import zlib

import numpy as np
import pytest
import roma
import torch

from kinemesh.estimates.readers import LAYOUTS, count_images_from_zero, read_estimator_file
from kinemesh.estimates.table import NotRecognisedError
from tests.refusals import refused, refuses

FRAMES = 5


@pytest.fixture
def bodies():
    """Axis-angle (F, 72), the same as matrices (F, 24, 3, 3), and betas (F, 10)."""
    rng = np.random.default_rng(0)
    poses = rng.normal(0, 0.6, (FRAMES, 72)).astype("f4")
    rotations = roma.rotvec_to_rotmat(torch.from_numpy(poses).reshape(-1, 24, 3)).numpy()
    return poses, rotations, rng.normal(size=(FRAMES, 10)).astype("f4")


@pytest.fixture
def ours(bodies):
    poses, _, betas = bodies
    return {"video": np.array(["a", "a", "b", "b", "b"]), "frame": np.array([0, 1, 0, 1, 7]), "poses": poses, "betas": betas}  # fmt: skip


@pytest.fixture
def hybrik(bodies):
    """What HybrIK's scripts/demo_video.py stacks; ffmpeg numbers its images from 1."""
    _, rotations, betas = bodies
    return {
        "pred_thetas": rotations.reshape(FRAMES, 216),
        "pred_betas": betas,
        "transl": np.zeros((FRAMES, 3), "f4"),
        "bbox": np.zeros((FRAMES, 4)),
        "height": np.full(FRAMES, 1080),
        "width": np.full(FRAMES, 1920),
        "img_path": np.array([f"out/raw_images/walk_00-{number:06d}.jpg" for number in (1, 2, 3, 5, 6)]),
    }


@pytest.fixture
def wham(bodies):
    """What WHAM's demo.py collects: a defaultdict, one entry a person."""
    poses, _, betas = bodies

    def person(rows, frame_ids):
        arrays = {"pose": poses[rows], "betas": betas[rows], "frame_ids": np.array(frame_ids)}
        return arrays | {"trans": np.zeros((len(frame_ids), 3)), "verts": np.zeros((len(frame_ids), 6, 3), "f4")}

    return {0: person([0, 1, 2], [4, 5, 6]), 3: person([3, 4], [0, 9])}


@pytest.fixture
def phalp(bodies):
    """What PHALP's tracker collects: three frames, two people, one of whom is lost in the last."""
    _, rotations, betas = bodies

    def body(row):
        return {"global_orient": rotations[row, :1], "body_pose": rotations[row, 1:], "betas": betas[row]}

    def frame(time, people, unseen):
        return {
            "time": time, "shot": 0, "tid": list(people), "smpl": [body(row) for row in people.values()],
            "tracked_time": unseen, "camera": [np.zeros(3, "f4")] * len(people), "size": [[1080, 1920]] * len(people),
            "mask": [{"size": [1080, 1920], "counts": b"abc"}] * len(people), "conf": [np.float32(0.9)] * len(people),
        }  # fmt: skip

    names = [f"outputs/_DEMO/dance/img/{number:06d}.jpg" for number in (1, 2, 3)]
    return {
        names[0]: frame(0, {}, []),
        names[1]: frame(1, {1: 0, 2: 1}, [0, 0]),
        names[2]: frame(2, {1: 2, 2: 1}, [0, 1]),
    }


@pytest.fixture
def write(tmp_path, joblib_bytes):
    """Writes one layout as its program does, under the name it gives."""

    def write_it(layout, content):
        if layout == "ours":
            path = tmp_path / "predictions.npz"
            np.savez(path, **content)
            return path
        folder = tmp_path / "walk_01"
        folder.mkdir(exist_ok=True)
        name, data = {
            "hybrik": ("res.pk", lambda: pickle.dumps(content)),
            "wham": ("wham_output.pkl", lambda: joblib_bytes(content)),
            "phalp": ("demo_dance.pkl", lambda: zlib.compress(joblib_bytes(content), 3)),
        }[layout]
        (folder / name).write_bytes(data())
        return folder / name

    return write_it


def assert_bodies(table, bodies, rows):
    _, rotations, betas = bodies
    matrices = roma.rotvec_to_rotmat(torch.from_numpy(table.poses).reshape(-1, 24, 3))
    np.testing.assert_allclose(matrices, rotations[rows], atol=1e-5)
    np.testing.assert_array_equal(table.betas, betas[rows])
    assert table.poses.dtype == table.betas.dtype == np.float32


def test_our_npz(write, ours, bodies):
    table = read_estimator_file(write("ours", ours | {"joints_mm": np.zeros(3), "trans": np.zeros((FRAMES, 3))}))
    assert table.video.tolist() == ["a", "a", "b", "b", "b"] and table.frame.tolist() == [0, 1, 0, 1, 7]
    np.testing.assert_array_equal(table.poses, ours["poses"])
    assert_bodies(table, bodies, slice(None))
    assert not table.person.any() and not table.dataset.any() and np.isnan(table.fps).all()
    assert table.first_image is None


@pytest.mark.parametrize("fps", [np.array(30), np.full(FRAMES, 30.0)])
def test_the_optional_arrays_of_our_npz(fps, write, ours):
    more = {"dataset": np.array(["pw3d"] * 3 + ["h36m"] * 2), "person": np.arange(FRAMES), "fps": fps}
    table = read_estimator_file(write("ours", ours | more | {"video": ours["video"].astype("S")}))
    assert table.person.tolist() == ["0", "1", "2", "3", "4"] and table.fps.tolist() == [30.0] * FRAMES
    assert table.dataset.tolist() == ["pw3d"] * 3 + ["h36m"] * 2 and table.video.tolist()[:2] == ["a", "a"]


@pytest.mark.parametrize("as_names", [np.asarray, list, lambda names: names.astype(object)])
def test_hybrik(as_names, write, hybrik, bodies):
    hybrik["img_path"] = as_names(hybrik["img_path"])
    table = read_estimator_file(write("hybrik", hybrik))
    assert table.video.tolist() == ["walk_00"] * FRAMES
    assert table.frame.tolist() == [1, 2, 3, 5, 6] and table.first_image == 1
    assert_bodies(table, bodies, slice(None))


def test_wham_which_under_another_name_is_named_by_its_file(write, wham, bodies):
    path = write("wham", wham)
    table = read_estimator_file(path)
    assert table.video.tolist() == ["walk_01"] * FRAMES and table.first_image is None
    assert table.person.tolist() == ["0", "0", "0", "3", "3"] and table.frame.tolist() == [4, 5, 6, 0, 9]
    assert_bodies(table, bodies, slice(None))
    renamed = path.rename(path.with_name("walk_02.pkl"))
    assert read_estimator_file(renamed).video.tolist() == ["walk_02"] * FRAMES


@pytest.mark.parametrize("compress", [0, 3])
def test_wham_as_joblib_writes_it(compress, wham, bodies, tmp_path):
    joblib = pytest.importorskip("joblib")
    joblib.dump(collections.defaultdict(dict, wham), tmp_path / "wham_output.pkl", compress=compress)
    assert_bodies(read_estimator_file(tmp_path / "wham_output.pkl"), bodies, slice(None))


def test_phalp_of_people_who_were_not_seen_and_of_a_video_without_images(write, phalp, bodies):
    table = read_estimator_file(write("phalp", phalp))
    assert table.video.tolist() == ["dance"] * 3 and table.first_image == 1
    assert table.person.tolist() == ["1", "2", "1"] and table.frame.tolist() == [2, 2, 3]
    assert_bodies(table, bodies, [0, 1, 2])
    by_time = {("data/dance.mp4", 512 * place): people for place, people in enumerate(phalp.values())}
    table = read_estimator_file(write("phalp", by_time))
    assert table.video.tolist() == ["dance"] * 3 and table.frame.tolist() == [1, 1, 2] and table.first_image is None


def test_phalp_as_joblib_writes_it(phalp, bodies, tmp_path):
    joblib = pytest.importorskip("joblib")
    joblib.dump(phalp, tmp_path / "demo.pkl", compress=3)
    assert_bodies(read_estimator_file(tmp_path / "demo.pkl"), bodies, [0, 1, 2])


@pytest.mark.parametrize(
    ("name", "video", "number"),
    [
        ("imageFiles/downtown_bar_00/image_00012.jpg", "downtown_bar_00", 12),
        ("s_01_act_02_ca_01/s_01_act_02_ca_01_000007.jpg", "s_01_act_02_ca_01", 7),
        ("out/raw_images/walk_00-000003.png", "walk_00", 3),
        ("_DEMO/dance/img/000009.jpg", "dance", 9),
        (r"C:\videos\dance\images\frame_10.PNG", "dance", 10),
        ("dance_12.png", "dance", 12),
        ("./img/5", "res", 5),
    ],
)
def test_the_video_of_an_image(name, video, number, write, hybrik):
    hybrik["img_path"] = np.array([name] * FRAMES)
    table = read_estimator_file(write("hybrik", hybrik))
    assert set(table.video.tolist()) == {video} and set(table.frame.tolist()) == {number}


def test_images_numbered_from_one_are_shifted(write, hybrik, wham, caplog):
    caplog.set_level("INFO")
    tables = [read_estimator_file(write("hybrik", hybrik)), read_estimator_file(write("wham", wham))]
    shifted = count_images_from_zero(tables)
    assert shifted[0].frame.tolist() == [0, 1, 2, 4, 5] and shifted[1].frame.tolist() == tables[1].frame.tolist()
    assert "numbered from 1, as by ffmpeg: image 1 is taken as frame 0" in caplog.text
    from_zero = tables[0]._replace(first_image=0)
    assert count_images_from_zero([tables[0], from_zero])[0].frame.tolist() == [1, 2, 3, 5, 6]
    assert count_images_from_zero([tables[1]])[0] is tables[1]
    caplog.clear()
    late = count_images_from_zero([tables[0]._replace(first_image=4)])
    assert late[0].frame.tolist() == [1, 2, 3, 5, 6]
    assert "images are numbered from 4; taken as counted from 0" in caplog.text


def put(key, make):
    def change(content):
        content[key] = make(content.get(key))

    return change


def put_in_person(key, make):
    return lambda content: put(key, make)(content[3])


def put_in_body(key, make):
    return lambda content: put(key, make)(list(content.values())[1]["smpl"][1])


def set_row(row, value):
    def change(array):
        array = array.copy()
        array[row] = value
        return array

    return change


FAULTS = {
    "nan": ("ours", put("poses", set_row((3, 5), np.nan)), r"'poses' row 3 holds nan or infinity. Expected finite"),
    "beyond betas": ("ours", put("betas", set_row((2, 5), 1e30)), r"'betas' row 2 holds 1e\+30. Expected numbers of at most 1e\+06"),
    "infinity": ("ours", put("betas", set_row((2, 5), np.inf)), r"'betas' row 2 holds nan or infinity"),
    "degrees": ("ours", put("poses", set_row((4, 5), -90)), r"'poses' row 4 holds an angle of 90. Expected axis-angle in radians, not degrees"),
    "length": ("ours", put("betas", lambda a: a[:-1]), r"'betas' has 4 rows. Expected as many as there are frames, 5"),
    "shape": ("ours", put("poses", lambda a: a[:, :69]), r"'poses' is an array of float32 of shape \(5, 69\). Expected numbers of shape \(rows, 72\)"),
    "negative": ("ours", put("frame", set_row(2, -1)), r"'frame' row 2 is -1. Expected frames counted from 0"),
    "huge": ("ours", put("frame", set_row(1, 1 << 40)), r"'frame' row 1 is 1099511627776. Expected frames counted"),
    "frame kind": ("ours", put("frame", lambda a: a + 0.5), r"'frame' is an array of float64 of shape \(5,\). Expected whole numbers"),
    "text": ("ours", put("video", lambda a: np.arange(5)), r"'video' is an array of int64 of shape \(5,\). Expected text, one a row"),
    "no rows": ("ours", put("video", lambda a: a[:0]), r"'video' has no rows. Expected at least one"),
    "not text": ("ours", put("video", lambda _: np.full(5, 0x7fffffff, "u4").view("U1")), r"'video' holds numbers that are no characters"),
    "not utf-8": ("ours", put("video", lambda _: np.array([b"\xff"] * 5)), r"'video' holds what is not text"),
    "person": ("ours", put("person", lambda _: np.zeros(5)), r"'person' is an array of float64 of shape \(5,\). Expected text"),
    "fps length": ("ours", put("fps", lambda _: np.ones(3)), r"'fps' has 3 rows. Expected as many as there are frames, 5"),
    "fps nan": ("ours", put("fps", lambda _: np.array(np.nan)), r"'fps' row 0 holds nan"),
    "missing": ("ours", lambda content: content.pop("betas"), r"no 'betas' in it, only video, frame, poses. Expected predictions with video, frame, poses, betas"),
    "no rotation": ("hybrik", put("pred_thetas", lambda a: a * np.where(np.arange(FRAMES) == 3, 1.1, 1)[:, None]), r"'pred_thetas' row 3 is not a rotation \(R R\^T is 0.21 from the identity\). Expected 24 rotation matrices"),
    "reflection": ("hybrik", put("pred_thetas", lambda a: a * np.where(np.arange(FRAMES) == 2, -1, 1)[:, None]), r"'pred_thetas' row 2 is a reflection"),
    "neither": ("hybrik", put("pred_thetas", lambda a: a[:, :70]), r"'pred_thetas' is an array of float32 of shape \(5, 70\). Expected \(5, 72\) axis-angle or \(5, 24, 3, 3\) rotation matrices"),
    "hybrik nan": ("hybrik", put("pred_thetas", set_row((1, 9), np.nan)), r"'pred_thetas' row 1 holds nan"),
    "no number": ("hybrik", put("img_path", lambda a: ["a/1.png"] * 4 + ["a/webcam.png"]), r"'img_path' row 4 is 'a/webcam.png'. Expected a name that ends in the frame number"),
    "a date": ("hybrik", put("img_path", lambda a: ["a/20240131120000.png"] * 5), r"'img_path' row 0 is 'a/20240131120000.png'. Expected a name that ends"),
    "names": ("hybrik", put("img_path", lambda _: [["a"], ["b", "c"]]), r"'img_path' is a list of unequal rows|'img_path' is an array of object"),
    "no betas": ("hybrik", lambda content: content.pop("pred_betas"), r"'pred_betas' is missing. Expected a dict with 'pred_betas'"),
    "hybrik length": ("hybrik", put("pred_betas", lambda a: a[1:]), r"'pred_betas' has 4 rows. Expected as many as there are frames, 5"),
    "wham degrees": ("wham", put_in_person("pose", lambda a: a * 60), r"person '3' 'pose' row 0 holds an angle of .* Expected axis-angle in radians"),
    "wham nan": ("wham", put_in_person("betas", set_row((1, 0), np.nan)), r"person '3' 'betas' row 1 holds nan"),
    "wham length": ("wham", put_in_person("frame_ids", lambda a: a[:1]), r"person '3' 'pose' has 2 rows. Expected as many as there are frames, 1"),
    "wham key": ("wham", lambda content: content[3].pop("betas"), r"person '3' 'betas' is missing"),
    "wham person": ("wham", put(3, lambda _: 7), r"person '3' 'frame_ids' is missing"),
    "wham nobody": ("wham", lambda content: [put(k, lambda a: a[:0])(p) for p in content.values() for k in p], r"has no rows. Expected at least one"),
    "phalp nan": ("phalp", put_in_body("betas", set_row(1, np.nan)), r"'smpl' 'betas' of frame '.*/000002.jpg' person '2' holds nan"),
    "phalp rotation": ("phalp", put_in_body("body_pose", lambda a: a * 2), r"'smpl' of frame '.*/000002.jpg' person '2' is not a rotation"),
    "phalp shape": ("phalp", put_in_body("body_pose", lambda a: a[:21]), r"'smpl' 'body_pose' of frame '.*/000002.jpg' person '2' has shape \(21, 3, 3\). Expected shape \(23, 3, 3\)"),
    "phalp key": ("phalp", lambda content: list(content.values())[1]["smpl"][1].pop("betas"), r"'smpl' 'betas' of frame '.*/000002.jpg' person '2' has shape \(\)"),
    "phalp lists": ("phalp", lambda content: list(content.values())[2]["smpl"].pop(), r"frame '.*/000003.jpg' 'smpl' is not a list as long as 'tid'"),
    "phalp frame": ("phalp", put("outputs/_DEMO/dance/img/000003.jpg", lambda _: {}), r"frame '.*/000003.jpg' 'tid' is missing"),
    "phalp nobody": ("phalp", lambda content: [people.update(tid=[], smpl=[]) for people in content.values()], r"no frame has a body"),
    "phalp name": ("phalp", put("last", lambda _: {"tid": [], "smpl": []}), r"'frame path' row 3 is 'last'. Expected a name that ends in the frame number"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_one_line_with_file_key_and_row(fault, request, write):
    layout, change, message = FAULTS[fault]
    content = request.getfixturevalue(layout)
    change(content)
    path = write(layout, content)
    with refused(message) as caught:
        read_estimator_file(path)
    assert str(caught.value).startswith(f"{path}: ")


@pytest.mark.parametrize(
    ("content", "held"),
    [
        ([1, 2], "a list"),
        ({}, "a dict without keys"),
        ({"a": 1, "b": 2}, "a dict of 'a', 'b'"),
        ({"train": {"smpl_pose": 1}, "test": {}}, "a dict of 'train', 'test'"),
    ],
)
def test_a_file_that_is_not_recognised_lists_the_layouts(content, held, write):
    with pytest.raises(NotRecognisedError) as caught:
        read_estimator_file(write("hybrik", content))
    assert f"res.pk: not recognised, it holds {held}. Expected {LAYOUTS}." in str(caught.value)


def test_files_of_other_kinds(tmp_path, write):
    path = tmp_path / "a.pkl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("notes.txt", "")
    with pytest.raises(
        NotRecognisedError, match=r"a.pkl: not recognised, it holds a zip archive without arrays. Expected an npz"
    ):
        read_estimator_file(path)
    torch.save({"a": torch.zeros(2)}, path)
    with pytest.raises(NotRecognisedError, match=r"a.pkl: not recognised, it holds a dict of 'a'. Expected an npz"):
        read_estimator_file(path)
    np.savez(path.with_suffix(".npz"), **{f"key_{number}": np.zeros(1) for number in range(9)})
    with pytest.raises(NotRecognisedError, match=r"holds arrays of 'key_0', .*'key_7' and 1 more. Expected an npz"):
        read_estimator_file(path.with_suffix(".npz"))
    refuses(r"is not a regular file. Expected an estimator's file", read_estimator_file, tmp_path)
