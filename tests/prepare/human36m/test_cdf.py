"""CDF files hold what cdflib, another reader and the writer of most of them, says they do; nothing that they claim is believed."""

import struct

import numpy as np
import pytest

from kinemesh.prepare.human36m.cdf import read_cdf
from tests.refusals import refuses
from tools.published.moon import write_cdf

cdflib = pytest.importorskip("cdflib")
VALUES = np.random.default_rng(0).normal(size=(3, 5, 4))


@pytest.mark.parametrize("majority", ["row_major", "column_major"])
@pytest.mark.parametrize(("compress", "whole"), [(0, 0), (6, 0), (0, 6)])
@pytest.mark.parametrize("encoding", [1, 6])  # big-endian, little-endian
def test_every_way_of_storing_gives_the_same_numbers(majority, compress, whole, encoding, tmp_path):
    for values in (VALUES, VALUES[0].astype("f4")):
        ways = {"Majority": majority, "Compress": compress, "Compressed": whole, "Encoding": encoding}
        path = write_cdf(tmp_path / "a.cdf", values, **ways)
        read = read_cdf(path, "pose", what="x")
        assert read.dtype == values.dtype
        np.testing.assert_array_equal(read, cdflib.CDF(str(path)).varget("Pose"))
        if majority == "row_major":
            np.testing.assert_array_equal(read, values)


def narrow_cdf(values: np.ndarray) -> bytes:
    """The layout of version 2.6, of four bytes an offset, with an index in an index, as NASA's description has it."""
    records, name = len(values), b"Pose".ljust(64, b"\0")
    cdr = struct.pack(">11i", 312, 1, 320, 2, 6, 6, 3, 0, 0, 1, 0).ljust(312, b"\0")
    gdr = struct.pack(">15i", 60, 2, 0, 380, 0, 0, 0, 0, -1, 0, 1, 0, 0, 0, 0)
    sizes = values.shape[1:]
    head = struct.pack(">16i", 136 + 8 * len(sizes), 8, 0, 45, records - 1, 532, 532, 1, 0, 0, 0, 0, 1, 0, -1, 0)
    vdr = head + name + struct.pack(f">{1 + 2 * len(sizes)}i", len(sizes), *sizes, *[-1] * len(sizes))
    vdr = vdr.ljust(152, b"\0")
    outer = struct.pack(">8i", 32, 6, 0, 1, 1, 0, records - 1, 564)
    half = records // 2
    inner = struct.pack(">11i", 44, 6, 0, 2, 2, 0, half, half - 1, records - 1, 608, 616 + values[:half].nbytes)
    parts = (values[:half], values[half:])
    blocks = b"".join(struct.pack(">2i", 8 + part.nbytes, 7) + part.astype("<f8").tobytes() for part in parts)
    return bytes.fromhex("cdf260020000ffff") + cdr + gdr + vdr + outer + inner + blocks


def test_files_of_version_2_are_read(tmp_path):
    (tmp_path / "a.cdf").write_bytes(narrow_cdf(VALUES))
    np.testing.assert_array_equal(cdflib.CDF(str(tmp_path / "a.cdf")).varget("Pose"), VALUES)
    np.testing.assert_array_equal(read_cdf(tmp_path / "a.cdf", "Pose", what="x"), VALUES)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content[:200], "CDR|GDR|ends early"),
        (lambda content: b"CDF" + content[3:], "expected a CDF of version 2.6 or 3"),
        (lambda content: content.replace(b"Pose", b"Nose"), "it has no variable 'Pose', only Nose"),
        (lambda content: content.replace(struct.pack(">3i", 3, 5, 4)[4:], struct.pack(">2i", 1 << 20, 1 << 10)), "claims 3 records of shape"),
        (lambda content: content[:-9], "VXR|ends early"),
    ],
)  # fmt: skip
def test_what_is_no_such_file_is_one_line(change, message, tmp_path):
    path = write_cdf(tmp_path / "a.cdf", VALUES)
    path.write_bytes(change(path.read_bytes()))
    refuses(message, read_cdf, path, "Pose", what="a recording")
