"""Seeds that follow from a place in the run alone, so that nothing random is carried along."""

import hashlib

import torch
from torch import Tensor

# SplitMix64: its step, and the shift and factor of each round of its mixing (Steele et al., OOPSLA 2014).
_STEP = 0x9E3779B97F4A7C15
_ROUNDS = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))
_LAST_SHIFT = 31
_MASK = (1 << 64) - 1


def set_step_seed(seed: int, *place: int) -> None:
    """Seed PyTorch for one place of the run: dropout and flips then depend on (seed, place) alone.

    Nothing random is carried from step to step, so a resumed run draws what the unbroken one would have drawn.
    """
    torch.manual_seed(mix_seed(seed, *place))


def mix_seed(*numbers: int) -> int:
    """One 63-bit seed from several numbers."""
    state = 0
    for number in numbers:
        state = (state + number + _STEP) & _MASK
        for shift, factor in _ROUNDS:
            state = ((state ^ (state >> shift)) * factor) & _MASK
        state ^= state >> _LAST_SHIFT
    return state >> 1


def named_generator(name: str) -> torch.Generator:
    """PyTorch's generator on the CPU, seeded by a text: the same on every machine and process."""
    digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "little") >> 1)


class Draws:
    """Random numbers of B clips at once: each clip's follow from its key and from how many were drawn before.

    The same on every device and in every batch, however clips are shared out: numbers are computed from their place
    instead of one from the last (Salmon et al., SC 2011), with SplitMix64 as the function.
    """

    def __init__(self, keys: Tensor):
        """`keys` (B,) int64 on the device that is drawn on; see `draw_keys`."""
        self._keys, self._count = keys, 0

    def uniform(self, *shape: int) -> Tensor:
        """(B, *shape) float32, evenly in (0, 1)."""
        return self._shaped(self._halves(*shape), shape)

    def normal(self, *shape: int) -> Tensor:
        """(B, *shape) float32, standard normal (Box and Muller, 1958)."""
        first, second = self._halves(*shape)
        radius = first.log_().mul_(-2).sqrt_()
        angle = second.mul_(2 * torch.pi)
        return self._shaped((radius * angle.cos(), radius * angle.sin()), shape)

    def _shaped(self, halves: tuple[Tensor, Tensor], shape: tuple[int, ...]) -> Tensor:
        return torch.cat(halves, dim=1)[:, : _size(shape)].reshape(len(self._keys), *shape)

    def _halves(self, *shape: int) -> tuple[Tensor, Tensor]:
        """Twice (B, half of shape's size, rounded up) in (0, 1), of the upper and the lower bits."""
        count = -(-_size(shape) // 2)
        places = torch.arange(self._count + 1, self._count + count + 1, device=self._keys.device)
        self._count += count
        bits = _mix(places * _signed(_STEP) + self._keys[:, None])
        # 23 bits and a half: never 0 or 1, and exact in float32.
        halves = ((bits >> 41) & 0x7FFFFF, (bits >> 9) & 0x7FFFFF)
        return tuple(half.to(torch.float32).add_(0.5).mul_(2.0**-23) for half in halves)


def draw_keys(numbers: Tensor, seeds: Tensor | int) -> Tensor:
    """Keys (B,) of clips of these int64 numbers (B,), for one seed or (B,) of them."""
    return _mix(_mix(numbers + _signed(_STEP)) + seeds)


def _mix(states: Tensor) -> Tensor:
    """SplitMix64's mixing of int64 tensors, whose products wrap around as the original's do; in place."""
    for shift, factor in _ROUNDS:
        states.bitwise_xor_(_shifted(states, shift)).mul_(_signed(factor))
    return states.bitwise_xor_(_shifted(states, _LAST_SHIFT))


def _shifted(states: Tensor, shift: int) -> Tensor:
    """To the right, with zeros coming in."""
    return (states >> shift).bitwise_and_((1 << (64 - shift)) - 1)


def _signed(number: int) -> int:
    return number - (1 << 64) if number >> 63 else number


def _size(shape: tuple[int, ...]) -> int:
    return int(torch.Size(shape).numel())
