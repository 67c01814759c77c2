"""Draws one test clip of a config, its input keypoints and the bodies that a checkpoint predicts, as a PNG.

    python -m tools.draw_test_clip --evaluate checkpoint/mesh/MB_demo/best_epoch.bin --out clip.png

The clip is the one with the median error of the split, unless --clip names another.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch

from kinemesh.config import load_config
from kinemesh.errors import UserError
from kinemesh.metrics import mpjpe_mm
from kinemesh.model.opening import open_checkpoint
from kinemesh.program.cli import run_reporting_errors
from kinemesh.program.options import RunOptions
from kinemesh.program.setup import Setup, set_up
from kinemesh.protocols import choose_protocols
from kinemesh.render.picture import Page, save_clip_picture


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="configs/mesh/MB_demo.yaml", metavar="FILE")
    parser.add_argument("--evaluate", required=True, metavar="FILE", help="checkpoint")
    parser.add_argument("--dataset", default="pw3d", metavar="NAME")
    parser.add_argument("--clip", type=int, metavar="N", help="number of the clip in the test split")
    parser.add_argument("--out", default="clip.png", metavar="FILE")
    arguments = parser.parse_args()

    config, checkpoint = load_config(arguments.config), Path(arguments.evaluate)
    kind = open_checkpoint(checkpoint, config).kind
    options = RunOptions(kind, "", Path(arguments.config), Path(), Path(), evaluate=checkpoint)
    setup = Setup(options, config, choose_protocols(()))
    set_up(setup)
    model, body = setup.model.eval(), setup.body
    loaders = {dataset.name: dataset.test for dataset in setup.datasets if dataset.test is not None}
    if arguments.dataset not in loaders:
        raise UserError(f"--dataset {arguments.dataset}: not in {arguments.config}. Expected one of {sorted(loaders)}.")
    loader = loaders[arguments.dataset]
    chosen = arguments.clip
    if chosen is None:
        chosen = _median_clip(model, body, loader)
    if not 0 <= chosen < loader.clip_count:
        raise UserError(f"--clip {chosen}: expected 0 to {loader.clip_count - 1}.")
    batch = loader.gather(torch.tensor([chosen]))
    with torch.inference_mode():
        pred, target = body.mesh(model(*batch.inputs)), body.mesh(batch.target)
        errors = mpjpe_mm(pred.joints_mm, target.joints_mm)[0]
    frames = np.linspace(0, len(errors) - 1, 6).round().astype(int)
    save_clip_picture(
        arguments.out,
        batch.inputs.keypoints[0].cpu().numpy(),
        pred.vertices_mm[0].cpu().numpy(),
        body.assets.faces,
        target.vertices_mm[0].cpu().numpy(),
        page=Page(
            frames=frames,
            captions=[f"MPJPE {errors[frame]:.0f} mm" for frame in frames],
            note="Stand-in body (not SMPL) and synthetic motion." if "demo" in config.data_root else "",
        ),
    )


def _median_clip(model, body, loader) -> int:
    """The clip whose error is in the middle of the split's."""
    with torch.inference_mode():
        errors = [
            mpjpe_mm(body.joints(model(*batch.inputs)), body.joints(batch.target)).mean(dim=1)
            for batch in loader.batches()
        ]
    return int(torch.cat(errors).argsort()[loader.clip_count // 2])


if __name__ == "__main__":
    sys.exit(run_reporting_errors(main))
