"""`python -m kinemesh COMMAND ...`, with lib on the path or the package installed."""

import signal
import sys


def run() -> int:
    """The command; its exit status. Ctrl-C before anything listens for it ends the program without a traceback."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from kinemesh.program.console import main  # what has to be imported under it

    return main()


if __name__ == "__main__":
    sys.exit(run())
