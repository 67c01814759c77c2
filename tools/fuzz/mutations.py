"""Ways to spoil a file: by its bytes, or inside its container so that checksums still fit."""

import io
import zipfile
import zlib

import numpy as np

_INTERESTING = (0, 1, 2, 127, 128, 255, 256, 32767, 65535, 1 << 20, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 40)
_INTERESTING_64 = (*_INTERESTING, 1 << 62, (1 << 63) - 1, (1 << 64) - 1)
_OPCODES = b"(.0123FIJKLMNPQRSTUVXabcdeghijlopqrstu}])\x80\x81\x85\x86\x87\x88\x89\x8a\x8b\x8c\x8d\x8e\x8f\x90\x91\x92\x93\x94\x95\x96\x97\x98"
_TEXTS = (
    b"99999999999", b"-1", b"1e400", b"nan", b"[", b"{", b"!!python/name:os.system", b"!include ", b"*a", b"&a ",
    b"!!int ", b"!!timestamp ", b"!!binary ", b"? ", b"cos\nsystem\n", b"cbuiltins\neval\n", b"torch.Size", b"|O", b"<U0", b"V9",
    b"\\ud800", b"\xed\xa0\x80", b"\xff", b"\x1b[31m", b"\\u001b[2J", b"9" * 5000, b"_" * 5000, b"../", b"/dev/zero",
)  # fmt: skip
# A longer run of one byte is data, which takes most of a file and is the least worth changing.
_RUN = 48


def mutate(rng: np.random.Generator, content: bytes, other: bytes) -> bytes:
    """`content` changed in one to four places; parts of `other`, another file, may be put in."""
    share = rng.random()
    if share < 0.6 and content[:2] == b"PK":
        return _mutate_member(rng, content, other)
    if share < 0.8 and content[:1] == b"\x78":
        return zlib.compress(_mutate_bytes(rng, zlib.decompress(content), other), 1)
    return _mutate_bytes(rng, content, other)


def _mutate_member(rng, content: bytes, other: bytes) -> bytes:
    """A zip archive with one member's content, name, or way of storage changed, and its checksum right."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as archive, zipfile.ZipFile(out, "w") as changed:
        members = archive.infolist()
        # data.pkl, where there is one, is where a checkpoint's structure is.
        chosen = next((n for n, m in enumerate(members) if m.filename.endswith(".pkl") and rng.random() < 0.6), None)
        chosen = int(rng.integers(len(members))) if chosen is None else chosen
        for number, member in enumerate(members):
            data, name, method = archive.read(member), member.filename, member.compress_type
            if number == chosen:
                action = rng.random()
                if action < 0.8:
                    data = _mutate_bytes(rng, data, other)
                elif action < 0.9:
                    name = _mutate_bytes(rng, name.encode(), b"../x").decode("latin1").replace("\0", "") or "x"
                else:
                    method = int(rng.choice([zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2]))
            changed.writestr(zipfile.ZipInfo(name), data, method)
    return out.getvalue()


def _mutate_bytes(rng, content: bytes, other: bytes) -> bytes:
    data = bytearray(content)
    for _ in range(int(rng.choice([1, 1, 1, 2, 3, 4]))):
        if not data:
            break
        _CHANGES[int(rng.integers(len(_CHANGES)))](rng, data, _place(rng, data), other)
    return bytes(data)


def _place(rng, data: bytearray) -> int:
    """A place, most often one where the file has structure."""
    if rng.random() < 0.1:
        return int(rng.integers(len(data)))
    array = np.frombuffer(bytes(data), np.uint8)
    ends = np.flatnonzero(np.diff(array)) + 1
    bounds = np.concatenate([[0], ends, [len(array)]])
    lengths = np.diff(bounds)
    places = np.repeat(lengths < _RUN, lengths).nonzero()[0]
    return int(rng.choice(places)) if len(places) else int(rng.integers(len(data)))


def _flip_bit(rng, data, place, _other):
    data[place] ^= 1 << int(rng.integers(8))


def _set_byte(rng, data, place, _other):
    data[place] = int(rng.integers(256))


def _set_opcode(rng, data, place, _other):
    data[place] = int(rng.choice(list(_OPCODES)))


def _insert_opcodes(rng, data, place, _other):
    data[place:place] = bytes(rng.choice(list(_OPCODES), int(rng.integers(1, 6))).astype(np.uint8))


def _set_number(rng, data, place, _other):
    """A length or count, little-endian or not, of 1 to 8 bytes."""
    size = int(rng.choice([1, 2, 4, 8]))
    value = int(_INTERESTING_64[int(rng.integers(len(_INTERESTING_64)))]) % (1 << (8 * size))
    data[place : place + size] = value.to_bytes(size, "little" if rng.random() < 0.8 else "big")


def _truncate(_rng, data, place, _other):
    del data[place:]


def _delete(rng, data, place, _other):
    del data[place : place + int(rng.integers(1, 40))]


def _repeat(rng, data, place, _other):
    piece = data[place : place + int(rng.integers(1, 60))]
    data[place:place] = piece * int(rng.integers(1, 20))


def _splice(rng, data, place, other):
    start = int(rng.integers(max(1, len(other))))
    piece = other[start : start + int(rng.integers(1, 200))]
    data[place : place + (len(piece) if rng.random() < 0.5 else 0)] = piece


def _insert_text(rng, data, place, _other):
    text = _TEXTS[int(rng.integers(len(_TEXTS)))]
    data[place : place + (len(text) if rng.random() < 0.5 else 0)] = text


def _change_digits(rng, data, place, _other):
    """The next number written as text: a shape, a size, a value of a config."""
    start = next((i for i in range(place, min(len(data), place + 200)) if 48 <= data[i] < 58), None)
    if start is not None:
        end = start
        while end < len(data) and 48 <= data[end] < 58:
            end += 1
        data[start:end] = str(_INTERESTING_64[int(rng.integers(len(_INTERESTING_64)))]).encode()


_CHANGES = (
    _flip_bit, _set_byte, _set_opcode, _insert_opcodes, _set_number, _truncate, _delete, _repeat, _splice,
    _insert_text, _change_digits,
)  # fmt: skip
