"""What files say is believed only where it can be: whole numbers, names of files."""

from pathlib import Path

import pytest

from kinemesh.prepare.datasets.json_stream import stream_json
from kinemesh.prepare.datasets.sequences import file_name, numbers, whole
from tests.refusals import refuses


@pytest.mark.parametrize("name", ["", ".", "..", "../a", "a/b", "a\\b", "a\0b", "9" * 300, "é" * 150, 3])
def test_only_what_a_file_may_be_called_becomes_part_of_a_path(name):
    assert file_name("x", "seq_000001", "a sequence") == "seq_000001"
    refuses("a sequence is .*Expected what a file may be called", file_name, "x", name, "a sequence")


def test_numbers_that_cannot_be_meant_are_one_line(tmp_path):
    for value in ("9" * 30, 1 << 60, True, "x", 1.5):
        refuses("a frame is .*Expected a whole number", whole, Path("x"), value, "a frame")
    refuses("'a' holds numbers beyond 1e\\+09", numbers, Path("x"), {"a": [1e200]}, "a", (1,))
    (tmp_path / "a.json").write_text('{"a": {"b": %s}}' % ("9" * 5000))
    refuses("a.json: holds what is no number", list, stream_json(tmp_path / "a.json", "x"))
