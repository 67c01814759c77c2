"""What is cut short or asks for the absurd is told before it is loaded, and data is stepped over."""

import pickle
import struct

import pytest

from kinemesh.files.pickle_limits import NotAPickle, Refused, Truncated, scan_pickle


@pytest.fixture
def scan(tmp_path):
    def scan_bytes(content: bytes) -> int:
        path = tmp_path / "file.pkl"
        path.write_bytes(content)
        with path.open("rb") as file:
            scan_pickle(file)
            return file.tell()

    return scan_bytes


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_text_of_every_length_is_stepped_over(protocol, scan):
    values = [["a" * length, "é" * length, b"." * length, bytearray(length)] for length in range(300)]
    assert scan(pickle.dumps(values, protocol)) == 0


def test_data_that_looks_like_opcodes_is_not_read(scan):
    forbidden = b"P\nQ\x82\x97r\xff\xff\xff\xff\xff\xff"
    for opcode, length in ((b"C", "<B"), (b"B", "<I"), (b"\x8e", "<Q"), (b"\x8c", "<B"), (b"X", "<I"), (b"\x8d", "<Q")):
        for repeats in (1, 20):
            data = forbidden * repeats
            assert scan(b"\x80\x04" + opcode + struct.pack(length, len(data)) + data + b".") == 0


@pytest.mark.parametrize("store", [lambda index: b"r" + struct.pack("<I", index), lambda index: b"p%d\n" % index])
def test_memo_indices_may_grow_with_the_file(store, scan):
    filler = b"\x80\x04\x8e" + struct.pack("<Q", 1 << 24) + bytes(1 << 24)
    assert scan(filler + store(1 << 24) + b".") == 0
    with pytest.raises(Refused, match=r"it asks for 33554432 memo entries at byte 16777227"):
        scan(filler + store(1 << 25) + b".")


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"\x80\x04]", Truncated),
        (b"(S'no end of line, and longer than any number", Truncated),
        (b"plain text", NotAPickle),
        (b"\x80\x04]Q.", Refused),
        (b"\x80\x04]" + b"\xff" * 20, pickle.UnpicklingError),
    ],
)
def test_each_fault_is_told_apart(content, fault, scan):
    with pytest.raises(fault):
        scan(content)
