"""What each video of a dataset file shows, where the file says: names of actions, for tables only."""

import numpy as np

from kinemesh.data.folders import CodedText
from kinemesh.files.arrays import LONGEST_TEXT, is_characters

_LARGEST_NUMBER = 1 << 63


def read_actions(values: object, first_rows: np.ndarray) -> list[str] | None:
    """The action of each video: that of its first frame, row `first_rows` (videos,) of `values` (F,), text or numbers.

    None where `values` is no such list or array, or holds what is no name: an action is not needed for anything but a table.
    """
    is_text = isinstance(values, CodedText)
    if not is_text and (not isinstance(values, list | tuple | np.ndarray) or len(np.shape(values[:1])) != 1):
        return None
    if len(values) <= int(first_rows.max(initial=0)):
        return None
    actions = [values[row] for row in first_rows.tolist()]
    is_named = all(
        isinstance(action, str | bytes) or (isinstance(action, int | np.integer) and abs(action) < _LARGEST_NUMBER)
        for action in actions
    )
    names = [_as_text(action) for action in actions] if is_named else []
    return names if is_named and is_characters(names) and max(map(len, names), default=0) <= LONGEST_TEXT else None


def _as_text(action: str | bytes | int) -> str:
    return action.decode("utf-8", "replace") if isinstance(action, bytes) else str(action)
