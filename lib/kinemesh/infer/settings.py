"""The choices that `infer_wild_mesh.py` leaves to its user, as values."""

import math
from dataclasses import dataclass
from numbers import Real

from kinemesh.errors import UserError, require_one_of
from kinemesh.fit import FITS
from kinemesh.world import UPS

WINDOWS = ("overlap", "released")
_LARGEST_FPS = 1000


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
    up: str | tuple[float, float] = "auto"  # from the bodies, "camera", or the camera's pitch and roll in degrees
    fit: str | None = None  # "keypoints" (kinemesh.fit), the default, or "none", that of windows "released"

    def __post_init__(self):
        """Raise UserError for a value that cannot be meant."""
        if self.fit is None:
            object.__setattr__(self, "fit", "none" if self.windows == "released" else "keypoints")
        if isinstance(self.up, str):
            require_one_of("up", self.up, UPS)
        elif not (
            len(self.up) == 2 and all(abs(angle) <= most for angle, most in zip(self.up, (90, 180), strict=True))
        ):
            raise UserError(f"up {self.up!r}: expected pitch from -90 to 90 and roll from -180 to 180 degrees.")
        require_one_of("windows", self.windows, WINDOWS)
        require_one_of("fit", self.fit, FITS)
        for name, least in (("smooth_s", 0), ("longest_gap", 0), ("focal_px", 1e-3)):
            value = getattr(self, name)
            if value is not None and not least <= value < math.inf:
                raise UserError(f"{name} {value!r}: expected a number from {least:g} on.")
        if self.windows == "released" and self.fit != "none":
            raise UserError(
                f"fit {self.fit!r} does not go with windows 'released', whose mean of two bodies is no body."
            )

    def smoothing_radius(self, fps: float) -> int:
        """Frames on both sides of one that the filter of rotations sees."""
        # A parabola through three frames or fewer would change nothing.
        return max(2, round(self.smooth_s * fps / 2)) if self.smooth_s else 0


def check_rate(fps: object) -> None:
    """Raise UserError for what is no rate of frames."""
    if not (isinstance(fps, Real) and 0 < fps <= _LARGEST_FPS):
        said = f"{fps:g}" if isinstance(fps, Real) else repr(fps)
        raise UserError(f"--fps {said}: expected frames a second, above 0 and at most {_LARGEST_FPS}.")
