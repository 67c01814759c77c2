"""Meshes of the people in a video, from its 2D keypoints. See README.md and docs/inference.md."""

import signal
import sys

if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends the imports below without a traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "lib"))
from kinemesh.program.wild.cli import main

if __name__ == "__main__":
    sys.exit(main())
