"""Meshes of the people in a video, from its 2D keypoints. See README.md and docs/inference.md."""

import sys

from lib.infer_arguments import main

if __name__ == "__main__":
    sys.exit(main())
