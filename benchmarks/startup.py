"""How soon the program answers, against a script that imports all it needs at its top; and imports, beside PyTorch's."""

import statistics
import subprocess
import sys
from pathlib import Path

import torch

from benchmarks.timing import describe, interleaved_ms, parser, report, table

ROOT = Path(__file__).parent.parent
COMMANDS = {
    "plain: imports alone": [
        "-c",
        "import numpy, scipy.spatial, smplx, torch, torch.utils.tensorboard, tqdm, yaml",
    ],
    "import torch": ["-c", "import torch"],
    "import kinemesh.program.train": ["-c", "import kinemesh.program.train"],
    "import kinemesh.program.wild.run": ["-c", "import kinemesh.program.wild.run"],
    "train_mesh.py --help": ["train_mesh.py", "--help"],
    "train_mesh.py --confg x": ["train_mesh.py", "--confg", "x"],
    "a config with a misspelt key": ["train_mesh.py", "--set", "lr_backbon=1"],
}


def main() -> None:
    flags = parser(__doc__)
    flags.add_argument("--rounds", type=int, default=7)
    arguments = flags.parse_args()
    calls = {name: lambda command=command: _run(command) for name, command in COMMANDS.items()}
    times = interleaved_ms(calls, torch.device("cpu"), arguments.rounds, warm_up=1)
    medians = {name: statistics.median(values) for name, values in times.items()}
    baseline = medians["plain: imports alone"]
    rows = [("", "ms", "baseline / this")]
    rows += [(name, median, f"{baseline / median:.2f}") for name, median in medians.items()]
    report("startup", f"start-up\n{describe(torch.device('cpu'))}\n\n{table(rows)}", arguments.keep)


def _run(command: list[str]) -> None:
    subprocess.run(
        [sys.executable, *command], check=False, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


if __name__ == "__main__":
    sys.exit(main())
