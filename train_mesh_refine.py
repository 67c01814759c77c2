"""Train or evaluate a refiner of another estimator's SMPL output. See README.md."""

import signal
import sys

if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends the imports below without a traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "lib"))
from kinemesh.program.cli import main
from kinemesh.program.flags.training import REFINER

if __name__ == "__main__":
    sys.exit(main(REFINER))
