"""Programs beside the three scripts: `python -m tools.NAME`, in a bare clone too."""

import signal
import sys

# What `python -m` runs, while it looks for it.
if sys.argv[0] == "-m" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends the imports to come without a traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "lib"))
