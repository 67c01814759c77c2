"""How fast the project is, against what one would write first; see README.md."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "lib"))
