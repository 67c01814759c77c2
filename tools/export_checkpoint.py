"""Writes a checkpoint of ours in the layout of the released code, or a released one in ours. See --help."""

import sys

from kinemesh.program.console import main

if __name__ == "__main__":
    sys.exit(main(["export", *sys.argv[1:]]))
