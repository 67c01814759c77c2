"""`python -m kinemesh COMMAND ...`, with lib on the path or the package installed."""

import sys

from kinemesh.program.console import main

sys.exit(main())
