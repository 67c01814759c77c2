"""Every frame is one stretch's own, and stretches never grow with a track."""

import pytest
import torch

from kinemesh.fit.stretches import group_stretches


@pytest.mark.parametrize("lengths", [[1], [999, 1001], [3000], [5, 2500, 7, 1000]])
@pytest.mark.parametrize("fps", [10.0, 30.0, 1000.0])
def test_every_frame_belongs_to_one_stretch(lengths, fps):
    starts = torch.tensor([0, *lengths]).cumsum(0)
    counts = torch.zeros(sum(lengths), dtype=torch.int64)
    for group in group_stretches(lengths, fps, torch.device("cpu")):
        assert group.rows.shape[1] <= 1000
        assert group.rows.numel() <= 1000 or len(group.rows) == 1
        counts.index_add_(0, group.rows[group.is_own], torch.ones_like(group.rows[group.is_own]))
        assert (group.is_inside | ~group.is_own).all()
        segments = torch.searchsorted(starts, group.rows, right=True)
        assert (segments == segments[:, :1]).all(), "a stretch reaches over a gap"
        assert (group.rows.diff(dim=1)[group.is_inside[:, 1:]] == 1).all()
    assert (counts == 1).all()
