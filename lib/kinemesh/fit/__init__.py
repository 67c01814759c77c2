"""Bodies fitted to the 2D keypoints of a whole track: see docs/fit.md. Nothing but inference knows of it, by one call."""

# What bodies may be fitted to: "none" leaves them the estimator's.
FITS = ("keypoints", "none")
