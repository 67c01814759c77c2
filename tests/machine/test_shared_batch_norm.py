"""Two processes with a part of the rows each, against one with all of them."""

import copy

import pytest
import torch
import torch.distributed as distributed
import torch.multiprocessing
from torch import nn

from kinemesh.machine.shared_batch_norm import SharedBatchNorm, share_batch_norm

SHAPES = [(7, 5), (7, 5, 4)]


def reference(shape: tuple[int, ...]) -> tuple[nn.BatchNorm1d, torch.Tensor]:
    torch.manual_seed(len(shape))
    norm = nn.BatchNorm1d(shape[1]).double()
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    return norm, torch.randn(shape, dtype=torch.float64) * 3 + 5


def step(norm: nn.Module, rows: torch.Tensor) -> dict[str, torch.Tensor]:
    rows = rows.clone().requires_grad_()
    out = norm(rows)
    (out.square().sum() + out.sin().sum()).backward()
    return {"out": out.detach(), "rows": rows.grad, **{name: p.grad for name, p in norm.named_parameters()}}


def work(rank: int, folder: str, first_sizes: list[int]) -> None:
    """One of two processes: for each shape and split of the rows, what it finds, to a file."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    found = []
    for shape in SHAPES:
        for first in first_sizes:
            norm, rows = reference(shape)
            holder = nn.Sequential(norm)
            share_batch_norm(holder)
            assert type(holder[0]) is SharedBatchNorm
            own = rows[:first] if rank == 0 else rows[first:]
            result = step(holder[0], own)
            for name in ("weight", "bias"):
                distributed.all_reduce(result[name])
            found.append(result | dict(holder[0].named_buffers()))
    torch.save(found, f"{folder}/{rank}.pt")
    distributed.destroy_process_group()


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("processes")
    torch.multiprocessing.spawn(work, (str(folder), [3, 7]), nprocs=2)
    return [torch.load(folder / f"{rank}.pt") for rank in (0, 1)]


@pytest.mark.parametrize("case", range(4), ids=["rows", "rows, none in one", "clips", "clips, none in one"])
def test_equals_one_process(found, case):
    norm, rows = reference(SHAPES[case // 2])
    expected = step(norm, rows) | dict(norm.named_buffers())
    parts = [ranks[case] for ranks in found]
    for name in ("out", "rows"):
        torch.testing.assert_close(torch.cat([part[name] for part in parts]), expected[name], atol=1e-10, rtol=1e-10)
    for name in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked"):
        for part in parts:
            torch.testing.assert_close(part[name], expected[name], atol=1e-10, rtol=1e-10)


def test_keeps_the_very_parameters_and_is_batch_norm_in_evaluation():
    norm, rows = reference((7, 5))
    holder = nn.Sequential(copy.deepcopy(norm)).eval()
    parameters = list(holder.parameters())
    share_batch_norm(holder)
    assert all(own is other for own, other in zip(holder.parameters(), parameters, strict=True))
    assert list(holder.state_dict()) == [f"0.{name}" for name in norm.state_dict()]
    torch.testing.assert_close(holder(rows), norm.eval()(rows))
