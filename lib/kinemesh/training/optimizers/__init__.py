"""What the optimizer is made of: Muon, the average of the weights, states out of checkpoints."""
