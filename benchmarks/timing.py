"""Interleaved timing, the machine's matrix speed, and the tables that the benchmarks print and keep."""

import argparse
import datetime
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

RESULTS = Path(__file__).parent / "results"


def interleaved_ms(
    functions: dict[str, Callable[[], object]], device: torch.device, rounds: int, warm_up: int = 2
) -> dict[str, list[float]]:
    """Each function's times in ms, one call of each in turn, so that a slow minute of the machine hits all alike.

    CUDA events time the device; on a CPU the wall clock does.
    """
    for _ in range(warm_up):
        for function in functions.values():
            function()
    times: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(rounds):
        for name, function in functions.items():
            times[name].append(_cuda_ms(function) if device.type == "cuda" else _wall_ms(function))
    return times


def _wall_ms(function: Callable[[], object]) -> float:
    began = time.perf_counter()
    function()
    return 1e3 * (time.perf_counter() - began)


def _cuda_ms(function: Callable[[], object]) -> float:
    begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    begin.record()
    function()
    end.record()
    torch.cuda.synchronize()
    return begin.elapsed_time(end)


def median_ratio(baseline: list[float], own: list[float]) -> float:
    """Median over the rounds of baseline / ours: how many times faster we are."""
    return statistics.median(b / o for b, o in zip(baseline, own, strict=True))


def matrix_flops(device: torch.device, dtype: torch.dtype = torch.float32, size: int = 0) -> float:
    """Floating-point operations a second that a large square product reaches here, the best of some tries."""
    size = size or (8192 if device.type == "cuda" else 1024)
    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    times = interleaved_ms({"product": lambda: a @ b}, device, rounds=20)["product"]
    return 2 * size**3 / (min(times) / 1e3)


def peak_growth_mib(function: Callable[[], object]) -> int:
    """By how many MiB a call raises this process's memory at its peak (Linux: proc(5), clear_refs and status)."""
    Path("/proc/self/clear_refs").write_text("5")
    before = _status_mib("VmRSS")
    function()
    return _status_mib("VmHWM") - before


def _status_mib(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) // 1024


def describe(device: torch.device) -> str:
    """Device, versions and date, for the head of a table."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{_processor()}, CPU"
    threads = f", {torch.get_num_threads()} threads" if device.type == "cpu" else ""
    versions = f"PyTorch {torch.__version__.split('+')[0]}, Python {platform.python_version()}"
    return f"{name}{threads}; {versions}; {datetime.date.today().isoformat()}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def table(rows: list[tuple]) -> str:
    """A Markdown table; the first row is its head."""
    cells = [[_number(cell) if isinstance(cell, float) else str(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    lines = [
        "| " + " | ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)) + " |" for row in cells
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def report(name: str, text: str, is_kept: bool) -> None:
    """Print a result and, where asked, keep it as benchmarks/results/<name>.md."""
    print(text)
    if is_kept:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{name}.md").write_text(text + "\n", encoding="utf-8")


def parser(doc: str) -> argparse.ArgumentParser:
    """The flags that all benchmarks share."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads (default: PyTorch's own choice)")
    parser.add_argument("--keep", action="store_true", help="write the result to benchmarks/results/")
    return parser
