"""Meshes of the people in a video, from its 2D keypoints. See README.md and docs/inference.md."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "lib"))
from kinemesh.__main__ import begin

if __name__ == "__main__":
    begin()  # before what is slow to import, or missing
from kinemesh.program.wild.cli import main

if __name__ == "__main__":
    sys.exit(main())
