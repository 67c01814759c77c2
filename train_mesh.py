"""Train or evaluate an SMPL mesh regressor on 2D keypoint clips. See README.md."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "lib"))
from kinemesh.program.cli import Task, main

REGRESSOR = Task(
    kind="regressor",
    script="train_mesh.py",
    summary="Train an SMPL mesh regressor on 2D keypoint clips, or evaluate one.",
    default_config="configs/mesh/MB_demo.yaml",
    examples="""\
  python train_mesh.py
      train on the embedded default: no file needed, a few minutes on two CPU cores
  python train_mesh.py --config configs/mesh/MB_train_pw3d.yaml --checkpoint checkpoint/mesh/MB_train_pw3d
      train from scratch
  python train_mesh.py --config configs/mesh/MB_ft_pw3d.yaml --pretrained checkpoint/pretrain/MB_release \\
      --checkpoint checkpoint/mesh/FT_MB_release_MB_ft_pw3d
      finetune a pretrained backbone
  python train_mesh.py --config configs/mesh/MB_ft_pw3d.yaml \\
      --evaluate checkpoint/mesh/FT_MB_release_MB_ft_pw3d/best_epoch.bin --metrics_out metrics.json
      evaluate
  python train_mesh.py --config configs/mesh/MB_train_pw3d.yaml --set limit_clips=64 --set epochs=1
      dry run of anything""",
)

if __name__ == "__main__":
    sys.exit(main(REGRESSOR))
