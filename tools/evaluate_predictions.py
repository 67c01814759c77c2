"""Scores files of predicted bodies, of this project or any other system, on the test splits of a config. See --help."""

import sys

from kinemesh.program.console import main

if __name__ == "__main__":
    sys.exit(main(["evaluate", *sys.argv[1:]]))
