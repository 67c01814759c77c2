import numpy as np
import pytest

from kinemesh.errors import UserError
from kinemesh.program.datasets import held_out_videos

NAMES = [f"video_{number:03d}" for number in range(40)]


class TestHeldOutVideos:
    def test_share_and_repeatability(self):
        found = held_out_videos(NAMES, 0.25)
        assert found.sum() == 10
        assert (found == held_out_videos(NAMES, 0.25)).all()

    def test_follow_from_names_not_places(self):
        order = np.random.default_rng(0).permutation(40)
        shuffled = held_out_videos([NAMES[place] for place in order], 0.25)
        assert (shuffled == held_out_videos(NAMES, 0.25)[order]).all()

    def test_a_larger_share_holds_out_the_same_and_more(self):
        small, large = held_out_videos(NAMES, 0.1), held_out_videos(NAMES, 0.5)
        assert (large | ~small).all()

    @pytest.mark.parametrize(("share", "count"), [(0.001, 1), (0.99, 39)])
    def test_at_least_one_and_not_all(self, share, count):
        assert held_out_videos(NAMES, share).sum() == count

    def test_runs_of_one_name_go_together(self):
        found = held_out_videos(["a", "b", "a", "c", "b"], 0.5)
        assert found[0] == found[2]
        assert found[1] == found[4]

    def test_one_video(self):
        with pytest.raises(UserError, match="val_split 0.5: 1 training video. Expected two or more"):
            held_out_videos(["a", "a"], 0.5)
