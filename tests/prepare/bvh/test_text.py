"""BVH text: every dialect is read as it is meant; what is none ends in one line, in memory that the file's size bounds."""

import tracemalloc

import numpy as np
import pytest

from kinemesh.prepare.bvh.text import DEEPEST, MOST_JOINTS, read_bvh
from tests.refusals import refused, refuses

GOOD = """HIERARCHY
ROOT Hips
{
\tOFFSET 0 0 0
\tCHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
\tJOINT Bip01 L Thigh
\t{
\t\tOFFSET 1 2 3
\t\tCHANNELS 3 Zrotation Xrotation Yrotation
\t\tEnd Site
\t\t{
\t\t\tOFFSET 0 0 1
\t\t}
\t}
}
MOTION
Frames: 2
Frame Time: 0.05
1 2 3 4 5 6 7 8 9
-1 2e1 .3 4 5 6 7 8 9
"""


def write(path, text):
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        GOOD.replace("\n", "\r\n"),
        "\ufeff" + GOOD,
        GOOD.replace("Hips\n{", "Hips {").replace("\t\t}\n\t}\n}", "}}}"),
        GOOD.replace("position", "POSITION").replace("End Site", "end site").replace("Frame Time:", "Frame  time:"),
        GOOD.replace("1 2 3 4 5 6 7 8 9\n-1", "\n1\t2 3 4 5 6 7 8 9\n\n-1").rstrip(),
        GOOD.replace("\t\tEnd Site\n\t\t{\n\t\t\tOFFSET 0 0 1\n\t\t}\n", ""),
    ],
    ids=["plain", "windows", "mark", "braces", "case", "blanks", "leaf"],
)
def test_dialects(text, tmp_path):
    bvh = read_bvh(write(tmp_path / "a.bvh", text))
    assert bvh.names == ("Hips", "Bip01 L Thigh") and bvh.parents == (-1, 0) and bvh.frame_time_s == 0.05
    assert bvh.offsets.tolist() == [[0, 0, 0], [1, 2, 3]]
    assert bvh.channels[1] == (("rotation", 2), ("rotation", 0), ("rotation", 1))
    assert bvh.first_channels.tolist() == [0, 6]
    assert bvh.values.tolist() == [[1, 2, 3, 4, 5, 6, 7, 8, 9], [-1, 20, 0.3, 4, 5, 6, 7, 8, 9]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "ends at line 0, before its frames"),
        (b"\x00\xff" * 5000, "line 1 is not HIERARCHY"),
        (GOOD[: GOOD.index("CHANNELS 3")], "ends at line 9, before its frames"),
        (GOOD[:-30], "claims 2 frames of 9 channels, 18 numbers, and holds"),
        (GOOD.replace("Frames: 2", f"Frames: {10**15}"), f"claims {10**15} frames"),
        (GOOD.replace("Frames: 2", "Frames: -2"), "line 18 has -2.0 frames"),
        (GOOD.replace("Frames: 2", "Frames: 1e400"), "Expected 1 finite numbers"),
        (GOOD.replace("0.05", "0"), "a frame time of 0.0 s"),
        (GOOD.replace("2e1", "nan"), "frame 1 holds NaN or infinity"),
        (GOOD.replace("2e1", "two"), "its frames hold 'two'"),
        (GOOD.replace("OFFSET 1 2 3", "OFFSET 1 2 inf"), "line 8 has '1 2 inf'"),
        (GOOD.replace("CHANNELS 3", "CHANNELS 999999999"), "line 9 is 'CHANNELS 999999999"),
        (GOOD.replace("Zrotation Xrotation Yrotation\n\t\tEnd", "Zrotation Zrotation Yrotation\n\t\tEnd"), "line 9 is"),
        (GOOD.replace("\tOFFSET 0 0 0\n", ""), "ends joint 'Hips' without an OFFSET"),
        (GOOD.replace("JOINT", "ROOT"), "line 6 has a ROOT in the wrong place"),
        (GOOD.replace("MOTION", "ROOT Other\n{\nOFFSET 0 0 0\n}\nMOTION"), "has a ROOT in the wrong place"),
        (GOOD.replace("JOINT", "BONE"), "line 6 is 'BONE Bip01 L Thigh'"),
        ("HIERARCHY\nROOT a\n{\nOFFSET 0 0 0\n" + "JOINT a\n{\nOFFSET 0 0 0\n" * 10**4, f"at most {MOST_JOINTS} joints, {DEEPEST} deep"),
        ("HIERARCHY\nROOT a\n{\nOFFSET 0 0 0\n" + "JOINT a\n{\nOFFSET 0 0 0\n}\n" * 10**4, f"at most {MOST_JOINTS} joints"),
        ("HIERARCHY" + " " * 10**6 + GOOD, "line 1 has more than 65536 bytes"),
        (GOOD + "1" * 10**7, "holds a number without end"),
    ],
    ids=range(21),
)  # fmt: skip
def test_hostile_files_end_in_one_line(text, message, tmp_path):
    path = write(tmp_path / "a.bvh", text)
    tracemalloc.start()
    with refused(message) as error:
        read_bvh(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert str(error.value).startswith(str(path)) and len(str(error.value)) < 600
    assert peak < 10 * len(text) + 2**23  # what is read at once


def test_a_folder_and_a_missing_file_are_told(tmp_path):
    for path in (tmp_path, tmp_path / "none.bvh"):
        refuses("cannot be read", read_bvh, path)


def test_memory_is_a_small_multiple_of_the_file(tmp_path):
    rng = np.random.default_rng(0)
    rows = "\n".join(" ".join(f"{value:.4f}" for value in row) for row in rng.normal(0, 50, (30000, 9)))
    text = GOOD.split("Frames", maxsplit=1)[0] + "Frames: 30000\nFrame Time: 0.01\n" + rows
    path = write(tmp_path / "a.bvh", text)
    tracemalloc.start()
    assert read_bvh(path).values.shape == (30000, 9)
    assert tracemalloc.get_traced_memory()[1] < 4 * len(text) + 2**24
    tracemalloc.stop()
