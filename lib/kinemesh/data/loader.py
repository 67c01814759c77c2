"""Clips to batches: whole batches gathered by index from arrays in memory, normalised on the device.

The order of a training epoch follows from seed, epoch and dataset name alone, so that a resumed run needs no stored
generator. Source: behaviour contract sections 1 and 5.
"""

import copy
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import torch
from torch import Tensor

from kinemesh.body.params import params_from_axis_angle
from kinemesh.data.clips import Clips, batch_bounds, batch_part, training_order
from kinemesh.data.split import Split
from kinemesh.errors import UserError
from kinemesh.geometry.keypoints import network_keypoints
from kinemesh.machine.processes import Processes
from kinemesh.structures import Batch, MeshInputs, Motion, RefineInputs, Synthesis

_READ_KEYPOINTS = ("keypoints_px", "confidence", "image_size")  # what synthesis makes
_MOTION = ("smpl_pose", "root_m")  # what it reads more frames of than a clip has
_TAKES = 1 << 31  # of ways to make a clip's keypoints; with every clip's number less than an int64 holds

Share = Callable[[int, int], tuple[int, int]]


class ClipLoader:
    """Batches of one split's clips on one device.

    The split's arrays stay where they lie, see `place_split`. From the CPU to another device, a batch is gathered into
    pinned memory by a second thread while the one before it is used.
    """

    def __init__(
        self,
        split: Split,
        clips: Clips,
        *,
        batch_size: int,
        device: torch.device | str = "cpu",
        with_estimate: bool = False,
        training: bool = False,
        synthesis: Synthesis | None = None,
    ):
        """With `synthesis`, keypoints are made of the clips' motion instead of read.

        Raises UserError if there are no clips, too few to train on, or no estimate where one is asked for.
        """
        where = f"{split.dataset} {split.name}"
        if with_estimate and split.estimate_pose is None:
            raise UserError(f"{where}: no estimate to refine. Load the file with pred_smpl_pose and pred_smpl_shape.")
        if with_estimate and synthesis is not None:
            raise UserError(
                f"{where}: keypoints that are made show no other estimator's bodies. Expected detected ones to refine; add "
                "'joint_2d' to the file, or set synthesis: missing."
            )
        if synthesis is None and split.keypoints_px is None:
            raise UserError(f"{where}: has no keypoints ('joint_2d'). Expected detected ones, or what makes them.")
        if len(clips.frames) == 0:
            raise UserError(
                f"{where}: no clips. Expected a video of at least clip_len {clips.frames.shape[1]} frames, or a short "
                "one that is not the last; lower clip_len or sample_stride."
            )
        self.device = torch.device(device)
        self.with_estimate, self.synthesis = with_estimate, synthesis
        self.batch_size = batch_size
        self.bounds = batch_bounds(len(clips.frames), batch_size, training=training, where=where)
        self.split = split
        home = split.smpl_pose.device
        self.needs_transfer = home.type != self.device.type
        self.clip_frames = torch.from_numpy(clips.frames).to(home)
        self.counted = torch.from_numpy(clips.counted).to(home)
        self.clip_videos = torch.from_numpy(split.video_of(clips.frames[:, 0])).to(home)
        stops = np.cumsum(split.video_lengths)
        self.video_rows = torch.from_numpy(np.stack((stops - split.video_lengths, stops), axis=-1)).to(home)

    def _reads(self, name: str) -> bool:
        if name.startswith("estimate_"):
            return self.with_estimate
        return self.synthesis is None or name not in _READ_KEYPOINTS

    def __len__(self) -> int:
        return len(self.bounds)

    @property
    def clip_count(self) -> int:
        return len(self.clip_frames)

    def training_order(self, seed: int, epoch: int) -> Tensor:
        """The order of an epoch's clips (clip_count,); see the function of this name.

        Number c + d * clip_count stands for clip c as its frames were detected the d-th time, or made the d-th time.
        """
        takes = self.split.detection_count if self.synthesis is None else _TAKES
        return training_order(self.clip_count, seed, epoch, self.split.dataset, takes)

    def batches(self, order: Tensor | None = None, first: int = 0, share: Share | None = None) -> Iterator[Batch]:
        """Every clip once, in `order` (clip_count,) or as they lie, from batch number `first` on.

        `share` narrows each batch to a part of it: from its bounds in `order` it makes narrower ones.
        """
        if order is None:
            order = torch.arange(self.clip_count)
        order = order.to(self.clip_frames.device)  # once, not by batch: a copy makes the host wait for the device
        bounds = self.bounds[first:] if share is None else [share(*bound) for bound in self.bounds[first:]]
        yield from gathered((self, order[start:stop]) for start, stop in bounds)

    def training_batches(
        self, order: Tensor, first: int = 0, accumulation: int = 1, processes: Processes | None = None
    ) -> Iterator[Batch]:
        """A process's part of each batch in `order`, from batch number `first` on, with its place and weight.

        `accumulation` batches make one optimizer step.
        """
        processes = processes or Processes()
        for number, batch in enumerate(self.batches(order, first, processes.share), start=first):
            start, stop = self.bounds[number]
            yield batch._replace(part=batch_part(number, stop - start, len(self), accumulation, processes))

    def clips_of_batch(self, order: Tensor, number: int) -> tuple["ClipLoader", Tensor]:
        """A training batch's clips: the loader that has them, and their numbers there (B,)."""
        start, stop = self.bounds[number]
        return self, order[start:stop] % self.clip_count

    def of_videos(self, share: Share) -> "ClipLoader":
        """A loader of the clips of some of the videos: of those from 0 up to their number, `share` says which."""
        videos, place = torch.unique_consecutive(self.clip_videos, return_inverse=True)
        first, last = share(0, len(videos))
        chosen = ((place >= first) & (place < last)).nonzero().squeeze(1)
        part = copy.copy(self)
        part.clip_frames, part.counted = self.clip_frames[chosen], self.counted[chosen]
        part.clip_videos = self.clip_videos[chosen]
        part.bounds = batch_bounds(len(chosen), self.batch_size, training=False)
        return part

    def gather(self, clip_ids: Tensor) -> Batch:
        """The clips with these numbers (B,) as one batch."""
        return self.to_batch(self.rows_of(clip_ids))

    def rows_of(self, clip_ids: Tensor) -> dict[str, Tensor]:
        """The batch's rows of each array, where the arrays lie."""
        take = partial(_take_rows, pin=self.needs_transfer and self.device.type == "cuda")
        clip_ids = clip_ids.to(self.clip_frames.device)
        detection, clip_ids = clip_ids // self.clip_count, clip_ids % self.clip_count
        frames = motion_frames = take(self.clip_frames, clip_ids)
        rows = {"frames": frames, "videos": take(self.clip_videos, clip_ids), "counted": take(self.counted, clip_ids)}
        if self.synthesis is not None:
            rows["takes"] = torch.stack((frames[:, 0], detection), dim=-1)
            motion_frames, rows["there"] = self._motion_frames(frames, self.video_rows[self.clip_videos[clip_ids]])
        detections = self.split.detection_count
        arrays = {name: values for name, values in self.split.arrays.items() if self._reads(name)}
        for name, values in arrays.items():
            chosen = motion_frames if name in _MOTION else frames
            if detections > 1 and name in ("keypoints_px", "confidence"):
                values, chosen = values.flatten(0, 1), frames * detections + detection[:, None]
            is_of_all = name == "image_size" and values.ndim == 1
            rows[name] = values if is_of_all else take(values, chosen.flatten()).unflatten(0, chosen.shape)
        return rows

    def _motion_frames(self, frames: Tensor, video_rows: Tensor) -> tuple[Tensor, Tensor]:
        """Rows (B, S) of motion around the clips, and how many of each are its video's (B,)."""
        count = self.synthesis.source_frames(frames.shape[1])
        starts, stops = video_rows.unbind(1)
        first = torch.minimum(frames[:, 0] - (count - frames.shape[1]) // 2, stops - count).maximum(starts)
        rows = first[:, None] + torch.arange(count, device=frames.device)
        return torch.minimum(rows, stops[:, None] - 1), (stops - first).clamp(max=count)

    def to_batch(self, rows: dict[str, Tensor]) -> Batch:
        """Rows of `rows_of` on the device, normalised."""
        rows = {name: values.to(self.device, non_blocking=True) for name, values in rows.items()}
        if self.synthesis is None:
            keypoints = network_keypoints(rows["keypoints_px"], rows["image_size"], rows.get("confidence"))
            target = params_from_axis_angle(rows["smpl_pose"], rows["smpl_shape"])
        else:
            betas = rows["smpl_shape"][:, 0]
            motion = Motion(rows["takes"], rows["smpl_pose"], betas, rows.get("root_m"), rows["there"])
            fps = self.split.fps / self.split.sample_stride or 1.0  # of images, which have no time
            keypoints, target = self.synthesis.clips(motion, rows["frames"].shape[1], fps)
        inputs: MeshInputs | RefineInputs = MeshInputs(keypoints)
        if self.with_estimate:
            inputs = RefineInputs(keypoints, params_from_axis_angle(rows["estimate_pose"], rows["estimate_betas"]))
        places = {name: rows[name] for name in ("frames", "videos", "counted")}
        return Batch(inputs, target, **places)


def gathered(parts: Iterable[tuple[ClipLoader, Tensor]]) -> Iterator[Batch]:
    """The batches of these clips, each of a loader; what comes from the CPU is gathered while the batch before is used."""
    with ThreadPoolExecutor(1, thread_name_prefix="gather") as executor:
        upcoming: deque[tuple[ClipLoader, Callable[[], dict[str, Tensor]]]] = deque()
        for loader, clip_ids in parts:
            gather = partial(loader.rows_of, clip_ids)
            upcoming.append((loader, executor.submit(gather).result if loader.needs_transfer else gather))
            if len(upcoming) == 2:
                loader, rows = upcoming.popleft()
                yield loader.to_batch(rows())
        for loader, rows in upcoming:
            yield loader.to_batch(rows())


def _take_rows(values: Tensor, rows: Tensor, *, pin: bool) -> Tensor:
    """values[rows], written straight into pinned memory if asked: a copy from there does not hold up the host."""
    if not pin:
        return values.index_select(0, rows)
    gathered = torch.empty((len(rows), *values.shape[1:]), dtype=values.dtype, pin_memory=True)
    return torch.index_select(values, 0, rows, out=gathered)
