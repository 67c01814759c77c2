"""What the parsers of all commands share: complaints in one line, and the flags that several have."""

import argparse
import itertools
import sys
from pathlib import Path
from typing import NoReturn

from kinemesh.errors import UserError


class OneLineParser(argparse.ArgumentParser):
    """A parser whose complaints are UserErrors; a value that is empty, as of a variable that is not set, is one."""

    def parse_args(self, args=None, namespace=None):
        args = sys.argv[1:] if args is None else list(args)
        for before, value in itertools.pairwise(("", *args)):
            flag, is_joined, text = value.partition("=")
            if value == "" or (flag.startswith("--") and is_joined and not text):
                self.error(f"argument {flag or before}: is empty. Expected a value")
        return super().parse_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        command = self.prog if self.prog.startswith("python ") else f"python {self.prog}"
        raise UserError(f"{message}. See {command} --help.")


def command_parser(module: str, description: str) -> OneLineParser:
    """The parser of `python -m module`; `description` is laid out."""
    return OneLineParser(
        prog=f"python -m {module}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def shipped_file(name: str) -> str:
    """A file of the repository: as named in its folder, from elsewhere by the place that the package is installed from."""
    place = Path(__file__).parents[4] / name
    return str(place) if place.is_file() and not Path(name).is_file() else name


def add_common_flags(parser: argparse.ArgumentParser) -> None:
    """The flags that every script has."""
    parser.add_argument(
        "--device", default="auto", metavar="NAME", help="auto, cpu, cuda or cuda:N (default: %(default)s)"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="overrides",
        help="override a config key; repeatable",
    )


def add_fit_flag(parser: argparse.ArgumentParser, what: str) -> None:
    """--fit of what scores bodies, where fitting is an extra."""
    parser.add_argument("--fit", choices=("keypoints", "none"), default="none", help=f"{what} (default: %(default)s)")
