"""Reads YAML as plain values: text, numbers, lists and mappings, from small regular files.

`!include other.yaml`, relative to the file that asks for it, may stand for a value. Beyond PyYAML's safe loader, which
runs nothing either: no aliases, with which a few lines become gigabytes; no key twice; limits on size and depth.
"""

import stat
from pathlib import Path

import yaml

from kinemesh.errors import UserError

# A config is 2 KiB. PyYAML takes seconds for megabytes, and quadratic time for a number in base 60.
MAX_BYTES = 1 << 16
MAX_FILES = 50


def read_yaml(path: Path) -> object:
    """The content of a YAML file and of those that it includes.

    Raises `UserError` for a file that is missing, not a regular file, larger than MAX_BYTES, not valid, or that
    includes itself or more than MAX_FILES.
    """
    return _read(path, (), [])


def parse_yaml(text: str, what: str) -> object:
    """The value of a YAML text; `what` begins the message if it is none."""
    return _parse(text, what)


class _Loader(yaml.SafeLoader):
    """SafeLoader that also refuses duplicate keys and aliases, which no config needs, and knows `!include`.

    `including` are the files whose content this one becomes part of, `opened` all files so far.
    """

    path: Path | None = None
    including: tuple[Path, ...] = ()
    opened: list[Path]

    def compose_node(self, parent, index):
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases (*name) are not allowed")
        return super().compose_node(parent, index)

    def construct_mapping(self, node, deep=False):
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise yaml.YAMLError(f"key {str(key)[:40]!r} is not text")
            if key in seen:
                raise yaml.YAMLError(f"key '{key[:40]}' stands twice")
            seen.add(key)
        return super().construct_mapping(node, deep)


def _include(loader: _Loader, node: yaml.Node) -> object:
    if loader.path is None:
        raise yaml.YAMLError("!include works in files only")
    if not isinstance(node, yaml.ScalarNode):
        raise yaml.YAMLError("!include needs the name of a file")
    return _read(loader.path.parent / node.value, loader.including, loader.opened)


_Loader.add_constructor("!include", _include)


def _read(path: Path, including: tuple[Path, ...], opened: list[Path]) -> object:
    where = str(path)[:200]
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise UserError(f"{where} is not a regular file. Give a YAML file, such as configs/mesh/MB_demo.yaml.")
        if status.st_size > MAX_BYTES:
            raise UserError(f"{where} has {status.st_size} bytes, expected a YAML file of at most {MAX_BYTES}.")
        resolved = path.resolve()
        with path.open("rb") as file:
            text = file.read(MAX_BYTES).decode("utf-8")
    except FileNotFoundError:
        raise UserError(f"{where} not found. Give a YAML file, for example configs/mesh/MB_demo.yaml.") from None
    except (ValueError, OSError) as error:
        raise UserError(f"{where}: cannot be read as text ({str(error)[:200]}).") from None
    if resolved in including:
        raise UserError(f"{where}: includes itself through !include. Remove the circle.")
    if len(opened) >= MAX_FILES:
        raise UserError(f"{where}: is one of more than {MAX_FILES} files that !include asks for. Write fewer.")
    opened.append(resolved)
    return _parse(text, where, path=path, including=(*including, resolved), opened=opened)


def _parse(text: str, what: str, **place) -> object:
    loader = None
    try:
        loader = _Loader(text)
        vars(loader).update(place)
        return loader.get_single_data()
    except yaml.YAMLError as error:
        problem = _problem(error)
    except RecursionError:
        problem = "nested too deep"
    # What SafeLoader's own constructors raise on a tag such as !!int or !!timestamp with another text.
    except (ValueError, KeyError, IndexError, AttributeError, TypeError, OverflowError) as error:
        problem = f"{type(error).__name__}: {error}"
    finally:
        if loader is not None:
            loader.dispose()
    raise UserError(f"{what}: not valid YAML ({problem[:200]}).")


def _problem(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error)
    return f"line {mark.line + 1}: {problem}" if mark else problem
