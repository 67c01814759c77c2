"""Several processes that train or score one model together, as `torchrun` starts them, or one alone.

Each sees its own part of every batch; sums over all of them make the result that one process would have. Tensors on
the CPU go through gloo, those on CUDA devices through NCCL.
"""

import contextlib
import os
import re
from collections.abc import Iterator
from typing import NamedTuple, TypeVar

import torch
import torch.distributed as distributed
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from kinemesh.errors import UserError
from kinemesh.machine.shared_batch_norm import share_batch_norm

Value = TypeVar("Value")

# Where gloo raises, which it says in an exception without a type of its own: "[.../gloo/transport/tcp/pair.cc:553] ...".
_FROM_GLOO = re.compile(r"\[\S*\bgloo/\S+:\d+\]")


class Processes(NamedTuple):
    """Which of how many processes this one is."""

    rank: int = 0
    count: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this is the one process that writes files and speaks."""
        return self.rank == 0

    def share(self, start: int, stop: int) -> tuple[int, int]:
        """This process's part of the places from `start` up to `stop`; sizes differ by one at most and may be 0."""
        size = stop - start
        return start + size * self.rank // self.count, start + size * (self.rank + 1) // self.count

    def add_up(self, values: Tensor) -> Tensor:
        """The sum over all processes, in place."""
        if self.count > 1:
            distributed.all_reduce(values)
        return values

    def largest(self, number: int) -> int:
        """The largest of all processes' numbers; all of them wait here for one another, but not for a CUDA device."""
        if self.count == 1:
            return number
        found = torch.tensor(int(number))
        distributed.all_reduce(found, distributed.ReduceOp.MAX)
        return int(found)

    def barrier(self) -> None:
        """All processes wait here for one another, but not for a CUDA device."""
        self.largest(0)

    def gather(self, value: Value) -> list[Value]:
        """Every process's value, in the order of ranks."""
        if self.count == 1:
            return [value]
        values: list[Value | None] = [None] * self.count
        distributed.all_gather_object(values, value)
        return values

    @contextlib.contextmanager
    def main_first(self) -> Iterator[None]:
        """The main process goes through the block alone, then the others do: what it makes, they find."""
        if not self.is_main:
            self.barrier()
        yield
        if self.is_main:
            self.barrier()


def started_processes() -> Processes:
    """What `torchrun` says of this process in its environment; without it, one alone."""
    try:
        return Processes(int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1")))
    except ValueError as error:
        raise UserError(f"RANK or WORLD_SIZE in the environment is no number ({error}). Start with torchrun.") from None


@contextlib.contextmanager
def joined(device: torch.device) -> Iterator[Processes]:
    """Join the processes that were started together; on leaving, part from them.

    Raises `UserError` where they cannot reach one another, or another of them fails meanwhile.
    """
    processes = started_processes()
    if processes.count == 1:
        yield processes
        return
    is_cuda = device.type == "cuda"
    if is_cuda:
        torch.cuda.set_device(device)
    try:
        distributed.init_process_group(
            "cpu:gloo,cuda:nccl" if is_cuda else "gloo", device_id=device if is_cuda else None
        )
    except (RuntimeError, ValueError) as error:
        raise UserError(
            f"process {processes.rank} of {processes.count} cannot join the others ({error}). Start all of them with "
            f"torchrun --nproc_per_node=N train_mesh.py ..."
        ) from error
    try:
        yield processes
    except RuntimeError as error:
        # A peer that is gone closes its connections, and whoever waits for it gets this.
        if not isinstance(error, distributed.DistError) and not _FROM_GLOO.search(str(error)):
            raise
        raise UserError(
            f"process {processes.rank} of {processes.count} lost another one, which has failed: its message says why. "
            f"Start the run again, it goes on from its last checkpoint."
        ) from error
    finally:
        with contextlib.suppress(RuntimeError):
            distributed.destroy_process_group()


def join_model(model: nn.Module, processes: Processes, device: torch.device) -> nn.Module | None:
    """What to call in training so that all processes train one model; None for one process, which calls its own.

    Its backward pass gives each parameter the mean over processes of the gradients. Call it once the optimizer is
    built.
    """
    if processes.count == 1:
        return None
    share_batch_norm(model)
    # A gradient that never comes would be waited for. The optimizer goes on listing these.
    for parameter in model.backbone.unused_parameters():
        parameter.requires_grad_(False)
    devices = [device] if device.type == "cuda" else None
    return DistributedDataParallel(model, device_ids=devices)
