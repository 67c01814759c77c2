"""Cameras for clips: where they stand, what they show, how they move. World: y up; camera: x right, y down, z forward."""

from typing import NamedTuple

import torch
from torch import Tensor

from kinemesh.geometry.camera import DIAGONAL_35MM
from kinemesh.geometry.rotation import axis_angle_to_matrix
from kinemesh.machine.seeds import Draws
from kinemesh.synthesis.recipe import CameraRecipe
from kinemesh.synthesis.signals import log_uniform, smooth_noise, smoothed, within

TRIPOD, HAND, WALKING = range(3)


class Cameras(NamedTuple):
    """A pinhole for each of B clips of T frames, its principal point in the picture's middle."""

    rotations: Tensor  # (B, T, 3, 3) world to camera axes
    places_m: Tensor  # (B, T, 3) in the world
    focal_px: Tensor  # (B,)
    image_size: Tensor  # (B, 2) width and height, whole pixels
    kinds: Tensor  # (B,) TRIPOD, HAND or WALKING

    @property
    def centre_px(self) -> Tensor:
        """(B, 2)."""
        return self.image_size / 2

    def seen(self, points_m: Tensor) -> Tensor:
        """Points (B, T, K, 3) of the world in camera axes."""
        return (points_m - self.places_m[:, :, None]) @ self.rotations.mT


def place_cameras(draws: Draws, recipe: CameraRecipe, joints_m: Tensor, fps: float) -> Cameras:
    """One for each clip of people whose joints (B, T, K, 3), the pelvis first, are in the world, metres."""
    frames = joints_m.shape[1]
    image_size, focal_px = _pictures(draws, recipe)
    kind = draws.uniform()
    kinds = (kind >= recipe.kinds[0]).int() + (kind >= recipe.kinds[0] + recipe.kinds[1]).int()
    is_moved, walks = (kinds != TRIPOD)[:, None, None], (kinds == WALKING)[:, None, None]
    pelvis = joints_m[:, :, 0]
    middle = pelvis.mean(dim=1, keepdim=True)
    reaction = recipe.reaction_s * fps
    follow = within(draws, recipe.follow_share, 1, 1)
    aim = middle + torch.where(walks, follow * smoothed(pelvis - middle, reaction), 0.0)

    seconds = (torch.arange(frames, device=pelvis.device) - (frames - 1) / 2) / fps
    orbit = torch.where(walks[..., 0], recipe.orbit_deg_per_s * draws.normal(1) * seconds, 0.0)
    yaw = within(draws, recipe.yaw_deg, 1) + orbit
    pitch = within(draws, recipe.pitch_deg, 1).expand(-1, frames)
    roll = (recipe.roll_std_deg * draws.normal(1)).expand(-1, frames)
    # Half a turn about x makes y point down and z away from the camera.
    upright = _about(2, roll) @ _about(0, 180.0 + pitch) @ _about(1, yaw)

    shown = _shown_place(draws, recipe, image_size, focal_px)
    sway = within(draws, recipe.sway_m, 1, 1) * _noise(draws, recipe, frames, fps)
    place = aim - _turned(upright.mT, shown[:, None]) + torch.where(is_moved, sway, 0.0)
    # Who holds it turns after the person; also, it shakes.
    direction = _turned(upright, pelvis - place)
    off = (direction[..., :2] / direction[..., 2:].clamp(min=recipe.nearest_m)).atan()
    off = smoothed(off - (shown[:, :2] / shown[:, 2:]).atan()[:, None], reaction)
    pan = torch.where(kinds == HAND, within(draws, recipe.pan_share), 0.0)[:, None]
    shake = torch.deg2rad(within(draws, recipe.shake_deg, 1, 1)) * _noise(draws, recipe, frames, fps)
    shake = axis_angle_to_matrix(torch.where(is_moved, shake, 0.0))
    turn = _about(0, torch.rad2deg(pan * off[..., 1])) @ _about(1, torch.rad2deg(-pan * off[..., 0]))
    rotations = shake @ turn @ upright

    cameras = Cameras(rotations, place, focal_px, image_size, kinds)
    too_near = recipe.nearest_m - cameras.seen(joints_m)[..., 2].amin(dim=(1, 2))
    back = torch.where(too_near > 0, too_near, 0.0)[:, None, None] * rotations[:, :, 2]
    return cameras._replace(places_m=place - back)


def _pictures(draws: Draws, recipe: CameraRecipe) -> tuple[Tensor, Tensor]:
    """Image sizes (B, 2) and focal lengths (B,), pixels."""
    aspect, longer = log_uniform(draws, recipe.aspect), log_uniform(draws, recipe.longer_side_px)
    sides = torch.stack((aspect.clamp(max=1.0), 1 / aspect.clamp(min=1.0)), dim=-1)
    image_size = (longer[:, None] * sides).round()
    focal_px = log_uniform(draws, recipe.focal_35mm) / DIAGONAL_35MM * torch.hypot(*image_size.unbind(-1))
    return image_size, focal_px


def _shown_place(draws: Draws, recipe: CameraRecipe, image_size: Tensor, focal_px: Tensor) -> Tensor:
    """(B, 3) where in camera axes the pelvis is on average."""
    is_close = draws.uniform() < recipe.close_chance
    usual, close = (log_uniform(draws, share) for share in (recipe.stature_share, recipe.close_stature_share))
    stature_px = torch.where(is_close, close, usual) * image_size[:, 1]
    depth = focal_px * recipe.stature_m / stature_px
    # Half a stature above and below the pelvis, a quarter on each side, is what somebody takes up.
    room = image_size / 2 - torch.stack((stature_px / 4, stature_px / 2), dim=-1)
    room = torch.where(is_close[:, None], 0.45 * image_size, room.clamp(min=0.0))
    offset = room * (2 * draws.uniform(2) - 1)
    return torch.cat((offset / focal_px[:, None], torch.ones_like(depth)[:, None]), dim=-1) * depth[:, None]


def _noise(draws: Draws, recipe: CameraRecipe, frames: int, fps: float) -> Tensor:
    return smooth_noise(draws, (frames, 3), fps, log_uniform(draws, recipe.shake_s), recipe.shake_s[0])


def _about(axis: int, degrees: Tensor) -> Tensor:
    """(...) -> (..., 3, 3)."""
    vectors = degrees.new_zeros(*degrees.shape, 3)
    vectors[..., axis] = torch.deg2rad(degrees)
    return axis_angle_to_matrix(vectors)


def _turned(rotations: Tensor, vectors: Tensor) -> Tensor:
    """(..., 3, 3) times (..., 3)."""
    return (rotations @ vectors[..., None])[..., 0]
