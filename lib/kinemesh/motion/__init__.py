"""The procedural generator of human motion."""
