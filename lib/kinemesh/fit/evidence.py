"""What of the keypoints to believe, judged by the bodies that they are to improve, and later by what a fit has left."""

from typing import NamedTuple

import torch
from torch import Tensor

# Sides are taken for confused where the other labels lie nearer to the body by this factor, and near enough.
_NEARER_IF_SWAPPED = 0.6
_NEAR = 0.05
# So much smaller or larger than placed a body may be for its sides to be compared: sides that are confused place it wrongly.
_MOST_SCALED = 4.0
# A frame counts less from so many times the track's usual distance on, if that is more than `_UNLIKELY` of the stature.
_USUAL = 2.5
_UNLIKELY = 0.02
# So does a keypoint, from so many times on, if that is more than so much of the stature. Bodies that were lifted from these very
# keypoints err more than they: there only what is far off is wrong.
_USUAL_OF_ONE, _UNLIKELY_OF_ONE = 5.0, 0.06
_USUAL_IF_LIFTED, _UNLIKELY_IF_LIFTED = 10.0, 0.1
# Keypoints are not this body's that are so far off for some seconds and move otherwise; or farther, if they do not move.
_PIECE_S, _MOMENT_S = 2.0, 0.2
_ANOTHERS = 0.05
_ANOTHERS_AT_REST = 0.1
_ALIKE = 0.65
_AT_REST = 0.015
# What the body's own place counts where nothing is seen, against a keypoint's 1.
_STAND_IN = 0.1
# The variance of a keypoint's error goes with a power, within these, of its doubt, 1 - confidence, and so much more: each
# detector has a scale of its own. The least is what confidence^2 says of usual confidences.
_LEAST_POWER, _MOST_POWER = 0.6, 3.0
_LEAST_DOUBT = 0.05
# It is learnt from so many squared errors at least; what is so many units off is no error of a usual kind.
_LEAST_COUNT, _FAR_OFF = 50, 5.0
_STEPS, _LONGEST_STEP, _LARGEST_EXCESS = 12, 1.0, 4.0
_LEGS = ("hip", "knee", "ankle", "big_toe", "small_toe", "heel")
_ARMS = ("shoulder", "elbow", "wrist")


class Sorted(NamedTuple):
    """Keypoints of R frames whose sides are told apart by the bodies."""

    keypoints_px: Tensor  # (R, K, 2)
    confidence: Tensor  # (R, K)
    is_swapped: Tensor  # (R,) bool, left and right were taken for each other in some limbs
    scale: Tensor  # (R,) by which the bodies' pictures would have to grow to be as large as the keypoints'
    centres_px: Tensor  # (R, 2, 2) the middles of a body's picture and of its keypoints


class Judged(NamedTuple):
    """How far a fit should believe keypoints of R frames."""

    weights: Tensor  # (R, K) in [0, 1]
    stand_in_weights: Tensor  # (R, K) of the start's own points in the picture
    trust: Tensor  # (R,) in [0, 1]: 0 where a frame's keypoints are not this body's


class Pieces(NamedTuple):
    """R rows in pieces of about two seconds, each of moments of a fifth of one; numbered through."""

    of_row: Tensor  # (R,) int64
    moment_of_row: Tensor  # (R,) int64
    of_moment: Tensor  # (M,) int64


def judge(
    projected_px: Tensor,
    keypoints_px: Tensor,
    confidence: Tensor,
    owner: Tensor,
    stature_px: Tensor,
    pieces: Pieces | None = None,
) -> Judged:
    """Compare keypoints with where the start's bodies are seen.

    Args:
        projected_px: (R, K, 2) the start's points, placed.
        owner: (R,) each row's person; `stature_px` (P,) how tall each is in the picture.
        pieces: of the rows, in which keypoints may be another person's; None: they are known to be this one's.
    """
    stature = stature_px[owner]
    distance = (projected_px - keypoints_px).norm(dim=-1) / stature[:, None]
    typical = weighted_median(distance, confidence)
    usual = torch.stack([typical[owner == person].median() for person in range(len(stature_px))])[owner]
    excess = typical / (_USUAL * usual).clamp(min=_UNLIKELY)
    trust = torch.where(excess > 1, excess**-4, 1.0)
    if pieces is not None:
        given = projected_px, keypoints_px, confidence * trust[:, None]
        trust = trust * ~_are_anothers(*given, typical, stature, pieces)
    times, least = (_USUAL_OF_ONE, _UNLIKELY_OF_ONE) if pieces is not None else (_USUAL_IF_LIFTED, _UNLIKELY_IF_LIFTED)
    off = distance / (times * usual).clamp(min=least)[:, None]
    # Squared below, since a doubtful keypoint is more often wrong than only less exact.
    believed = confidence * trust[:, None] / (1 + off**4)
    # Where nobody is seen at all, motion before and after tells more.
    stand_in = _STAND_IN * (1 - believed).square() * believed.mean(dim=1, keepdim=True)
    return Judged(believed.square(), stand_in, trust)


def cut_pieces(segment_lengths: list[int], fps: float, device: torch.device) -> Pieces:
    """Pieces and moments of segments that lie one after another."""
    pieces = [part for length in segment_lengths for part in _parts(length, _PIECE_S * fps)]
    moments = [_parts(length, _MOMENT_S * fps) for length in pieces]
    lengths = pieces, [part for parts in moments for part in parts], [len(parts) for parts in moments]
    return Pieces(*(torch.repeat_interleave(torch.tensor(each)).to(device) for each in lengths))


def _parts(length: int, longest: float) -> list[int]:
    """A length in equal parts of about the longest."""
    count = max(1, round(length / max(longest, 1.0)))
    return [length * (part + 1) // count - length * part // count for part in range(count)]


def _are_anothers(
    projected_px: Tensor, keypoints_px: Tensor, weights: Tensor, typical: Tensor, stature: Tensor, pieces: Pieces
) -> Tensor:
    """(R,) bool: whether keypoints (R, K, 2) and bodies are two people, piece by piece.

    One person's move alike however badly the pose is estimated, seen from the person's own middle; compared moment by
    moment, since a jittery estimate would seem to move otherwise.
    """
    count = int(pieces.of_row.max()) + 1

    def total(values: Tensor, number: Tensor = pieces.of_row, count: int = count) -> Tensor:
        return values.new_zeros(count, *values.shape[1:]).index_add_(0, number, values)

    of_moments = pieces.moment_of_row, len(pieces.of_moment)
    weight, all_weight = total(weights[..., None], *of_moments), total(weights.sum(dim=1))
    moved = []
    for points in (projected_px, keypoints_px):
        own = (points - _middle(points, weights)[:, None]) / stature[:, None, None]
        summed = total(own * weights[..., None], *of_moments)
        mean = total(summed, pieces.of_moment) / total(weight, pieces.of_moment).clamp(min=1e-9)
        moved.append(summed / weight.clamp(min=1e-9) - mean[pieces.of_moment])
    body, seen = moved
    shared, of_body, of_seen = (
        total((weight * one * other).sum(dim=(1, 2)), pieces.of_moment)
        for one, other in ((body, seen), (body, body), (seen, seen))
    )
    alike = shared / (of_body * of_seen).sqrt().clamp(min=1e-9)
    at_rest = of_seen < _AT_REST**2 * all_weight
    off = total(typical * weights.sum(dim=1)) / all_weight.clamp(min=1e-9)
    is_another = torch.where(at_rest, off > _ANOTHERS_AT_REST, (off > _ANOTHERS) & (alike < _ALIKE))
    return is_another[pieces.of_row]


def sort_sides(
    projected_px: Tensor,
    keypoints_px: Tensor,
    confidence: Tensor,
    owner: Tensor,
    stature_px: Tensor,
    names: tuple[str, ...],
) -> Sorted:
    """Left and right keypoints exchanged where the body says so: the legs', the arms', each frame's.

    Confused sides place a body wrongly, by its keypoints; compared is its picture in the place and size that suit each
    labelling best.
    """
    as_they_are = torch.arange(len(names), device=owner.device)
    legs, arms = (_exchange(names, limb).to(owner.device) for limb in (_LEGS, _ARMS))
    orders = torch.stack((as_they_are, legs, arms, legs[arms]))
    labelled = [(keypoints_px[:, order], confidence[:, order]) for order in orders]
    aligned = [_align(projected_px, *one) for one in labelled]
    apart, weights = torch.stack([one.apart for one in aligned]), torch.stack([one for _, one in labelled])
    best, rows = (apart * weights).sum(dim=2).argmin(dim=0), torch.arange(len(owner), device=owner.device)
    scale = torch.stack([one.scale for one in aligned])
    way = torch.zeros_like(owner)
    for bit, order in ((1, legs), (2, arms)):
        joints = (order != as_they_are).nonzero()[:, 0]
        # With this limb's sides exchanged and without, the other limb's as they are best.
        pair = best | bit, best & ~bit
        swapped, unswapped = (
            (apart[one, rows] * weights[one, rows])[:, joints].sum(1)
            / weights[one, rows][:, joints].sum(1).clamp(min=1e-6)
            for one in pair
        )
        is_swapped = (swapped < _NEARER_IF_SWAPPED * unswapped) & (
            swapped < _NEAR * stature_px[owner] * scale[pair[0], rows]
        )
        is_swapped = _fill_between(is_swapped, is_swapped | (unswapped < _NEARER_IF_SWAPPED * swapped), owner)
        way = way + bit * is_swapped
    order = orders[way]
    return Sorted(
        keypoints_px.gather(1, order[..., None].expand(-1, -1, 2)),
        confidence.gather(1, order),
        way > 0,
        scale[way, rows],
        torch.stack([one.middles_px for one in aligned])[way, rows],
    )


class _Aligned(NamedTuple):
    apart: Tensor  # (R, K) pixels
    scale: Tensor  # (R,)
    middles_px: Tensor  # (R, 2, 2) of the picture that is moved and of what it is moved to


def _align(points_px: Tensor, onto_px: Tensor, weights: Tensor) -> _Aligned:
    """How far points (R, K, 2) lie from others once moved and scaled to them by least squares."""
    middles = torch.stack([_middle(one, weights) for one in (points_px, onto_px)], dim=1)
    points, onto = points_px - middles[:, :1], onto_px - middles[:, 1:]
    weighted = points * weights[..., None]
    scale = (weighted * onto).sum(dim=(1, 2)) / (weighted * points).sum(dim=(1, 2)).clamp(min=1e-6)
    scale = scale.clamp(1 / _MOST_SCALED, _MOST_SCALED)
    return _Aligned((points * scale[:, None, None] - onto).norm(dim=-1), scale, middles)


def _middle(points_px: Tensor, weights: Tensor) -> Tensor:
    """(R, 2) weighted mean of (R, K, 2)."""
    return (points_px * weights[..., None]).sum(dim=1) / weights.sum(dim=1, keepdim=True).clamp(min=1e-6)


def _exchange(names: tuple[str, ...], parts: tuple[str, ...]) -> Tensor:
    """(K,) the place of each name's counterpart on the other side, of these parts; its own of others."""
    order = list(range(len(names)))
    for part in parts:
        pair = [f"left_{part}", f"right_{part}"]
        if all(name in names for name in pair):
            left, right = (names.index(name) for name in pair)
            order[left], order[right] = right, left
    return torch.tensor(order)


def _fill_between(flags: Tensor, is_decided: Tensor, owner: Tensor) -> Tensor:
    """Flags (R,) that are also set between set ones, where no frame of that person says otherwise."""
    places = torch.arange(len(flags), device=flags.device)
    before = torch.where(is_decided, places, -1).cummax(dim=0).values
    after = torch.where(is_decided, places, len(flags)).flip(0).cummin(dim=0).values.flip(0)
    is_told, is_set = [], []
    for nearest in (before, after):
        inside = nearest.clamp(0, len(flags) - 1)
        is_told.append((nearest == inside) & (owner[inside] == owner))
        is_set.append(flags[inside] | ~is_told[-1])
    return is_set[0] & is_set[1] & (is_told[0] | is_told[1])


def weighted_median(values: Tensor, weights: Tensor) -> Tensor:
    """(N,) of values (N, K) with weights (N, K); 0 where no weight is."""
    values, order = values.sort(dim=1)
    summed = weights.gather(1, order).cumsum(dim=1)
    place = (summed < summed[:, -1:] / 2).sum(dim=1, keepdim=True).clamp(max=values.shape[1] - 1)
    return values.gather(1, place)[:, 0] * (summed[:, -1] > 0)


def learnt_gains(
    confidence: Tensor, worth: Tensor, owner: Tensor, error: Tensor, rows: Tensor, most_gain: float
) -> Tensor:
    """(R, K) what a keypoint counts against confidence^2, by each person's own power: more only if it is surer than usual.

    Args:
        confidence: (R, K) in [0, 1]; 0 is not seen.
        worth: (R, K) how far keypoints are believed otherwise, 0 if they are not.
        owner: (R,) each row's person.
        error: (N, K) squared errors of some `rows` (N,), in units, of bodies that are fitted to them somewhat.
        most_gain: what one that is surer than usual counts at most, against a usual one.
    """
    clearness = _clearness(confidence)
    measured = clearness[rows], error, worth[rows]
    is_measured = (confidence[rows] > 0) & (worth[rows] > 0) & error.isfinite()
    gains = torch.ones_like(confidence)
    for person in owner.unique().tolist():
        own = owner == person
        told, errors, worths = (values[is_measured & own[rows, None]] for values in measured)
        if len(told) < _LEAST_COUNT:
            continue
        usual = told.median()
        power = _power_of_doubt(told - usual, errors, worths)
        usual_weight = (1 + _LEAST_DOUBT - (-usual).exp()).square()
        weight = usual_weight * (power * (clearness[own] - usual)).exp()
        less = (weight / confidence[own].square().clamp(min=1e-9)).clamp(max=1.0)
        # One that is sure, but not believed, gains nothing.
        more = (power * (_clearness(confidence[own] * worth[own].sqrt()) - usual)).exp().clamp(1.0, most_gain)
        gains[own] = less * more
    return gains


def _clearness(confidence: Tensor) -> Tensor:
    return -(1 - confidence + _LEAST_DOUBT).log()


def _power_of_doubt(clearness: Tensor, error: Tensor, worth: Tensor) -> Tensor:
    """b of squared errors (n,) whose mean is exp(a - b clearness): a gamma regression (McCullagh and Nelder, 1989), robust."""
    worth = worth * (1 + error / _FAR_OFF**2) ** -2
    columns = torch.stack((torch.ones_like(clearness), -clearness), dim=1)
    matrix = (columns * worth[:, None]).mT @ columns + 1e-6 * torch.eye(2).to(clearness)
    found = torch.stack(((worth * error).sum().div(worth.sum()).clamp(min=1e-9).log(), clearness.new_tensor(1.0)))
    for _ in range(_STEPS):
        excess = (error * (-columns @ found).exp() - 1).clamp(max=_LARGEST_EXCESS)
        step = torch.linalg.solve(matrix, columns.mT @ (worth * excess))
        found = found + step.clamp(-_LONGEST_STEP, _LONGEST_STEP)
    return found[1].clamp(_LEAST_POWER, _MOST_POWER)
