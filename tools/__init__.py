"""Programs beside the three scripts: `python -m tools.NAME`, in a bare clone too."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "lib"))
if sys.argv[0] == "-m":  # what `python -m` runs, while it looks for it
    from kinemesh.__main__ import begin

    begin()
