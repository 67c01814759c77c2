"""The world that bodies stand in: which way is up, where the floor is, what touches it. See docs/world.md.

Nothing here knows of a network or a fit: points of bodies come in, in the axes in which the camera is known.
"""

# How the vertical is known, where no angles are given.
UPS = ("auto", "camera")
