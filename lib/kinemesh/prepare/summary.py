"""What preparing found, did and left out: printed, kept in the manifest, and gone on from."""

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np

from kinemesh.machine.progress import progress

logger = logging.getLogger(__name__)

_MOST_TOLD = 10
_NUMBERS = ("parts", "sequences", "frames", "unreadable")
# What was done, why what was dropped, splits, sets, orders of joints; and sums of what is measured, with their frames.
_COUNTERS = ("done", "dropped", "splits", "sets", "orders", "sums")


class Prepared(Protocol):
    """A sequence of either kind."""

    poses: np.ndarray
    split: str
    notes: tuple[str, ...]


class Summary:
    """Counts; plain values, so that work that was stopped goes on from them."""

    def __init__(self, state: dict[str, Any] | None = None):
        state = state or {}
        self.parts, self.sequences, self.frames, self.unreadable = (int(state.get(key, 0)) for key in _NUMBERS)
        self.seconds = float(state.get("seconds", 0.0))
        self.done, self.dropped, self.splits, self.sets, self.orders, self.sums = (
            Counter(state.get(key, {})) for key in _COUNTERS
        )
        self.told, self.files = list(state.get("told", [])), list(state.get("files", []))
        self.names = {key: list(names) for key, names in state.get("names", {}).items()}

    def state(self) -> dict[str, Any]:
        """Plain values, of what is not empty."""
        plain = {key: dict(value) if isinstance(value, Counter) else value for key, value in vars(self).items()}
        return {key: value for key, value in plain.items() if value}

    def left_to_do(self, parts: Sequence, what: str, every: int) -> Iterator:
        """Those behind the parts that were done before, with progress."""
        if self.parts:
            logger.info("going on behind %d of %d %s", self.parts, len(parts), what)
        yield from progress(parts[self.parts :], len(parts), what, every=every, done=self.parts)

    def count(self, sequence: Prepared, times: int) -> None:
        """A sequence that was prepared; what was done to it counts so many times."""
        self.sequences, self.frames = self.sequences + 1, self.frames + len(sequence.poses)
        self.done.update(dict.fromkeys(sequence.notes, times))
        if sequence.split:
            self.splits[sequence.split] += times

    def tell(self, text: str) -> None:
        """Keep why something was left out; the first few are told."""
        if len(self.told) < _MOST_TOLD:
            self.told.append(text)

    def add(self, what: str, frames: int, **errors: float) -> None:
        """Means over frames of what is measured sequence by sequence."""
        self.sums[f"{what} frames"] += frames
        for name, error in errors.items():
            self.sums[f"{what} {name}"] += frames * error

    def mean(self, what: str, name: str) -> float | None:
        """Of all that was added; None where nothing was."""
        frames = self.sums[f"{what} frames"]
        return self.sums[f"{what} {name}"] / frames if frames else None

    def lines(self, parts: str, counted: str, dropped: str) -> list[str]:
        """For the console, with what parts are called, and what is counted of what was done and of what was dropped."""
        length = f", {self.seconds / 60:.1f} minutes" if self.seconds else ""
        lines = [f"{self.parts} {parts} read: {self.sequences} sequences, {self.frames} frames{length}"]
        lines += [f"  {split}: {count} {counted}" for split, count in self.splits.most_common()]
        lines += [f"  {count} {counted}: {what}" for what, count in self.done.most_common()]
        lines += [f"  {self.unreadable} {parts} could not be read"] if self.unreadable else []
        return lines + [f"  dropped {count} {dropped}: {why}" for why, count in self.dropped.most_common()]
