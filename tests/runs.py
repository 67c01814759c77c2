"""Programs in a process of their own, and what a training run has logged."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def run_python(*arguments: str | Path, folder: Path = ROOT, **variables: str) -> subprocess.CompletedProcess:
    """Runs Python on one thread, in a folder and with more variables of the environment; what it prints is kept."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"} | variables
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def logged(folder: Path) -> list[dict]:
    """The metrics of each epoch of the run in a folder."""
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
