"""What the folder of a run holds."""

LATEST, BEST = "latest_epoch.bin", "best_epoch.bin"
METRICS = "metrics.jsonl"  # a line an epoch
NONFINITE_STEPS = "nonfinite_steps.jsonl"
SCALARS = "logs"  # TensorBoard's
LOG = "log.txt"
