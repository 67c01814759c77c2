"""Motion -> camera -> 2D keypoints as a detector would report them, a batch at a time on the training device."""
