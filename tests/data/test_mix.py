"""Mixing by weight: each dataset has its share of an epoch's batches, sees all its clips in turn, and nothing is stored."""

from collections import Counter

import numpy as np
import pytest
import torch

from kinemesh.data.clips import image_clips
from kinemesh.data.loader import ClipLoader
from kinemesh.data.mix import MixedLoader, shares
from kinemesh.data.sources import load_dataset
from kinemesh.machine.processes import Processes


@pytest.fixture
def mix(make_content, write_pickle):
    """Two datasets of 98 and 30 images, in batches of 8 and 7, of which the smaller shall come more often."""
    loaders = []
    for name, count, size in (("one", 98, 8), ("two", 30, 7)):
        content = make_content("pw3d", train=(count,))
        split = load_dataset(name, write_pickle(content), fps=0).train
        loaders.append(ClipLoader(split, image_clips(count), batch_size=size, training=True))
    return MixedLoader(loaders, [1, 2])


@pytest.mark.parametrize(
    ("total", "weights", "expected"),
    [(18, (1, 2), [6, 12]), (10, (1, 1, 1), [4, 3, 3]), (7, (0.5, 1.5), [2, 5]), (5, (1, 1e9), [1, 5])],
)
def test_shares_are_in_the_ratio_of_the_weights(total, weights, expected):
    assert shares(total, weights) == expected


def test_clips_come_by_weight_and_every_one_of_a_dataset_comes_before_one_comes_twice(mix):
    assert len(mix) == 13 + 5 and mix.counts == [6, 12]
    seen = {0: Counter(), 1: Counter()}
    places = []
    for epoch in range(4):
        order = mix.training_order(3, epoch)
        places.append(order.slots[:, 0].tolist())
        for number, batch in enumerate(mix.training_batches(order)):
            which = places[-1][number]
            loader, ids = mix.clips_of_batch(order, number)
            assert loader is mix.loaders[which] and torch.equal(loader.clip_frames[ids], batch.frames)
            seen[which].update(ids.tolist())
            counts = [seen[which][clip] for clip in range(loader.clip_count)]
            assert max(counts) - min(counts) <= 1
    assert [place.count(1) for place in places] == [12] * 4
    assert places[0] != places[1]
    assert sum(seen[0].values()) == pytest.approx(24 * 8, abs=8)


def test_going_on_inside_an_epoch_gives_the_same_batches_and_processes_share_each(mix):
    whole = list(mix.training_batches(mix.training_order(0, 2), accumulation=4))
    rest = list(mix.training_batches(mix.training_order(0, 2), first=8, accumulation=4))
    for batch, other in zip(whole[8:], rest, strict=True):
        assert torch.equal(batch.frames, other.frames) and batch.part == other.part
    parts = [list(mix.training_batches(mix.training_order(0, 2), processes=Processes(rank, 3))) for rank in range(3)]
    for batch, *shared in zip(whole, *parts, strict=True):
        assert torch.equal(torch.cat([part.frames for part in shared]), batch.frames)
        assert [part.part.whole for part in shared] == [batch.part.whole] * 3
    steps = np.array([batch.part.is_last for batch in whole])
    assert steps.nonzero()[0].tolist() == [3, 7, 11, 15, 17]
    weights = [sum(batch.part.weight for batch in whole[first : first + 4]) for first in range(0, 18, 4)]
    assert weights == pytest.approx([1.0] * 5)
