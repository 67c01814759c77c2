"""The choices that `infer_wild_mesh.py` leaves to its user, as values."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """How a video is gone through; the defaults are the released script's where it has the choice."""

    is_pixel: bool = False  # keypoints by image width, as in training; else by the box around the person
    is_flip_tested: bool = True
    clip_len: int | None = None  # frames of a window; None: `default_clip_len`
    smooth_s: float = 0.0  # time that the filter of rotations sees; 0: off
    longest_gap: int | None = None  # frames that are filled; None: half a second's
    windows: str = "overlap"  # or "released": as the released script does, see `kinemesh.infer.released`
    focal_px: float | None = None  # None: the image's diagonal
    is_relinked: bool = False  # people by overlap, whatever tracks the keypoints name
    fit: str = "keypoints"  # what bodies are fitted to (kinemesh.fit); "none": they stay the network's

    def smoothing_radius(self, fps: float) -> int:
        """Frames on both sides of one that the filter of rotations sees."""
        # A parabola through three frames or fewer would change nothing.
        return max(2, round(self.smooth_s * fps / 2)) if self.smooth_s else 0
