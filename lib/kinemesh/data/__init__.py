"""Datasets: the released files read and checked once, their videos cut into clips, clips gathered into batches."""
