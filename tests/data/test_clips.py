import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinemesh.data.clips import (
    all_frames_clips,
    cut_clips,
    dataset_clips,
    first_clips,
    held_out_videos,
    image_clips,
    released_clips,
    repeats,
)
from tests.refusals import refuses

LENGTHS = st.lists(st.integers(1, 60), min_size=1, max_size=12)
CLIP_LEN = st.integers(1, 30)


@pytest.mark.parametrize("case", range(7))
def test_released_clips_agree_with_the_released_code(reference, case):
    vectors = reference("clips")
    lengths, clip_len, stride = (vectors[f"{case}.{name}"] for name in ("lens", "n_frames", "stride"))
    clips = released_clips(lengths, int(clip_len), int(stride), np.random.RandomState(0))
    np.testing.assert_array_equal(clips, vectors[f"{case}.clips"])
    assert clips.dtype == np.int64


def clips_by_the_rule(lengths, clip_len, stride, random_state):
    """Behaviour contract section 1 word for word, video by video."""
    clips, first = [], 0
    for number, length in enumerate(lengths):
        if length >= clip_len:
            clips += [first + start + np.arange(clip_len) for start in range(0, length - clip_len + 1, stride)]
        elif number < len(lengths) - 1:
            even = np.linspace(0, length, clip_len, endpoint=False)
            s = random_state.randint(2, size=clip_len)
            index = np.sort(s * np.floor(even) + (1 - s) * np.ceil(even))
            clips.append(first + np.clip(index, 0, length - 1).astype(int))
        first += length
    return np.array(clips, dtype=np.int64).reshape(-1, clip_len)


@settings(max_examples=200)
@given(LENGTHS, LENGTHS, CLIP_LEN, st.integers(1, 40))
def test_dataset_clips_follow_the_rule_with_one_generator_for_both_splits(train, test, clip_len, stride):
    random_state = np.random.RandomState(0)
    expected_train = clips_by_the_rule(train, clip_len, stride, random_state)
    expected_test = clips_by_the_rule(test, clip_len, clip_len, random_state)
    train_clips, test_clips = dataset_clips(train, test, clip_len, stride)
    np.testing.assert_array_equal(train_clips, expected_train)
    np.testing.assert_array_equal(test_clips, expected_test)


def test_test_clips_depend_on_the_short_videos_of_the_train_split():
    _, after_none = dataset_clips([40], [9, 40], 16, 8)
    _, after_two = dataset_clips([9, 9, 40], [9, 40], 16, 8)
    assert not np.array_equal(after_none[0], after_two[0])
    np.testing.assert_array_equal(after_none[1:], after_two[1:])


def test_every_length_below_a_clip_is_stretched_as_linspace_does():
    for clip_len in (16, 27, 243):
        lengths = [*range(1, clip_len), clip_len]
        expected = clips_by_the_rule(lengths, clip_len, 1, np.random.RandomState(0))
        np.testing.assert_array_equal(released_clips(lengths, clip_len, 1, np.random.RandomState(0)), expected)


@settings(max_examples=200)
@given(LENGTHS, CLIP_LEN)
def test_all_frames_clips_count_every_frame_once_and_stay_within_a_video(lengths, clip_len):
    clips = all_frames_clips(lengths, clip_len)
    assert clips.frames.shape == clips.counted.shape == (sum(-(-length // clip_len) for length in lengths), clip_len)
    np.testing.assert_array_equal(np.sort(clips.frames[clips.counted]), np.arange(sum(lengths)))
    video = np.repeat(np.arange(len(lengths)), lengths)[clips.frames]
    assert (video == video[:, :1]).all()
    assert (np.diff(clips.frames, axis=1) >= 0).all()


def test_all_frames_clips_of_a_tail_and_a_short_video():
    clips = all_frames_clips([6, 3], 4)
    np.testing.assert_array_equal(clips.frames, [[0, 1, 2, 3], [2, 3, 4, 5], [6, 7, 8, 8]])
    np.testing.assert_array_equal(clips.counted, [[1, 1, 1, 1], [0, 0, 1, 1], [1, 1, 1, 0]])


def test_cut_clips_chooses_the_protocol_and_limits():
    train, test = cut_clips([40], [40], 16, 8)
    assert len(train.frames) == 4 and len(test.frames) == 2
    assert train.counted.all() and test.counted.all()
    train, test = cut_clips([40], [40], 16, 8, eval_clips="all_frames")
    assert len(train.frames) == 4 and len(test.frames) == 3 and test.counted.sum() == 40
    train, test = cut_clips([40], [40], 16, 8, eval_clips="all_frames", limit_clips=2)
    assert train.frames.shape == train.counted.shape == test.frames.shape == test.counted.shape == (2, 16)


def test_image_clips_are_single_frames_and_one_short_video_has_no_clips():
    clips = first_clips(image_clips(5), 3)
    np.testing.assert_array_equal(clips.frames, [[0], [1], [2]])
    assert clips.counted.shape == (3, 1) and clips.counted.all()
    assert released_clips([3], 16, 8, np.random.RandomState(0)).shape == (0, 16)


def test_repeats_numbers_each_value_from_zero():
    assert repeats(np.array([4, 4, 2, 4, 9, 2])).tolist() == [0, 1, 0, 2, 0, 1]
    assert repeats(np.array([], dtype=np.int64)).tolist() == []


NAMES = [f"video_{number:03d}" for number in range(40)]


def test_held_out_videos_follow_from_names_not_places_and_a_larger_share_holds_out_more():
    found = held_out_videos(NAMES, 0.25)
    assert found.sum() == 10
    assert (found == held_out_videos(NAMES, 0.25)).all()
    order = np.random.default_rng(0).permutation(40)
    shuffled = held_out_videos([NAMES[place] for place in order], 0.25)
    assert (shuffled == found[order]).all()
    small, large = held_out_videos(NAMES, 0.1), held_out_videos(NAMES, 0.5)
    assert (large | ~small).all()


@pytest.mark.parametrize(("share", "count"), [(0.001, 1), (0.99, 39)])
def test_at_least_one_video_is_held_out_and_not_all(share, count):
    assert held_out_videos(NAMES, share).sum() == count


def test_runs_of_one_name_are_held_out_together_and_one_video_cannot_be():
    found = held_out_videos(["a", "b", "a", "c", "b"], 0.5)
    assert found[0] == found[2] and found[1] == found[4]
    refuses("val_split 0.5: 1 training video. Expected two or more", held_out_videos, ["a", "a"], 0.5)
