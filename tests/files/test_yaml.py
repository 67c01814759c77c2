"""YAML made to waste memory or time, or to read what is no config."""

import os
import threading

import pytest

from kinemesh.errors import UserError
from kinemesh.files.yaml import MAX_BYTES, MAX_FILES, parse_yaml, read_yaml
from tests.refusals import refused, refuses


@pytest.fixture
def write(tmp_path):
    def write_it(text, name="x.yaml"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write_it


def test_plain_values(write, tmp_path):
    write("[1, two]", "part.yaml")
    path = write("a: 1\nb: {c: 2.5, d: null}\ne: !include part.yaml\nf: !include part.yaml\ng: 'text'\n")
    assert read_yaml(path) == {"a": 1, "b": {"c": 2.5, "d": None}, "e": [1, "two"], "f": [1, "two"], "g": "text"}
    assert parse_yaml("[1, 2]", "here") == [1, 2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: &a [lol, lol]\nb: &b [*a, *a]\nc: [*b, *b]", r"aliases \(\*name\) are not allowed"),
        ("a: &a [*a]", r"aliases"),
        ("a: &a {x: 1}\nb:\n  <<: *a", r"aliases"),
        ("<<: {x: 1}", r"could not determine a constructor for the tag"),
        ("{a: " * 5000, r"nested too deep|line 1"),
        ("- " * 5000, r"nested too deep|line 1"),
        ("a: !!int x", r"ValueError"),
        ("a: !!int ''", r"IndexError"),
        ("a: !!bool perhaps", r"KeyError"),
        ("a: !!timestamp now", r"AttributeError"),
        ("a: !!float x", r"ValueError"),
        ("a: 2020-13-45", r"ValueError: month must be in 1..12"),
        ("a: " + "9" * 5000, r"ValueError: Exceeds the limit"),
        ("? {b: 1}\n: 2", r"is not text"),
        ("? [" + "x, " * 300 + "]\n: 2", r"is not text"),
        ("? !!set {a}\n: 2", r"is not text"),
        ("x" * 5000 + ": 1\n" + "x" * 5000 + ": 2", r"line 1"),
        ("--- 1\n--- 2", r"but found another document"),
        ("a: \x07", r"special characters are not allowed"),
        ("a: !include [b]", r"!include needs the name of a file"),
        ("a: !!python/tuple [1]", r"could not determine a constructor"),
        ("a: !!python/name:os.system", r"could not determine a constructor"),
    ],
)
def test_hostile_text_is_one_short_line(text, message, write):
    with refused(f"x.yaml: not valid YAML \\(.*({message})") as caught:
        read_yaml(write(text))
    assert len(str(caught.value)) < 500


def test_a_large_file_is_not_read_and_numbers_in_base_60_take_no_time(write):
    assert len(read_yaml(write("a: " + "x" * (MAX_BYTES - 3)))["a"]) == MAX_BYTES - 3
    with refused(f"x.yaml has {MAX_BYTES + 1} bytes, expected a YAML file of at most"):
        read_yaml(write("a: " + "x" * (MAX_BYTES - 2)))
    text = "a: 1" + ":1" * 8_000
    read_yaml(write(text))  # quadratic, but of a size that the limit keeps small


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("/dev/zero", "/dev/zero is not a regular file"),
        (".", "is not a regular file"),
        ("pipe", "pipe is not a regular file"),
        ("none.yaml", "none.yaml not found"),
        ("x" * 300, "cannot be read as text"),
        ("a\\0b", "cannot be read as text"),
        ("x.yaml/y", "cannot be read as text"),
    ],
)
def test_include_reads_small_regular_files_only(name, message, write, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    caught = []

    def read():
        try:
            read_yaml(write(f'a: !include "{name}"'))
        except UserError as error:
            caught.append(str(error))

    thread = threading.Thread(target=read, daemon=True)  # a pipe would keep whoever opens it
    thread.start()
    thread.join(20)
    assert caught and message in caught[0]


def test_a_link_to_a_file_elsewhere_is_followed(write, tmp_path):
    (tmp_path / "deep").mkdir()
    write("5", "real.yaml")
    (tmp_path / "deep/link.yaml").symlink_to(tmp_path / "real.yaml")
    path = write("a: !include link.yaml\nb: !include ../real.yaml", "deep/x.yaml")
    assert read_yaml(path) == {"a": 5, "b": 5}


def test_includes_that_multiply_or_go_in_a_circle_end(write):
    write("[" + "!include c.yaml, " * 60 + "]", "b.yaml")
    write("1", "c.yaml")
    with refused(f"c.yaml: is one of more than {MAX_FILES} files that !include asks for"):
        read_yaml(write("[" + "!include b.yaml, " * 60 + "]"))
    write("a: !include x.yaml", "y.yaml")
    refuses("x.yaml: includes itself through !include. Remove the circle", read_yaml, write("a: !include y.yaml"))
