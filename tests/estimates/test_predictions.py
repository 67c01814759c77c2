import logging
import pickle

import numpy as np
import pytest
import torch

from kinemesh.data.clips import Clips, cut_clips
from kinemesh.data.loader import ClipLoader
from kinemesh.data.sources import load_dataset
from kinemesh.estimates.matching import BORROWED, NONE, PREDICTED, attach_predictions, usable_clips
from kinemesh.estimates.predictions import check_videos, load_predictions
from tests.refusals import refused, refuses

LENGTHS = {"train": (40, 9, 16, 33), "test": (20, 12, 17)}
FPS = 30.0


@pytest.fixture
def open_dataset(make_content, tmp_path):
    """A small dataset whose videos are train_0 and on, test_0 and on."""

    def open_it(name="pw3d", **options):
        content = make_content(name, **LENGTHS)
        for split, arrays in content.items():
            arrays["source"] = [video.replace("video", split) for video in arrays["source"]]
        path = tmp_path / f"{name}.pkl"
        path.write_bytes(pickle.dumps(content))
        return load_dataset(name, path, **options)

    return open_it


@pytest.fixture
def whole():
    """Predictions of every frame of both splits, in no order."""
    rng = np.random.default_rng(1)
    lengths = {f"{split}_{i}": length for split in LENGTHS for i, length in enumerate(LENGTHS[split])}
    count = sum(lengths.values())
    rows = {
        "video": np.repeat(list(lengths), list(lengths.values())),
        "frame": np.concatenate([np.arange(length) for length in lengths.values()]),
        "poses": rng.normal(0, 0.5, (count, 72)).astype("f4"),
        "betas": rng.normal(0, 1, (count, 10)).astype("f4"),
    }
    order = rng.permutation(count)
    return {key: array[order] for key, array in rows.items()}


@pytest.fixture
def load(tmp_path):
    def load_it(rows, name="predictions.npz"):
        np.savez(tmp_path / name, **rows)
        return load_predictions(tmp_path / name)

    return load_it


def keep(rows, is_kept):
    return {key: array[is_kept] for key, array in rows.items()}


def only(rows, video, frames):
    """Rows of one video's frames, and of all other videos."""
    return keep(rows, (rows["video"] != video) | np.isin(rows["frame"], frames))


@pytest.mark.parametrize("stride", [1, 2, 7])
def test_attached_rows_are_those_of_the_file(stride, open_dataset, whole, load):
    dataset = open_dataset(sample_stride=stride)
    attached = attach_predictions(dataset, load(whole))
    rows = {(video, frame): row for row, (video, frame) in enumerate(zip(whole["video"], whole["frame"], strict=True))}
    for split in (attached.train, attached.test):
        names, frames = split.locate(np.arange(split.frame_count))
        expected = [rows[place] for place in zip(names, frames, strict=True)]
        np.testing.assert_array_equal(split.estimate_pose, whole["poses"][expected])
        np.testing.assert_array_equal(split.estimate_betas, whole["betas"][expected])
        assert split.estimate_state.dtype == np.int8 and (split.estimate_state == PREDICTED).all()
    assert dataset.train.estimate_pose is None and attached.train.keypoints_px is dataset.train.keypoints_px


def test_an_estimate_in_the_file_is_replaced(open_dataset, whole, load):
    dataset = open_dataset(needs_estimate=True)
    attached = attach_predictions(dataset, load(whole), splits=("test",))
    assert attached.train is dataset.train
    assert not torch.equal(attached.test.estimate_pose, dataset.test.estimate_pose)
    clips, _ = cut_clips(dataset.train.video_lengths, dataset.test.video_lengths, 16, 8)
    assert usable_clips(clips, attached.train) is clips


def test_attached_predictions_are_loaded(open_dataset, whole, load):
    attached = attach_predictions(open_dataset(), load(whole))
    _, clips = cut_clips(attached.train.video_lengths, attached.test.video_lengths, 8, 8)
    usable = usable_clips(clips, attached.test)
    np.testing.assert_array_equal(usable.frames, clips.frames)
    batch = ClipLoader(attached.test, usable, batch_size=2, with_estimate=True).gather(torch.tensor([0]))
    expected = attached.test.estimate_betas[torch.from_numpy(clips.frames[[0]])]
    assert torch.equal(batch.inputs.estimate.betas, expected)


def test_gaps_take_the_nearest_frame_within_half_a_second(open_dataset, whole, load):
    # At 10 frames a second half a second is 5 frames; frame 11 is as far from 9 as from 13.
    kept = [8, 9, 13, 25]
    split = attach_predictions(open_dataset(fps=10.0), load(only(whole, "train_0", kept))).train
    state = split.estimate_state[:40]
    expected = np.full(40, NONE)
    expected[3:19] = expected[20:31] = BORROWED
    expected[kept] = PREDICTED
    np.testing.assert_array_equal(state, expected)
    assert (split.estimate_state[40:] == PREDICTED).all()
    taken = {3: 8, 7: 8, 10: 9, 11: 9, 12: 13, 18: 13, 20: 25, 30: 25}
    for frame, source in taken.items():
        row = np.flatnonzero((whole["video"] == "train_0") & (whole["frame"] == source))[0]
        np.testing.assert_array_equal(split.estimate_pose[frame], whole["poses"][row])
        np.testing.assert_array_equal(split.estimate_betas[frame], whole["betas"][row])
    assert not split.estimate_pose[:40][state == NONE].any() and not split.estimate_betas[:40][state == NONE].any()


def test_first_and_last_video_borrow_from_themselves_and_a_gap_is_of_the_files_frames(open_dataset, whole, load):
    rows = keep(whole, np.isin(whole["video"], ["train_1", "test_1"]))
    attached = attach_predictions(open_dataset(), load(rows))
    for split, length in ((attached.train, 9), (attached.test, 12)):
        predicted = split.video_index == 1
        assert predicted.sum() == length
        np.testing.assert_array_equal(split.estimate_state, np.where(predicted, PREDICTED, NONE))
    split = attach_predictions(open_dataset(sample_stride=4, fps=10.0), load(only(whole, "train_0", [3]))).train
    assert split.estimate_state[:10].tolist() == [BORROWED] * 3 + [NONE] * 7  # frames 0, 4, 8; 12 and on


def test_clips_with_a_frame_without_a_body_are_left_out(open_dataset, whole, load, caplog):
    caplog.set_level(logging.INFO)
    rows = only(only(whole, "train_0", [*range(18), *range(21, 33)]), "train_3", [])
    split = attach_predictions(open_dataset(fps=10.0), load(rows)).train
    split.estimate_state[38:40] = NONE
    frames = np.array([np.arange(start, start + 8) for start in (0, 8, 16, 32, 65)])
    counted = np.ones_like(frames, dtype=bool)
    counted[0, 0] = False
    caplog.clear()
    usable = usable_clips(Clips(frames, counted), split)
    np.testing.assert_array_equal(usable.frames, frames[:3])
    expected = counted[:3].copy()
    expected[2, 2:5] = False  # frames 18, 19, 20 are borrowed
    np.testing.assert_array_equal(usable.counted, expected)
    assert [record.getMessage() for record in caplog.records] == [
        "pw3d train: 55 frames predicted, 8 take the nearest prediction within 0.5 s and are not scored, 35 have none; "
        "2 of 5 clips left out"
    ]


def test_a_clip_without_any_frame_to_score_is_left_out_and_no_usable_one_explained(open_dataset, whole, load):
    split = attach_predictions(open_dataset(), load(only(whole, "train_0", [0]))).train
    frames = np.array([[1, 2], [0, 1]])
    usable = usable_clips(Clips(frames, np.array([[True, True], [True, True]])), split)
    assert usable.frames.tolist() == [[0, 1]] and usable.counted.tolist() == [[True, False]]
    message = r"pw3d train: each of the 1 clips has a frame more than 0.5 s from any prediction. Expected predictions"
    refuses(message, usable_clips, Clips(np.array([[0, 30]]), np.array([[True, True]])), split)


def test_a_video_takes_the_person_it_names(open_dataset, whole, load):
    rows = keep(whole, whole["video"] != "train_1")
    people = {"video": np.repeat(["train", "test_2"], 9), "frame": np.tile(np.arange(9), 2)}
    people |= {"poses": np.full((18, 72), 0.25, "f4"), "betas": np.zeros((18, 10), "f4")}
    people["person"] = np.repeat(["1", "7"], 9)
    rows["person"] = np.full(len(rows["frame"]), "")
    rows = keep(rows, rows["video"] != "test_2")
    rows = {key: np.concatenate([rows[key], people[key]]) for key in rows}
    attached = attach_predictions(open_dataset(), load(rows))
    assert (attached.train.estimate_pose[40:49] == 0.25).all()
    assert (attached.test.estimate_pose[32:41] == 0.25).all()  # the only person of test_2, whatever the number
    check_videos(load(rows), [attached])


def test_several_people_are_not_guessed_at(open_dataset, whole, load):
    whole["person"] = np.where(whole["frame"] % 2 == 0, "3", "8")
    message = (
        r"predictions.npz: video 'train_0' of 3DPW train has predictions of 2 people \('[38]', '[38]'\). Expected one; "
        r"keep the rows of the right person, or set 'video' to '<video>_<person>' in both files"
    )
    refuses(message, attach_predictions, open_dataset(), load(whole))


def test_rows_of_other_datasets_are_ignored(open_dataset, whole, load):
    other = {key: array.copy() for key, array in whole.items()}
    other["poses"] += 1
    both = {key: np.concatenate([whole[key], other[key]]) for key in whole}
    both["dataset"] = np.repeat(["pw3d", "h36m"], len(whole["frame"]))
    both["fps"] = np.repeat([30.0, 50.0], len(whole["frame"]))
    predictions = load(both)
    expected = attach_predictions(open_dataset(), load(whole))
    for name in ("pw3d", "h36m"):
        dataset = attach_predictions(open_dataset(name), predictions)
        shift = 0 if name == "pw3d" else 1
        torch.testing.assert_close(dataset.test.estimate_pose, expected.test.estimate_pose + shift)
    with refused(r"is in it; it has none of this dataset. Expected names"):
        attach_predictions(open_dataset(), load(whole | {"dataset": np.full(len(whole["frame"]), "h36m")}))


def test_frame_rates_may_be_rounded(open_dataset, whole, load):
    whole["fps"] = np.array(29.97)
    attach_predictions(open_dataset(), load(whole))


FAULTS = {
    "fps": (
        lambda rows: rows | {"fps": np.array(25.0)}, {},
        r"predictions.npz: row \d+ \(video 'train_0', frame 0\): 'fps' is 25, but 3DPW has fps_pw3d 30 in the config. "
        r"Expected predictions of the dataset's own frames; predict those, or set fps_pw3d.$",
    ),
    "one row's fps": (
        lambda rows: rows | {"fps": np.where((rows["video"] == "train_2") & (rows["frame"] == 5), 60.0, 30.0)}, {},
        r"row \d+ \(video 'train_2', frame 5\): 'fps' is 60",
    ),
    "beyond the end": (
        lambda rows: rows | {"frame": np.where(rows["video"] == "train_1", rows["frame"] * 2, rows["frame"])}, {},
        r"row \d+ \(video 'train_1', frame 10\): its video has 9 frames in 3DPW train. Expected frames of that video, "
        r"counted from 0, at 30 a second; is this another frame rate, or another cut\?",
    ),
    "beyond the end of a strided video": (
        lambda rows: rows | {"frame": np.where(rows["video"] == "train_1", rows["frame"] + 1, rows["frame"])},
        {"sample_stride": 5},
        r"row \d+ \(video 'train_1', frame 9\): its video has 9 frames",
    ),
    "no video": (
        lambda rows: rows | {"video": np.char.replace(rows["video"], "test", "other")}, {},
        r"none of the 3 videos of 3DPW test, such as 'test_0', is in it; it has 7 others, such as '\w+_\d'. Expected "
        r"names as in the dataset file; rename one or the other",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_predictions_that_do_not_fit_are_one_line(fault, open_dataset, whole, load):
    change, options, message = FAULTS[fault]
    predictions = load(change(whole))
    refuses(message, attach_predictions, open_dataset(**options), predictions)


def test_the_faulty_row_is_the_row_of_the_file(open_dataset, whole, load):
    predictions = load(whole | {"fps": np.array(25.0)})
    row = int(np.flatnonzero((whole["video"] == "train_0") & (whole["frame"] == 0))[0])
    refuses(rf"predictions.npz: row {row} \(", attach_predictions, open_dataset(), predictions)


def test_a_row_that_comes_twice_is_named(whole, load):
    twice = {key: np.concatenate([array, array[[7]]]) for key, array in whole.items()}
    video, frame = whole["video"][7], whole["frame"][7]
    message = (
        rf"predictions.npz: row {len(whole['frame'])} \(video '{video}', frame {frame}\) repeats row 7 of "
        r".*predictions.npz. Expected one row a video, frame and person; remove one, or tell people apart by 'person'"
    )
    refuses(message, load, twice)
    load(twice | {"person": np.array(["a"] * len(whole["frame"]) + ["b"])})


def test_a_video_that_no_dataset_has(open_dataset, whole, load):
    datasets = [open_dataset(), open_dataset("coco")]
    check_videos(load(whole), datasets)
    rows = whole | {"video": np.where(whole["video"] == "train_2", "walk", whole["video"])}
    message = (
        r"row \d+ \(video 'walk', frame 0\): no dataset of the config has this video. Expected names as in the dataset "
        r"files, such as 'test_0'; rename or leave out its rows."
    )
    refuses(message, check_videos, load(rows), datasets)
    refuses(message, check_videos, load(rows | {"dataset": np.full(len(rows["frame"]), "pw3d")}), datasets)
    check_videos(load(rows | {"dataset": np.full(len(rows["frame"]), "h36m")}), datasets)


def test_a_dataset_that_the_config_does_not_have(open_dataset, whole, load):
    rows = load(whole | {"dataset": np.repeat(["pw3d", "3dpw"], [140, 7])})
    refuses(r"'dataset' is '3dpw'. Expected one of coco, h36m, pw3d; rename it", check_videos, rows, [open_dataset()])
    check_videos(rows, [open_dataset()], ["3dpw"])


def test_people_beside_the_one_in_the_dataset_are_no_fault(open_dataset, whole, load):
    is_bystander = whole["video"] == "train_2"
    video, _, person = np.moveaxis(np.char.rpartition(whole["video"], "_"), -1, 0)
    rows = whole | {"video": video, "person": np.where(is_bystander, "9", person)}
    check_videos(load(rows), [open_dataset()])


def test_images_keep_their_own_estimate(open_dataset, whole, load):
    predictions = load(whole)
    dataset = open_dataset("coco", needs_estimate=True)
    assert attach_predictions(dataset, predictions, splits=("train",)) is dataset
    with refused(r"cannot be keyed to COCO, .* leave it out: --set dt_file_coco=null"):
        attach_predictions(open_dataset("coco"), predictions, splits=("train",))


def test_a_folder_is_all_recognised_files_in_it(open_dataset, whole, load, tmp_path, caplog):
    folder = tmp_path / "predictions"
    (folder / "deeper").mkdir(parents=True)
    is_train = np.char.startswith(whole["video"], "train")
    np.savez(folder / "b.npz", **keep(whole, is_train))
    np.savez(folder / "deeper" / "a.npz", **keep(whole, ~is_train))
    (folder / "notes.txt").write_text("not read")
    (folder / "other.pkl").write_bytes(pickle.dumps({"a": 1}))
    attached = attach_predictions(open_dataset(), load_predictions(folder))
    expected = attach_predictions(open_dataset(), load(whole))
    assert torch.equal(attached.train.estimate_pose, expected.train.estimate_pose)
    assert torch.equal(attached.test.estimate_pose, expected.test.estimate_pose)
    assert "skipped: " in caplog.text and "other.pkl: not recognised, it holds a dict of 'a'" in caplog.text
    np.savez(folder / "c.npz", **keep(whole, is_train))
    refuses(r"c.npz: row \d+ \(video '.*', frame \d+\) repeats row \d+ of .*b.npz", load_predictions, folder)


def test_a_folder_without_predictions_and_a_path_to_nothing(tmp_path):
    with refused(r"--predictions .*: no file in this folder is recognised. Expected an npz with"):
        load_predictions(tmp_path)
    with refused(r"--predictions .*nowhere.npz not found. Expected a file or a folder of files"):
        load_predictions(tmp_path / "nowhere.npz")


def test_other_systems_files_end_up_on_their_frames(open_dataset, joblib_bytes, tmp_path):
    """HybrIK numbers images from 1, WHAM frames from 0; each in a folder of its own."""
    rotations = np.broadcast_to(np.eye(3, dtype="f4").reshape(9), (9, 24, 9)).reshape(9, 216)
    hybrik = {"pred_thetas": rotations, "pred_betas": np.repeat(np.arange(9.0), 10).reshape(9, 10)}
    hybrik["img_path"] = np.array([f"out/raw_images/train_1-{number:06d}.jpg" for number in range(1, 10)])
    wham = {"pose": np.zeros((12, 72), "f4"), "betas": np.repeat(np.arange(12.0), 10).reshape(12, 10)}
    wham = {5: wham | {"frame_ids": np.arange(12)}}
    for name, file, data in (("h", "res.pk", pickle.dumps(hybrik)), ("test_1", "wham_output.pkl", joblib_bytes(wham))):
        (tmp_path / "all" / name).mkdir(parents=True)
        (tmp_path / "all" / name / file).write_bytes(data)
    attached = attach_predictions(open_dataset(), load_predictions(tmp_path / "all"))
    assert attached.train.estimate_betas[40:49, 0].tolist() == list(range(9))
    assert attached.test.estimate_betas[20:32, 0].tolist() == list(range(12))
    assert not attached.train.estimate_pose.any()
