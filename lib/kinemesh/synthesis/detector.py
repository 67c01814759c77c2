"""What a detector makes of true keypoints: errors, losses, swaps, and a confidence that tells some of it."""

import math
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from kinemesh.body.skeleton import H36M_JOINT_COUNT, H36M_JOINT_NAMES, H36M_MIRROR_ORDER, LIMBS
from kinemesh.geometry.constants import constant_tensor
from kinemesh.machine.seeds import Draws
from kinemesh.synthesis.recipe import ERROR_UNIT_PER_M, NoiseRecipe
from kinemesh.synthesis.signals import log_uniform, one_run, runs, smooth_noise, within

_LEG = tuple(name.endswith(("knee", "ankle")) for name in H36M_JOINT_NAMES)
# What is swapped at once: hips with the legs, shoulders with the arms.
_SWAPPED = (
    tuple(name.endswith(("hip", "knee", "ankle")) for name in H36M_JOINT_NAMES),
    tuple(name.endswith(("shoulder", "elbow", "wrist")) for name in H36M_JOINT_NAMES),
)
# From a limb's joint to the next, the nearer to the trunk first: who loses one loses what lies beyond.
_BEYOND = tuple(
    (near, far) for near, far in LIMBS if H36M_JOINT_NAMES[near].endswith(("hip", "knee", "shoulder", "elbow", "nose"))
)
# 0 is what is not found.
LOWEST_CONFIDENCE, HIGHEST_CONFIDENCE = 0.01, 1.0
_Numbers = TypeVar("_Numbers", Tensor, np.ndarray)


class Detected(NamedTuple):
    """Keypoints as a detector reports them, and what went wrong with each."""

    keypoints_px: Tensor  # (B, T, 17, 2); 0 where dropped
    confidence: Tensor  # (B, T, 17) in [0, 1]; 0 where dropped
    error_m: Tensor  # (B, T, 17) size of the error at the person's depth, without definition and swap
    is_dropped: Tensor  # (B, T, 17) bool
    is_swapped: Tensor  # (B, T, 17) bool


def detect(
    draws: Draws, recipe: NoiseRecipe, true_px: Tensor, px_per_m: Tensor, image_size: Tensor, fps: float
) -> Detected:
    """Keypoints (B, T, 17, 2) of people of whom a metre has so many pixels (B, T, 17), in pictures (B, 2), as detected."""
    frames = true_px.shape[1]
    drift, error = _errors(draws, recipe, frames, fps)
    is_hidden = _occluded(draws, recipe, true_px, px_per_m, fps)
    guess = torch.where(is_hidden[..., None], (recipe.hidden_guess - 1) * drift, 0.0)
    error = error + guess
    size_m = error.norm(dim=-1)
    keypoints_px = true_px + error * px_per_m[..., None]
    confidence = _confidence(draws, recipe, size_m, fps)

    is_dropped = _dropped(draws, recipe, frames)
    is_dropped |= is_hidden & (draws.uniform() < recipe.hidden_drop_chance)[:, None, None]
    border = image_size[:, None, None]
    is_outside = ((keypoints_px < 0) | (keypoints_px > border)).any(dim=-1)
    is_dropped |= is_outside & (draws.uniform() < recipe.outside_drop_chance)[:, None, None]
    keypoints_px = torch.minimum(keypoints_px.clamp(min=0.0), border)
    confidence = torch.where(is_outside, recipe.outside_confidence * confidence, confidence)

    keypoints_px, is_swapped = _swapped(draws, recipe, keypoints_px)
    confidence = torch.where((draws.uniform() < recipe.sure_chance)[:, None, None], 1.0, confidence)
    found = ~is_dropped
    return Detected(keypoints_px * found[..., None], confidence * found, size_m, is_dropped, is_swapped)


def _errors(draws: Draws, recipe: NoiseRecipe, frames: int, fps: float) -> tuple[Tensor, Tensor]:
    """What drifts, and all of the error with it: (B, T, 17, 2) metres."""
    seconds = log_uniform(draws, recipe.drift_s)
    noise = smooth_noise(draws, (frames, 2 * H36M_JOINT_COUNT), fps, seconds, recipe.drift_s[0])
    spread_m = dict(recipe.drift_m)
    by_joint = tuple(spread_m[name.removeprefix("left_").removeprefix("right_")] for name in H36M_JOINT_NAMES)
    spread = constant_tensor(by_joint, noise.device, noise.dtype)[:, None]
    level = log_uniform(draws, recipe.level, 1, 1, 1)
    drift = level * spread * noise.unflatten(2, (H36M_JOINT_COUNT, 2))
    bias = level * recipe.bias_share * spread * draws.normal(1, H36M_JOINT_COUNT, 2)
    jitter = level * recipe.jitter_m * draws.normal(frames, H36M_JOINT_COUNT, 2)
    is_peak = draws.uniform(frames, H36M_JOINT_COUNT) < recipe.peak_chance
    angle = 2 * math.pi * draws.uniform(1, H36M_JOINT_COUNT)
    size = is_peak * within(draws, recipe.peak_m, 1, H36M_JOINT_COUNT)
    peaks = torch.stack((size * angle.cos(), size * angle.sin()), dim=-1)
    return drift, drift + bias + jitter + peaks


def _confidence(draws: Draws, recipe: NoiseRecipe, size_m: Tensor, fps: float) -> Tensor:
    """(B, T, 17) of errors of this size."""
    frames = size_m.shape[1]
    distance = ERROR_UNIT_PER_M * size_m
    seconds = torch.full_like(size_m[:, 0, 0], recipe.confidence_s)
    smooth = smooth_noise(draws, (frames, H36M_JOINT_COUNT), fps, seconds, recipe.confidence_s)
    noise = math.sqrt(0.8) * smooth + math.sqrt(0.2) * draws.normal(frames, H36M_JOINT_COUNT)
    told = told_confidence(distance, recipe.confidence_a, recipe.confidence_b)
    return (told + recipe.confidence_mean + recipe.confidence_std * noise).clamp(LOWEST_CONFIDENCE, HIGHEST_CONFIDENCE)


def told_confidence(distance: _Numbers, a: float, b: float) -> _Numbers:
    """What an error tells of itself, before noise; `distance` is in 1 / ERROR_UNIT_PER_M of a metre."""
    return a / (distance + a) + b * distance


def _dropped(draws: Draws, recipe: NoiseRecipe, frames: int) -> Tensor:
    """(B, T, 17) bool: single joints with the limb beyond them, and both legs for long."""
    is_dropped = draws.uniform(frames, H36M_JOINT_COUNT) < recipe.drop_chance
    for near, far in _BEYOND:
        is_dropped[..., far] |= is_dropped[..., near]
    shortest, longest = recipe.legs_gone_frames
    length = (shortest + (longest + 1 - shortest) * draws.uniform()).floor()
    legs_gone = one_run(draws, frames, recipe.legs_gone_chance, length)
    return is_dropped | (legs_gone[..., None] & constant_tensor(_LEG, is_dropped.device, torch.bool))


def _occluded(draws: Draws, recipe: NoiseRecipe, true_px: Tensor, px_per_m: Tensor, fps: float) -> Tensor:
    """(B, T, 17) bool: what lies behind a disc around one of the joints, which moves with the person."""
    frames = true_px.shape[1]
    length = (within(draws, recipe.occluder_s) * fps).ceil()
    is_there = one_run(draws, frames, recipe.occluder_chance, length)
    centre = (draws.uniform() * H36M_JOINT_COUNT).long()
    middle = true_px.gather(2, centre[:, None, None, None].expand(-1, frames, 1, 2))
    radius_px = within(draws, recipe.occluder_m, 1, 1) * px_per_m
    return is_there[..., None] & ((true_px - middle).norm(dim=-1) < radius_px)


def _swapped(draws: Draws, recipe: NoiseRecipe, keypoints_px: Tensor) -> tuple[Tensor, Tensor]:
    """Left and right taken for each other in legs or arms, and where (B, T, 17)."""
    is_wrong = runs(draws, keypoints_px.shape[1], len(_SWAPPED), recipe.swap_chance, recipe.swap_frames)
    groups = constant_tensor(_SWAPPED, keypoints_px.device, torch.bool)
    is_swapped = (is_wrong[..., None] & groups).any(dim=-2)
    other = keypoints_px[:, :, constant_tensor(H36M_MIRROR_ORDER, keypoints_px.device)]
    return torch.where(is_swapped[..., None], other, keypoints_px), is_swapped
