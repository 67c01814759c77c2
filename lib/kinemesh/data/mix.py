"""Trains on several datasets at a time: each batch is of one of them, which comes as often as its weight says.

An epoch has as many batches as theirs together. Of a dataset that comes more often than it has batches, further passes
follow in orders of their own; of one that comes less often, the next epoch goes on where this one stopped. All of it
follows from seed, epoch and names alone, so that a resumed run needs nothing stored.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from kinemesh.data.clips import batch_part
from kinemesh.data.loader import ClipLoader, gathered
from kinemesh.machine.processes import Processes
from kinemesh.machine.seeds import named_generator
from kinemesh.structures import Batch


class MixedOrder(NamedTuple):
    """The batches of an epoch, N of them."""

    seed: int
    slots: Tensor  # (N, 3) int64: which loader, which pass over its clips, which batch of the pass


class MixedLoader:
    """The training batches of several loaders, mixed by weight."""

    def __init__(self, loaders: Sequence[ClipLoader], weights: Sequence[float]):
        self.loaders = list(loaders)
        self.counts = shares(sum(map(len, loaders)), weights)
        self._orders: dict[int, tuple[tuple[int, int], Tensor]] = {}  # of each loader the pass in hand

    def __len__(self) -> int:
        return sum(self.counts)

    def training_order(self, seed: int, epoch: int) -> MixedOrder:
        """The batches of an epoch; the same for the same arguments on every machine and process."""
        names = " ".join(loader.split.dataset for loader in self.loaders)
        generator = named_generator(f"mix of {names} {seed} {epoch}")
        parts = []
        for number, (loader, count) in enumerate(zip(self.loaders, self.counts, strict=True)):
            place = torch.arange(epoch * count, (epoch + 1) * count)
            parts.append(
                torch.stack([torch.full_like(place, number), place // len(loader), place % len(loader)], dim=1)
            )
        # Where a dataset's batches come is drawn; they come in the order of its passes.
        turns = torch.repeat_interleave(torch.arange(len(parts)), torch.tensor(self.counts))
        turns = turns[torch.randperm(len(self), generator=generator)]
        slots = torch.empty(len(self), 3, dtype=torch.int64)
        for number, part in enumerate(parts):
            slots[turns == number] = part
        return MixedOrder(seed, slots)

    def training_batches(
        self, order: MixedOrder, first: int = 0, accumulation: int = 1, processes: Processes | None = None
    ) -> Iterator[Batch]:
        """As those of a ClipLoader."""
        processes = processes or Processes()
        wholes = []

        def parts() -> Iterator[tuple[ClipLoader, Tensor]]:
            for slot in order.slots[first:].tolist():
                loader, ids = self._clips(order.seed, *slot)
                wholes.append(len(ids))
                yield loader, ids[slice(*processes.share(0, len(ids)))]

        for number, batch in enumerate(gathered(parts()), start=first):
            yield batch._replace(part=batch_part(number, wholes[number - first], len(self), accumulation, processes))

    def clips_of_batch(self, order: MixedOrder, number: int) -> tuple[ClipLoader, Tensor]:
        """A training batch's clips: the loader that has them, and their numbers there (B,)."""
        loader, ids = self._clips(order.seed, *order.slots[number].tolist())
        return loader, ids % loader.clip_count

    def _clips(self, seed: int, number: int, repetition: int, batch: int) -> tuple[ClipLoader, Tensor]:
        loader = self.loaders[number]
        key, order = self._orders.get(number, (None, None))
        if key != (seed, repetition):
            order = loader.training_order(seed, repetition).to(loader.clip_frames.device)
            self._orders[number] = (seed, repetition), order
        start, stop = loader.bounds[batch]
        return loader, order[start:stop]


def shares(total: int, weights: Sequence[float]) -> list[int]:
    """Whole numbers in the ratio of the weights, at least 1 each, whose sum is `total` where that allows."""
    exact = [total * weight / sum(weights) for weight in weights]
    counts = [int(share) for share in exact]
    by_rest = sorted(range(len(exact)), key=lambda place: counts[place] - exact[place])
    for place in by_rest[: total - sum(counts)]:
        counts[place] += 1
    return [max(1, count) for count in counts]
