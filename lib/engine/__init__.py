"""Training, evaluation, checkpoints, logs and devices; knows models and loaders only as arguments."""
