"""From the command line to a run, and from what went wrong to an exit status; light to import, so that --help is instant."""

import errno
import sys
from collections.abc import Callable, Sequence

from kinemesh.config import load_config
from kinemesh.errors import UserError, missing_packages_told, printable
from kinemesh.machine.log import forgiving_console, set_up_console
from kinemesh.machine.stopping import Stopped, handled_by, import_slow, leave, speaks, stop_at_once
from kinemesh.program.flags.training import Task, parse_arguments, run_options

# Of the operating system, about a path that it was given.
_FAULTS_OF_NAMES = (errno.ENAMETOOLONG, errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENOTDIR)


def main(task: Task, argv: Sequence[str] | None = None) -> int:
    """Parse and run; the exit status, see `run_reporting_errors`."""

    def parse_and_run() -> None:
        arguments = parse_arguments(task, argv)
        options = run_options(task, arguments)
        set_up_console(is_quiet=not speaks())
        config = load_config(arguments.config, arguments.overrides)
        import_slow("kinemesh.program.train").run(options, config)

    return leave(run_reporting_errors(parse_and_run))


def run_reporting_errors(program: Callable[[], None], when_stopped: str = "") -> int:
    """Run and turn what went wrong into an exit status.

    2 for the user's errors, 130 for Ctrl-C, 143 for SIGTERM, 129 for a terminal that was closed, 0 otherwise.
    `when_stopped` is said where a signal ended it, instead of what training says.
    """
    try:
        with handled_by(stop_at_once), missing_packages_told():
            if sys.platform == "win32":
                raise UserError(
                    "Windows has no file locks and links as they are needed here. Run it in WSL, as on Linux."
                )
            program()
    except UserError as error:
        _say(f"error: {error}")
        return 2
    except OSError as error:
        # A name that is too long, a folder that may not be entered: what looks for a file meets it anywhere.
        if error.errno not in _FAULTS_OF_NAMES or error.filename is None:
            raise
        _say(f"error: {UserError(f'{error.filename}: {error.strerror}. Expected a file or folder that can be used.')}")
        return 2
    except Stopped as stopped:
        if speaks():
            _say(printable(str(when_stopped or stopped)))
        return stopped.exit_status
    return 0


def _say(line: str) -> None:
    with forgiving_console():
        print(line, file=sys.stderr, flush=True)
