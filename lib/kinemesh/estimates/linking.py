"""Who is who where a file says only who is in a frame: nearest to nearest, from frame to frame."""

import numpy as np

from kinemesh.errors import fail
from kinemesh.estimates.table import Table

# Frames after which somebody who was not seen is another.
_LONGEST_GAP = 30
# A step too far for one person, in parts of the depth: a person of 1.7 m is seen 0.3 of it away, at 5 m.
_FARTHEST = 0.3
# Depth is told far worse than what lies across.
_DEPTH_SHARE = 0.25
_NEAREST_M = 0.1
_MOST_PEOPLE = 200  # in a frame


def with_people_linked(tables: list[Table]) -> list[Table]:
    """The tables with a person for each row of those that have places instead, over all files of one video.

    Raises UserError for more people in a frame than can be told apart.
    """
    out = list(tables)
    loose = [number for number, table in enumerate(tables) if table.places_m is not None]
    videos: dict[str, list[tuple[int, np.ndarray]]] = {}
    for number in loose:
        names, whose = np.unique(tables[number].video, return_inverse=True)
        rows = np.split(np.argsort(whose, kind="stable"), np.cumsum(np.bincount(whose))[:-1])
        for video, own in zip(names.tolist(), rows, strict=True):
            videos.setdefault(video, []).append((number, own))
    people = {number: np.full(len(tables[number].frame), "", dtype="U24") for number in loose}
    for parts in videos.values():
        frame, places = (
            np.concatenate([getattr(tables[number], name)[rows] for number, rows in parts])
            for name in ("frame", "places_m")
        )
        crowd = int(np.unique(frame, return_counts=True)[1].max())
        if crowd > _MOST_PEOPLE:
            fail(tables[parts[0][0]].path, f"has {crowd} people in a frame", f"at most {_MOST_PEOPLE}")
        if crowd == 1:
            continue  # there is nobody to tell apart
        linked = link(frame, places)
        ends = np.cumsum([len(rows) for _, rows in parts])[:-1]
        for (number, rows), part in zip(parts, np.split(linked, ends), strict=True):
            people[number][rows] = part.astype(str)
    for number in loose:
        out[number] = tables[number]._replace(person=people[number])
    return out


def link(frame: np.ndarray, places_m: np.ndarray) -> np.ndarray:
    """(R,) int64 whose row each is, of frames (R,) and places (R, 3) before a camera; numbered as they appear."""
    depth = places_m[:, 2:].clip(_NEAREST_M)
    seen = np.concatenate((places_m[:, :2] / depth, _DEPTH_SHARE * np.log(depth)), axis=1).astype(np.float64)
    out = np.zeros(len(frame), dtype=np.int64)
    last_seen, last_frame, count = np.zeros((0, 3)), np.zeros(0, dtype=np.int64), 0
    active = np.zeros(0, dtype=np.int64)
    order = np.argsort(frame, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(frame[order])) + 1):
        is_recent = frame[rows[0]] - last_frame <= _LONGEST_GAP
        active, last_seen, last_frame = active[is_recent], last_seen[is_recent], last_frame[is_recent]
        distance = np.linalg.norm(seen[rows][:, None] - last_seen[None], axis=2)
        out[rows] = -1
        is_taken = np.zeros(len(active), dtype=bool)
        # The nearest pair first: whoever is left is far from all that are.
        for pair in np.argsort(distance, axis=None, kind="stable"):
            place, column = divmod(int(pair), len(active))
            if distance[place, column] > _FARTHEST:
                break
            if out[rows[place]] < 0 and not is_taken[column]:
                is_taken[column] = True
                out[rows[place]] = active[column]
                last_seen[column], last_frame[column] = seen[rows[place]], frame[rows[0]]
        new = rows[out[rows] < 0]
        out[new] = count + np.arange(len(new))
        active = np.append(active, out[new])
        last_seen = np.concatenate((last_seen, seen[new]))
        last_frame = np.append(last_frame, frame[new])
        count += len(new)
    return out
