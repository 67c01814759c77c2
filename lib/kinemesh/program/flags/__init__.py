"""The flags of the training scripts, and those that every command has."""
