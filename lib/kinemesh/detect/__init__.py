"""2D keypoints of everybody in a video: pictures in, `kinemesh.keypoints.Detections` out, whichever network it was."""
