"""Train or evaluate a refiner of another estimator's SMPL output. See README.md."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "lib"))
from kinemesh.program.cli import Task, main

REFINER = Task(
    kind="refiner",
    script="train_mesh_refine.py",
    summary="Train a refiner of another estimator's SMPL pose from 2D keypoint clips, or evaluate one.",
    default_config="configs/mesh/MB_demo_refine_hybrik.yaml",
    examples="""\
  python train_mesh_refine.py
      train on the embedded default: no file needed, a few minutes on two CPU cores
  python train_mesh_refine.py --config configs/mesh/MB_ft_pw3d_refine_hybrik.yaml \\
      --pretrained checkpoint/pretrain/MB_release --checkpoint checkpoint/mesh/FT_MB_release_MB_ft_pw3d_refine_hybrik
      finetune a pretrained backbone
  python train_mesh_refine.py --config configs/mesh/MB_ft_pw3d_refine_hybrik.yaml \\
      --evaluate checkpoint/mesh/FT_MB_release_MB_ft_pw3d_refine_hybrik/best_epoch.bin
      evaluate: the estimator's error, the refined error, and their difference
  python train_mesh_refine.py --config configs/mesh/MB_ft_pw3d_refine_hybrik.yaml --set dt_file_h36m=null \\
      --set dt_file_coco=null --predictions wham_output.pkl --evaluate best_epoch.bin
      refine any estimator's output: .npz, HybrIK, WHAM or 4D-Humans files""",
)

if __name__ == "__main__":
    sys.exit(main(REFINER))
