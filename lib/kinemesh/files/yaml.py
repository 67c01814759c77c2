"""Reads YAML as plain values: text, numbers, lists and mappings, from small regular files.

`!include other.yaml`, relative to the file that asks for it, may stand for a value. Beyond PyYAML's safe loader, which
runs nothing either: no aliases, with which a few lines become gigabytes; no key twice; limits on size and depth.
Plain values become the fields of a dataclass here too, each checked against its type.
"""

import dataclasses
import difflib
import re
import stat
import types
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

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


def fields_of(
    kind: type, values: Mapping[str, object], where: str, sources: Mapping[str, str] = types.MappingProxyType({})
) -> dict:
    """The values of a dataclass's fields, each as its field's type.

    `sources` says of a key where it came from, else it is `where`. Raises `UserError` for a key that is unknown (with
    the nearest known one) or missing, and a value of the wrong type.
    """
    fields = {field.name: field for field in dataclasses.fields(kind)}
    hints = typing.get_type_hints(kind)
    checked = {}
    for key, value in values.items():
        source = sources.get(key, where)
        if key not in fields:
            raise UserError(f"{source}: unknown key '{key[:40]}'.{_nearest(key[:40], fields)}")
        checked[key] = _convert(value, hints[key], key, source)
    required = [name for name, field in fields.items() if field.default is dataclasses.MISSING]
    missing = [name for name in required if name not in checked]
    if missing:
        raise UserError(
            f"{where}: missing {', '.join(repr(name) for name in missing)}. Add it, or copy it from configs/mesh/."
        )
    return checked


_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
# What a float holds exactly, and more than any key needs; NaN is not less either.
_LARGEST_INT = 1 << 53


def _convert(value: object, hint: object, key: str, source: str) -> object:
    """The value as the field's type, or a UserError."""
    options = typing.get_args(hint)
    if typing.get_origin(hint) is tuple and dataclasses.is_dataclass(options[0]):
        return _entries(value, options[0], key, source)
    if typing.get_origin(hint) is Literal:
        if value in options:
            return value
        raise UserError(f"{source}: {key} is {shown(value)}, expected one of {', '.join(map(repr, options))}.")
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        if value is None:
            return None
        hint = next(option for option in options if option is not type(None))
    if hint is bool and isinstance(value, bool):
        return value
    if hint in (str, dict) and isinstance(value, hint):
        return value
    number = number_in(value) if hint in (int, float) else None
    if number is not None and (hint is float or number == int(number)):
        return hint(number)
    if typing.get_origin(hint) is tuple and isinstance(value, list) and all(isinstance(part, str) for part in value):
        return tuple(value)
    expected = {
        bool: "True or False",
        str: "text",
        int: "a whole number",
        float: "a number",
        dict: "'name: value'",
    }.get(hint, "a list of text")
    raise UserError(f"{source}: {key} is {shown(value)}, expected {expected}.")


def number_in(value: object) -> int | float | None:
    """The number that a plain value is, none beyond what a float holds exactly; PyYAML reads 5e-5 (no dot) as text."""
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        value = float(value)
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _LARGEST_INT
    return value if is_number else None


def shown(value: object) -> str:
    """The value for an error, of a length that a line holds."""
    if isinstance(value, int) and abs(value) > _LARGEST_INT:
        return "a number of many digits"
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}..."


def _nearest(key: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(key, list(known), n=1)
    return f" Did you mean '{close[0]}'?" if close else " Remove it, or see docs/configuration.md for the known keys."


def _entries(value: object, kind: type, key: str, source: str) -> tuple:
    """A list of mappings, each as a dataclass."""
    if not isinstance(value, list):
        raise UserError(f"{source}: {key} is {shown(value)}, expected a list of entries, each of 'key: value'.")
    found = []
    for number, entry in enumerate(value, start=1):
        place = f"{source}: {key} entry {number}"
        if not isinstance(entry, dict):
            raise UserError(f"{place} is {shown(entry)}, expected 'key: value'.")
        try:
            found.append(kind(**fields_of(kind, entry, place)))
        except UserError as error:
            text = str(error)
            raise UserError(text if text.startswith(source) else f"{source}: {text}") from None
    return tuple(found)
