"""Frames as video files hold them: drawn on where they are, and the sound beside them."""
