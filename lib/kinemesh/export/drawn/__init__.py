"""People as a video shows them: frame by frame, and eight moments at a glance."""
