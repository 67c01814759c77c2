"""Train or evaluate an SMPL mesh regressor on 2D keypoint clips. See README.md."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "lib"))
from kinemesh.__main__ import begin

if __name__ == "__main__":
    begin()  # before what is slow to import, or missing
from kinemesh.program.cli import main
from kinemesh.program.flags.training import REGRESSOR

if __name__ == "__main__":
    sys.exit(main(REGRESSOR))
