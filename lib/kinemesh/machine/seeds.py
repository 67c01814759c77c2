"""Seeds that follow from a place in the run alone, so that nothing random is carried along."""

import torch


def set_step_seed(seed: int, *place: int) -> None:
    """Seed PyTorch for one place of the run: dropout and flips then depend on (seed, place) alone.

    Nothing random is carried from step to step, so a resumed run draws what the unbroken one would have drawn.
    """
    torch.manual_seed(mix_seed(seed, *place))


def mix_seed(*numbers: int) -> int:
    """One 63-bit seed from several numbers (SplitMix64's mixing steps; Steele et al., OOPSLA 2014)."""
    mask = (1 << 64) - 1
    state = 0
    for number in numbers:
        state = (state + number + 0x9E3779B97F4A7C15) & mask
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & mask
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & mask
        state ^= state >> 31
    return state >> 1
