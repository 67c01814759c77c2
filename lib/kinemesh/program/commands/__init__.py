"""Commands beside training and inference: score files of predictions, carry checkpoints to the released layout."""
