"""`python -m kinemesh COMMAND ...`, with lib on the path or the package installed."""

import signal
import sys

from kinemesh.errors import UserError, require_packages


def begin() -> None:
    """What a program does before it imports anything that takes its time, or that may be missing.

    Ctrl-C before anything listens for it then ends the program without a traceback. Where packages are missing it ends with one line and
    exit status 2.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        require_packages("yaml", "tqdm")  # of which reading the command line has need
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


def run() -> int:
    """The command; its exit status."""
    begin()
    from kinemesh.program.console import main  # may be missing something before

    return main()


if __name__ == "__main__":
    sys.exit(run())
