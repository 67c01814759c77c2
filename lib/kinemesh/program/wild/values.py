"""What the values of `infer_wild_mesh.py`'s flags may be."""

import argparse
import re

from kinemesh.export.formats import FORMATS, MESH_FORMATS
from kinemesh.world import UPS

LARGEST_SIDE = 1 << 16


def whole(least: int):
    def convert(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r}: expected a whole number from {least} on")
        return int(text)

    return convert


def score(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e6:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a number from 0 on")
    return value


def positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a number above 0")
    return value


def seconds(text: str) -> float:
    return 0.0 if text.strip("0.") == "" and "0" in text else positive(text)


def angle(text: str) -> float:
    value = positive(text)
    if not 1 <= value < 179:
        raise argparse.ArgumentTypeError(f"{text!r}: expected degrees, from 1 to below 179")
    return value


def up(text: str) -> str | tuple[float, float]:
    if text in UPS:
        return text
    try:
        pitch, roll = map(float, text.split(","))
    except ValueError:
        pitch = roll = float("nan")
    if not (abs(pitch) <= 90 and abs(roll) <= 180):
        raise argparse.ArgumentTypeError(
            f"{text!r}: expected {', '.join(UPS)}, or PITCH,ROLL in degrees, pitch from -90 to 90, roll from -180 to 180"
        )
    return pitch, roll


def size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,6})[xX](\d{1,6})", text)
    size = (int(match[1]), int(match[2])) if match else (0, 0)
    if not all(0 < side <= LARGEST_SIDE for side in size):
        raise argparse.ArgumentTypeError(f"{text!r}: expected WIDTHxHEIGHT in pixels, for example 1920x1080")
    return size


def formats(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name for name in text.split(",") if name))
    known = tuple(dict.fromkeys(FORMATS + MESH_FORMATS))
    if not names or not set(names) <= set(known):
        raise argparse.ArgumentTypeError(f"{text!r}: expected some of {','.join(known)}")
    return names
