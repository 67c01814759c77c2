"""Measures the published results whose data and checkpoints are here, and fills the table of docs/results.md.

    python -m tools.reproduce

A row is measured once: its figures stay in results/reproduce.json with the fingerprint of checkpoint and data, and a
later run goes on with what is missing. `--only NAME` takes one row, `--again` measures anew.
"""

import argparse
import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from kinemesh.config import Config, load_config
from kinemesh.data.sources import RELEASED
from kinemesh.errors import UserError
from kinemesh.files.writing import json_text, write_text_atomically
from kinemesh.program.cli import run_reporting_errors

ROOT = Path(__file__).parent.parent
METRICS = {"mpve": "MPVE", "mpjpe": "MPJPE", "pa_mpjpe": "PA-MPJPE"}
START, STOP = "<!-- table by tools/reproduce.py -->", "<!-- end of table -->"
NOT_MEASURED = "not measured here"


class Row(NamedTuple):
    """A published result and how to measure it."""

    name: str
    title: str
    script: str
    config: str
    checkpoint: str
    dataset: str
    published: dict[str, float]  # mm
    settings: tuple[str, ...]  # the other dataset of the config need not be here


ROWS = (
    Row(
        "ft_pw3d", "3DPW, finetuned", "train_mesh.py", "configs/mesh/MB_ft_pw3d.yaml",
        "checkpoint/mesh/FT_MB_release_MB_ft_pw3d/best_epoch.bin", "pw3d",
        {"mpve": 88.1, "mpjpe": 76.9, "pa_mpjpe": 47.2}, ("dt_file_h36m=null",),
    ),
    Row(
        "refine_pw3d", "3DPW, HybrIK refined", "train_mesh_refine.py", "configs/mesh/MB_ft_pw3d_refine_hybrik.yaml",
        "checkpoint/mesh/FT_MB_release_MB_ft_pw3d_refine_hybrik/best_epoch.bin", "pw3d",
        {"mpve": 79.4, "mpjpe": 68.8, "pa_mpjpe": 40.6}, ("dt_file_h36m=null",),
    ),
    Row(
        "ft_h36m", "Human3.6M, finetuned", "train_mesh.py", "configs/mesh/MB_ft_h36m.yaml",
        "checkpoint/mesh/FT_MB_release_MB_ft_h36m/best_epoch.bin", "h36m",
        {"mpve": 65.5, "mpjpe": 53.8, "pa_mpjpe": 34.9}, ("dt_file_pw3d=null", "train_pw3d=False"),
    ),
    Row(
        "refine_h36m", "Human3.6M, HybrIK refined", "train_mesh_refine.py",
        "configs/mesh/MB_ft_pw3d_refine_hybrik.yaml",
        "checkpoint/mesh/FT_MB_release_MB_ft_pw3d_refine_hybrik/best_epoch.bin", "h36m",
        {"mpve": 52.6, "mpjpe": 43.1, "pa_mpjpe": 27.8}, ("dt_file_pw3d=null", "train_pw3d=False"),
    ),
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [row.name for row in ROWS]
    parser.add_argument("--only", action="append", choices=names, metavar="NAME", help=f"of {', '.join(names)}")
    parser.add_argument("--again", action="store_true", help="measure anew what was measured")
    parser.add_argument("--results", default="results/reproduce.json", metavar="FILE", help="(default: %(default)s)")
    parser.add_argument("--table", default="docs/results.md", metavar="FILE", help="(default: %(default)s)")
    arguments = parser.parse_args()
    results = Path(arguments.results)
    measured = read_results(results)
    for row in ROWS:
        if arguments.only and row.name not in arguments.only:
            continue
        missing = missing_files(row, load_config(ROOT / row.config))
        if missing:
            print(f"{row.title}: {NOT_MEASURED}, {missing[0]} is not here")
            continue
        fingerprint = fingerprint_of(row, load_config(ROOT / row.config))
        is_done = measured.get(row.name, {}).get("fingerprint") == fingerprint
        if not is_done or arguments.again:
            print(f"{row.title}: {command(row)}", flush=True)
            measured[row.name] = {"fingerprint": fingerprint, **measure(row, results.with_name(f"{row.name}.json"))}
            write_text_atomically(results, json_text(measured, indent=2) + "\n")
        print(f"{row.title}: {difference_words(row, measured[row.name])}")
    update_table(Path(arguments.table), measured)


def read_results(path: Path) -> dict:
    """What earlier runs measured; nothing where there is no file. Raises UserError for one that is none of ours."""
    if not path.exists():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        content = None
    if not isinstance(content, dict) or not all(isinstance(found, dict) for found in content.values()):
        raise UserError(f"{path}: not results of this tool. Delete it, or give another --results.")
    return content


def data_files(row: Row, config: Config) -> list[Path]:
    """The files that a row's figures depend on besides the body's: checkpoint and dataset."""
    data_root = ROOT / config.data_root
    return [ROOT / row.checkpoint, data_root / getattr(config, RELEASED[row.dataset].file_key)]


def missing_files(row: Row, config: Config) -> list[str]:
    """Those that are not there, as paths from the repository's root."""
    needed = [*data_files(row, config), ROOT / config.data_root]
    return [str(path.relative_to(ROOT)) for path in needed if not path.exists()]


def fingerprint_of(row: Row, config: Config) -> str:
    """One text for the content of the checkpoint, and the size and date of the data."""
    checkpoint, data = data_files(row, config)
    digest = hashlib.blake2b(digest_size=16)
    with checkpoint.open("rb") as file:
        while block := file.read(1 << 24):
            digest.update(block)
    stat = data.stat()
    digest.update(f"{data.name} {stat.st_size} {stat.st_mtime_ns} {row.script} {row.config}".encode())
    return digest.hexdigest()


def command(row: Row, metrics_out: str = "") -> str:
    """What measures a row, as typed in a shell."""
    typed = f"python {row.script} --config {row.config} --evaluate {row.checkpoint}"
    typed += "".join(f" --set {setting}" for setting in row.settings)
    return typed + (f" --metrics_out {metrics_out}" if metrics_out else "")


def measure(row: Row, out: Path) -> dict:
    """Run a row's command in a process of its own; its figures. Raises UserError if it fails."""
    out.parent.mkdir(parents=True, exist_ok=True)
    arguments = command(row, str(out.resolve())).split(" ")[1:]
    status = subprocess.run([sys.executable, *arguments], cwd=ROOT, check=False).returncode
    if status:
        raise UserError(f"{row.title}: the evaluation above ended with status {status}. Mend that, and run this again.")
    found = json.loads(out.read_text(encoding="utf-8"))[row.dataset]
    kept = ("protocol", "clips", "flip", "frames", "coverage", "selected_on", *METRICS)
    return {key: found[key] for key in kept}


def difference_words(row: Row, found: dict) -> str:
    """Published, measured, and measured minus published, mm."""
    parts = [
        f"{title} {row.published[metric]:.1f} published, {found[metric]:.1f} measured "
        f"({found[metric] - row.published[metric]:+.1f})"
        for metric, title in METRICS.items()
    ]
    return f"protocol {found['protocol']}, {found['frames']} frames: {', '.join(parts)}"


def table(measured: dict) -> str:
    """The rows of docs/results.md."""
    lines = [
        "| result | published MPVE, MPJPE, PA-MPJPE | protocol | measured | minus published | on |",
        "|---|---|---|---|---|---|",
    ]
    for row in ROWS:
        published = ", ".join(f"{row.published[metric]:.1f}" for metric in METRICS)
        found = measured.get(row.name)
        if found is None:
            lines.append(f"| {row.title} | {published} | motionbert | {NOT_MEASURED} | - | needs licensed data |")
            continue
        own = ", ".join(f"{found[metric]:.1f}" for metric in METRICS)
        apart = ", ".join(f"{found[metric] - row.published[metric]:+.1f}" for metric in METRICS)
        where = f"{found['frames']} frames, {found['coverage']:.1%} of the test split"
        lines.append(f"| {row.title} | {published} | {found['protocol']} | {own} | {apart} | {where} |")
    return "\n".join(lines)


def update_table(path: Path, measured: dict) -> None:
    """Put the table between its two marks. Raises UserError if they are not there."""
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    before, start, rest = text.partition(START)
    _, stop, after = rest.partition(STOP)
    if not start or not stop:
        raise UserError(f"{path}: the lines '{START}' and '{STOP}' are not in it. Restore it, or give another --table.")
    updated = f"{before}{START}\n{table(measured)}\n{STOP}{after}"
    if updated != text:
        write_text_atomically(path, updated)


if __name__ == "__main__":
    sys.exit(run_reporting_errors(main))
