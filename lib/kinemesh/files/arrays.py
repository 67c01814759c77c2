"""Lists out of a file as arrays, where a few bytes may stand for a list of lists without end."""

import math
from typing import Any

import numpy as np

# A name or path. As a row of an array of text it would set the size of all rows.
LONGEST_TEXT = 4096
# Items that a list may have beyond those that the file holds, by holding one list many times.
SHARED_ITEMS = 10_000_000


def array_of(value: Any) -> np.ndarray:
    """np.asarray, for what kinemesh.files.pickles or kinemesh.files.joblib gave.

    Raises ValueError for lists of unequal rows, that hold themselves, that repeat one list until it fills the memory,
    or that hold text of more than LONGEST_TEXT characters.
    """
    counts: dict[int, float] = {}
    held = 0

    def count_of(item: Any) -> float:
        nonlocal held
        kind = type(item)
        if kind in (str, bytes) and len(item) > LONGEST_TEXT:
            raise ValueError(f"text of {len(item)} characters")
        if kind not in (list, tuple):
            return item.size if kind is np.ndarray else 1
        if id(item) not in counts:
            counts[id(item)] = math.inf  # until it is known: a list may hold itself
            held += len(item)
            are_numbers = set(map(type, item)) <= {int, float, bool}
            counts[id(item)] = len(item) if are_numbers else sum(map(count_of, item))
        return counts[id(item)]

    count = count_of(value)
    if count > held + SHARED_ITEMS and type(value) in (list, tuple):
        raise ValueError("lists that hold one another over and over")
    try:
        return np.asarray(value)
    except ValueError:
        raise ValueError("a list of unequal rows") from None
